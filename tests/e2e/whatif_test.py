#!/usr/bin/env python3
"""A real run asked what a change would gain, and the answer tried: `troupe whatif` with and without a change, --rank,
--verify, --score, the predictions in the report, and what happens beside others that write to the record of predictions.

If it failed, a person would be told a figure that is not what was predicted, or a good prediction would be forgotten."""
import fcntl
import json
import os
import subprocess
import tempfile

BUILD = os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.abspath(os.path.join(BUILD, "troupe"))
FIGURES = {"wall_ms", "throughput", "trials", "trial_mean_ms", "trial_p50_ms", "trial_p95_ms", "agents_busy_percent",
           "cores_busy_percent"}
# One worker that sleeps is what limits: the others have nothing to do.
PIPELINE = """
name: sleepy
space: {x: {float: [0, 1]}, d: {choice: [a, b]}}
agents:
  first: {once: [sh, -c, 'sleep 0.01; echo n=1'], metrics: [n], capabilities: [first]}
  work: {once: [sh, -c, 'sleep 0.1; echo m={x}'], metrics: [m], capabilities: [work]}
stages:
  first: {uses: [d]}
  work: {needs: [first], uses: [x]}
objective: {stage: work, metric: m, goal: maximise}
budget: {trials: 12}
optimizer: {sampler: random, seed: 3}
"""


