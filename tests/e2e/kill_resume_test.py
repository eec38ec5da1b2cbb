"""kill -9 at ten random moments (or TROUPE_KILLS), then --resume: no trial is lost, none is counted twice, what was
printed is kept, the database is whole, no worker is left behind, and the run ends with exactly the trials of one that
was never killed.

If it failed, a person would lose work to a crash, or be told of a result that is not there."""
import json
import math
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
KILLS = int(os.environ.get("TROUPE_KILLS", "10"))
SEED = int(os.environ.get("TROUPE_SEED", "1"))
TRIALS = 40 * KILLS
PIPELINE = """
name: killed
space:
  x: {float: [0, 2], default: 0.1}
  k: {int: [1, 30], default: 3}
agents:
  worker: {command: [python3, WORKER], instances: 2, capabilities: [prepare, train], env: {SDK: SDKDIR}}
stages:
  prepare: {uses: [k]}
  train: {needs: [prepare]}
objective: {stage: train, metric: score, goal: maximise}
budget: {trials: TRIALS}
optimizer: {sampler: tpe, seed: 5, deterministic: 2, startup: 10}
"""
told = re.compile(r"^trial\s+(\d+)\b.*?([-+]?\d+\.\d+(?:e[-+]?\d+)?)")


def command(*words):
    return [TROUPE, *words]


def killed_after(words, lines, jitter_ms):
    """Runs until `lines` trials were printed and a moment more, then kills; returns what was printed, and whether it
    ended by itself."""
    child = subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    printed = []
    while len([line for line in printed if told.match(line)]) < lines:
        line = child.stdout.readline()
        if not line:
            break
        printed.append(line)
    signal.sigtimedwait([], jitter_ms / 1000)  # an arbitrary moment, not a wait for something
    child.send_signal(signal.SIGKILL)
    printed += child.stdout.readlines()
    status = child.wait()
    return printed, status != -signal.SIGKILL


def show(runs, run):
    out = subprocess.run(command("show", run, "--runs", runs, "--json"), capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


def objectives(shown):
    numbers = [trial["number"] for trial in shown["trials"]]
    assert len(numbers) == len(set(numbers)), f"a trial stands twice: {numbers}"
    return {trial["number"]: trial for trial in shown["trials"]}


def check_database(runs, run):
    database = sqlite3.connect(os.path.join(runs, run, "store.db"))
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


def workers_left(token):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if token.encode() in file.read():
                    found.append(pid)
        except OSError:
            pass
    return found


def main():
    random.seed(SEED)
    with tempfile.TemporaryDirectory(prefix="troupe-kill-") as directory:
        worker = os.path.join(directory, "kill_worker.py")
        with open(os.path.join(ROOT, "tests/e2e/kill_worker.py")) as source, open(worker, "w") as copy:
            copy.write(source.read())
        file = os.path.join(directory, "pipeline.yaml")
        with open(file, "w") as out:
            out.write(
                PIPELINE.replace("WORKER", worker)
                .replace("SDKDIR", os.path.join(ROOT, "sdk/python"))
                .replace("TRIALS", str(TRIALS))
            )
        runs = os.path.join(directory, "runs")
        straight = subprocess.run(
            command("run", file, "--runs", runs, "--run-id", "straight"), capture_output=True, text=True, timeout=300
        )
        assert straight.returncode == 0, straight.stdout + straight.stderr
        reference = objectives(show(runs, "straight"))
        assert sorted(reference) == list(range(TRIALS))

        seen, kills, early = {}, 0, 0
        words = ["run", file, "--runs", runs, "--run-id", "killed"]
        while kills < KILLS:
            printed, ended = killed_after(words, random.randint(1, 25), random.uniform(0, 12))
            assert not ended, "it ended before it was killed:\n" + "".join(printed)
            kills += 1
            for line in printed:
                match = told.match(line)
                if match:
                    number, value = int(match[1]), float(match[2])
                    assert number not in seen, f"trial {number} was printed twice"
                    seen[number] = value
            check_database(runs, "killed")
            stored = objectives(show(runs, "killed"))
            for number, value in seen.items():
                got = stored[number]
                assert got["state"] == "ok" and math.isclose(got["objective"], value, rel_tol=1e-3), (number, got)
            words = ["run", "--resume", "killed", "--runs", runs]
        last = subprocess.run(command(*words, "--json"), capture_output=True, text=True, timeout=300)
        assert last.returncode == 0, last.stdout + last.stderr
        response = json.loads(last.stdout)
        assert response["trials"] == TRIALS, response["trials"]
        check_database(runs, "killed")
        final = objectives(show(runs, "killed"))
        assert sorted(final) == list(range(TRIALS))
        for number, trial in reference.items():
            assert final[number]["values"] == trial["values"], (number, final[number], trial)
            assert final[number]["objective"] == trial["objective"]
            early += number in seen
        best = os.listdir(os.path.join(runs, "killed", "best"))
        assert "configuration.json" in best and "prepare.artifact" in best, best
        left = workers_left(worker)
        assert not left, f"workers left behind: {left}"
        print(f"{kills} kills, {TRIALS} trials, {early} printed before a kill and kept, 0 lost, 0 twice")
        print("1 passed, 0 failed")
    return 0


sys.exit(main())