def troupe(*words, status=0):
    done = subprocess.run([TROUPE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    assert done.returncode == status, (words, done.returncode, done.stderr.decode())
    return done.stdout.decode(), done.stderr.decode()


def whatif(*words):
    return json.loads(troupe("whatif", *words, "--json")[0])


def check_members(answer):
    for name in ("predicted", "interval", "recorded"):
        assert set(answer[name]) == FIGURES, (name, answer[name])
    for name in FIGURES:
        low, high = answer["interval"][name]
        assert low <= answer["predicted"][name] <= high, (name, answer["interval"][name], answer["predicted"][name])
    assert answer["limit"] and answer["replications"] >= 1 and len(answer["signature"]) == 16
    assert {"name", "text", "n", "assumed"} == set(answer["parameters"][0])
    assert any(one["n"] == 12 and not one["assumed"] for one in answer["parameters"]), answer["parameters"]


def no_change():
    answer = whatif("base")
    check_members(answer)
    assert answer["run"] == "base" and answer["changes"] == [] and answer["assumptions"] == []
    assert answer["measured"] == answer["recorded"] and answer["measured_run"] == "base"
    assert answer["error_percent"]["trials"] == 0
    again = whatif()  # the newest, and the only one
    assert again == answer, "the same question has the same answer, bit for bit"
    assert whatif("base", "--seed", "2")["signature"] != answer["signature"]
    print("no change: predicted", answer["predicted"]["wall_ms"], "recorded", answer["recorded"]["wall_ms"])


def changed():
    answer = whatif("base", "--set", "agents.work.instances=3", "--set", "budget.trials=24", "--assume", "cores=3")
    check_members(answer)
    assert answer["measured"] is None and answer["error_percent"] is None
    assert answer["assumptions"] == ["cores=3"] and answer["predicted"]["trials"] == 24
    assert [(one["path"], one["before"], one["after"]) for one in answer["changes"]] == [
        ("agents.work.instances", "1", "3"), ("budget.trials", "12", "24")], answer["changes"]
    assert "note" in answer["changes"][1]
    text, _ = troupe("whatif", "base", "--set", "agents.work.instances=3", "--set", "optimizer.seed=4")
    for part in ("agents.work.instances: 3, was 1", "wall time", "recorded", "predicted", "90 %", "limit", "assumed",
                 "other configurations"):
        assert part in text, (part, text)
    assert len(text.splitlines()) <= 30 and max(map(len, text.splitlines())) <= 110, text


def verified():
    answer = whatif("base", "--set", "agents.work.instances=3", "--verify")
    check_members(answer)
    assert answer["measured_run"] == "base-verify-1" and set(answer["measured"]) == FIGURES
    assert answer["measured"]["trials"] == 12 and answer["error_percent"]["trials"] == 0
    assert answer["measured"]["wall_ms"] < answer["recorded"]["wall_ms"], answer  # three sleep at a time
    shown = json.loads(troupe("show", "base-verify-1", "--json")[0])
    assert shown["state"] == "finished", shown
    assert os.path.exists("runs/base-verify-1/report.html")
    runs = [one["run"] for one in json.loads(troupe("runs", "--json")[0])["runs"]]
    assert sorted(runs) == ["base", "base-verify-1"], runs
    print("verified: predicted", answer["predicted"]["wall_ms"], "measured", answer["measured"]["wall_ms"])


def scored():
    before = json.loads(troupe("whatif", "--score", "--json")[0])
    assert before["whatif"]["scored"] == 1 and before["all"]["count"] > 3, before
    whatif("base", "--set", "agents.work.instances=2")
    troupe("run", "sleepy.yaml", "--set", "agents.work.instances=2", "--run-id", "later", "--quiet")
    after = json.loads(troupe("whatif", "--score", "--json")[0])
    assert after["whatif"]["scored"] > before["whatif"]["scored"], (before, after)
    wall = after["all"]["figures"]["wall_ms"]
    assert wall["count"] == after["all"]["scored"] and wall["held"] <= wall["count"], after
    worst = after["all"]["worst"]
    assert worst["measured_run"] in ("base", "base-verify-1", "later") and worst["figure"] in ("wall_ms", "throughput"), worst
    assert json.loads(troupe("whatif", "--score", "--json")[0]) == after, "what was scored is kept"
    text, _ = troupe("whatif", "--score")
    for part in ("whatif", "measured", "90 % held", "worst"):
        assert part in text, (part, text)
    text, _ = troupe("whatif", "--score", "--runs", "elsewhere")
    assert "no prediction was made" in text, text


def ranked():
    answer = whatif("base", "--rank")
    assert answer["goal"] == "wall_ms" and answer["replications"] > 1
    levers = answer["levers"]
    gains = [0 if one["nothing"] else one["gain_percent"] for one in levers if one["kind"] != "budget"]
    assert gains == sorted(gains, reverse=True), gains
    by_set = {one["set"][0]: one for one in levers if "set" in one}
    assert by_set["agents.work.instances=2"]["gain_percent"] > 20, by_set["agents.work.instances=2"]
    for useless in ("agents.first.instances=2", "stages.work.cache=false"):
        assert by_set[useless]["nothing"], by_set[useless]
    assert {one["kind"] for one in levers} == {"more", "hand", "reuse", "search", "faster", "cores", "budget"}
    for one in levers:
        assert set(one["predicted"]) == FIGURES and one["text"] and one["limit"], one
    assert whatif("base", "--rank") == answer
    text, _ = troupe("whatif", "base", "--rank")
    for part in ("one more instance of 'work' (2)", "--set agents.work.instances=2", "nothing by", "budget", "limit"):
        assert part in text, (part, text)
    both = whatif("base", "--rank", "--verify")
    best = next(one for one in both["levers"] if "set" in one)
    assert both["verified"]["sets"] == best["set"] and both["verified"]["measured_run"] == "base-verify-2", both
    none = whatif("base", "--set", "agents.work.instances=12", "--set", "agents.first.instances=12", "--rank",
                  "--verify", "--runs", "runs")
    assert none["verified"] is None or none["verified"]["measured_run"] == "base-verify-3", none["verified"]


def reported():
    with open("runs/base/report.html", encoding="utf-8") as file:
        page = file.read()
    for part in ("What a change would gain", "one more instance of &#39;work&#39; (2)",
                 "troupe whatif base --set agents.work.instances=2"):
        assert part in page, part
    text, _ = troupe("analyze", "base")
    assert "What a change would gain" in text and "troupe whatif base --set agents.work.instances=2" in text, text


def beside_others():
    """Another process that writes is waited for, for a while; then the answer comes all the same."""
    count = json.loads(troupe("whatif", "--score", "--json")[0])["all"]["count"]
    with open("runs/.predictions/lock", "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        out, err = troupe("whatif", "base", "--set", "agents.work.instances=7", "--json")
        assert json.loads(out)["predicted"] and "was not kept" in err, (out, err)
    assert json.loads(troupe("whatif", "--score", "--json")[0])["all"]["count"] == count
    whatif("base", "--set", "agents.work.instances=7")
    assert json.loads(troupe("whatif", "--score", "--json")[0])["all"]["count"] == count + 1


def main():
    with tempfile.TemporaryDirectory(prefix="troupe-whatif-") as directory:
        os.chdir(directory)
        with open("sleepy.yaml", "w", encoding="utf-8") as file:
            file.write(PIPELINE)
        troupe("run", "sleepy.yaml", "--run-id", "base", "--quiet")
        for step in (no_change, changed, verified, scored, ranked, reported, beside_others):
            step()
            print("ok", step.__name__)
        os.chdir("/")


main()
