"""Runs that cannot be gone on with or shown: in use, unknown, damaged, newer, on a full disk."""

import json
import os
import re
import resource
import shutil
import sqlite3
import subprocess
import threading

from bad_table import GOOD, Case, SkipCase, edited

RESUME = ["run", "--resume", "r"]


def run_first(directory, troupe):
    """A run that finished, for the case to spoil."""
    subprocess.run([troupe, "run", "bad.yaml", "--run-id", "r", "-q"], cwd=directory, check=True,
                   capture_output=True, timeout=60)


def spoiled(spoil):
    def before(directory, troupe):
        run_first(directory, troupe)
        run = os.path.join(directory, "runs/r")
        for name in ("store.db-wal", "store.db-shm"):
            if os.path.exists(os.path.join(run, name)):
                os.remove(os.path.join(run, name))
        spoil(run)
    return before


def write_store(content):
    def spoil(run):
        with open(os.path.join(run, "store.db"), "wb") as file:
            file.write(content)
    return spoil


def overwrite_pages(run):
    """Every page but the first, in the middle of the file: found when its rows are read."""
    path = os.path.join(run, "store.db")
    with open(path, "r+b") as file:
        for page in range(1, os.path.getsize(path) // 4096):
            file.seek(page * 4096)
            file.write(b"\xa5" * 4096)


def newer_schema(run):
    database = sqlite3.connect(os.path.join(run, "store.db"))
    database.execute("PRAGMA user_version = 99")
    database.commit()
    database.close()


def write_definition(text):
    def spoil(run):
        database = sqlite3.connect(os.path.join(run, "store.db"))
        database.execute("UPDATE record SET text = ? WHERE kind = 0", (text,))
        database.commit()
        database.close()
    return spoil


def remove_definition(run):
    database = sqlite3.connect(os.path.join(run, "store.db"))
    database.execute("DELETE FROM record WHERE kind = 0")
    database.commit()
    database.close()


def remove(name):
    def spoil(run):
        path = os.path.join(run, name)
        shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    return spoil


def on_spoiled(name, status, says, spoil):
    """The same for --resume and for show."""
    return [Case(f"resume: {name}", status, says, pipeline=GOOD, args=RESUME, before=spoiled(spoil)),
            Case(f"show: {name}", status, says, pipeline=GOOD, args=["show", "r"], before=spoiled(spoil))]


# ---- a store whose rows were written by somebody else ----

MUTATIONS = [
    *[f"UPDATE record SET text = '{text}' WHERE kind = :kind" for text in
      ("", "{", "[]", "null", "{\"x\": \"far\", \"kind\": 7}", "{\"x\": 0.5}", "{\"value\": {}, \"metrics\": [1]}")],
    "UPDATE record SET text = substr(text, 1, length(text) / 2) WHERE kind = :kind",
    *[f"UPDATE record SET {column} = {value} WHERE id = (SELECT max(id) FROM record WHERE kind = :kind)"
      for column in ("a", "b", "trial", "stage", "attempt") for value in (-1, 77, 9223372036854775807)],
    "UPDATE record SET value = 9e999 WHERE kind = :kind",
    "UPDATE record SET utc_ns = -1 WHERE kind = :kind",
    "UPDATE record SET name = '../../x' WHERE kind = :kind",
    "DELETE FROM record WHERE kind = :kind",
]


def twist(value, how):
    """JSON of the same shape with every leaf (or every container) of another kind."""
    if isinstance(value, dict):
        return {key: twist(item, how) for key, item in value.items()} if how != "flat" else list(value.values())
    if isinstance(value, list):
        return [twist(item, how) for item in value] if how != "flat" else {"a": len(value)}
    if how == "numbers":
        return 7
    if how == "texts":
        return "x"
    return None if how == "nulls" else value


def twisted(how):
    def change(database, kind):
        for number, text in database.execute("SELECT id, text FROM record WHERE kind = ?", (kind,)).fetchall():
            if text[:1] in "{[":
                text = json.dumps(twist(json.loads(text), how))
                database.execute("UPDATE record SET text = ? WHERE id = ?", (text, number))
    change.__name__ = f"all {how}"
    return change


MUTATIONS += [twisted(how) for how in ("numbers", "texts", "nulls", "flat")]


def mutated(directory, kind, mutation):
    """A copy of run r as run m with one thing changed; False where the schema forbids it."""
    target = os.path.join(directory, "runs/m")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(os.path.join(directory, "runs/r"), target)
    database = sqlite3.connect(os.path.join(target, "store.db"))
    try:
        if callable(mutation):
            mutation(database, kind)
        else:
            database.execute(mutation, {"kind": kind})
        database.commit()
        return True
    except sqlite3.Error:
        return False
    finally:
        database.close()


def rows_of_a_stranger(directory, finished):
    """Whatever the rows hold, show and --resume end with a status and a message."""
    troupe, problems, tried = finished.args[0], [], 0
    database = sqlite3.connect(os.path.join(directory, "runs/r/store.db"))
    kinds = [row[0] for row in database.execute("SELECT DISTINCT kind FROM record ORDER BY kind")]
    database.close()
    for kind in kinds:
        for mutation in MUTATIONS:
            if not mutated(directory, kind, mutation):
                continue
            tried += 1
            for words in (["show", "m", "--json"], ["analyze", "m"],
                          ["run", "--resume", "m", "-q", "--set", "budget.trials=5"]):
                ended = subprocess.run([troupe, *words], cwd=directory, capture_output=True, timeout=60, check=False)
                says = ended.stdout + ended.stderr
                if ended.returncode < 0 or ended.returncode in (70, 99) or b"Sanitizer" in says or b"failed: " in says:
                    what = getattr(mutation, "__name__", mutation)
                    problems.append(f"kind {kind}, {what}: `troupe {' '.join(words)}` ends with {ended.returncode}: "
                                    f"{says.decode(errors='replace')[-600:]}")
    return problems if tried > 50 else problems + [f"only {tried} mutations were tried"]


# ---- a live run ----

class Live:
    """A run that is going on: its worker waits in the middle of trial 0 until the case is over."""

    def __init__(self):
        self.process = None

    def start(self, directory, troupe):
        fifo = os.path.join(directory, "hanging")
        os.mkfifo(fifo)
        self.process = subprocess.Popen([troupe, "run", "bad.yaml", "--run-id", "r"], cwd=directory,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # A run that fails to start closes its end of the pipe; then the fifo is opened here, so nothing waits for ever.
        watcher = threading.Thread(target=self.unblock, args=(fifo,), daemon=True)
        watcher.start()
        with open(fifo, encoding="ascii"):
            pass
        if self.process.poll() is not None:
            raise AssertionError("the live run did not start")
        return self.stop

    def unblock(self, fifo):
        self.process.wait()
        if os.path.exists(fifo):  # else the case is over
            os.close(os.open(fifo, os.O_RDWR))

    def stop(self):
        self.process.kill()
        self.process.wait(timeout=30)
        self.process.stdout.close()

    def untouched(self, directory, _finished):
        problems = []
        if self.process.poll() is not None:
            problems.append(f"the live run ended with {self.process.returncode}")
        if len(os.listdir(os.path.join(directory, "runs/r/work"))) == 0:
            problems.append("the live run's work was removed")
        if os.path.exists(os.path.join(directory, "runs/r/report.html")):
            problems.append("a report of the live run was written")
        return problems


def on_live(name, status, says, args):
    live = Live()
    return Case(name, status, says, args=args, before=live.start, after=live.untouched, keeps_run=True,
                pipeline=edited((", good]", ", hangs]"), ("timeout: 5s", "timeout: 300s")))


# ---- a full disk ----

LONG = edited(("trials: 4", "trials: 100000"))


def fill(path, left):
    """Leaves `left` bytes free on the file system of `path`."""
    with open(path, "wb") as file:
        state = os.statvfs(os.path.dirname(path))
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - left)


class Disk:
    """A file system of 4 MiB with `left` bytes free, at runs/. Needs root; the case is skipped without it."""

    def __init__(self, left):
        self.left = left

    def mount(self, directory, _troupe):
        runs = os.path.join(directory, "runs")
        os.mkdir(runs)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", runs], check=False,
                                 capture_output=True)
        if mounted.returncode != 0:
            raise SkipCase(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
        fill(os.path.join(runs, "filler"), self.left)
        return lambda: subprocess.run(["umount", "-l", runs], check=True)


def nothing_lost(directory, finished):
    """Every trial that was printed is in the store, and the run goes on where there is room."""
    printed = {int(number) for number in re.findall(rb"^trial (\d+) ", finished.stdout, re.M)}
    filler = os.path.join(directory, "runs/filler")
    if os.path.exists(filler):
        os.remove(filler)
    troupe = finished.args[0]
    shown = subprocess.run([troupe, "show", "r", "--json"], cwd=directory, capture_output=True, timeout=30, check=False)
    if shown.returncode != 0:
        return [f"`troupe show r` ends with {shown.returncode}: {shown.stderr}"]
    kept = {trial["number"] for trial in json.loads(shown.stdout)["trials"] if trial["state"] == "ok"}
    problems = [] if printed <= kept else [f"printed but not kept: {sorted(printed - kept)}"]
    trials = len(kept) + 3
    resumed = subprocess.run([troupe, "run", "--resume", "r", "--set", f"budget.trials={trials}", "--json"],
                             cwd=directory, capture_output=True, timeout=60, check=False)
    if resumed.returncode != 0:
        return problems + [f"--resume ends with {resumed.returncode}: {resumed.stderr}"]
    counts = json.loads(resumed.stdout)["counts"]
    if counts["ok"] != trials:
        problems.append(f"{counts} after --resume, expected {trials} ok")
    return problems


FULL = ["store.db: no space left", "what was committed before is safe", "--resume r"]


def limit_file_size():
    resource.setrlimit(resource.RLIMIT_FSIZE, (300 << 10, 300 << 10))


CASES = [
    Case("run id is taken", "EXISTS", ["'r' exists already", "--resume r", "--run-id"], pipeline=GOOD,
         before=run_first, keeps_run=True),
    on_live("second resume of a live run", "LOCKED", ["runs/r: the run is in use by the process with pid"], RESUME),
    on_live("run id of a live run", "EXISTS", ["'r' exists already"], ["run", "bad.yaml", "--run-id", "r"]),
    Case("resume of an unknown run", "NOT_FOUND", ["no run 'r'", "troupe runs"], args=RESUME),
    Case("resume of the newest of none", "NOT_FOUND", ["no runs"], args=["run", "--resume"]),
    Case("resume with another seed", "USAGE", ["--resume", "only the budget"], pipeline=GOOD,
         args=[*RESUME, "--seed", "3"], before=run_first),
    Case("resume with another space", "USAGE", ["--set", "budget", "space.x"], pipeline=GOOD,
         args=[*RESUME, "--set", "space.x.default=0.1"], before=run_first),
    Case("resume without a store", "USAGE", ["--no-store"], pipeline=GOOD, args=[*RESUME, "--no-store"],
         before=run_first),
    Case("show of an unknown run", "NOT_FOUND", ["no run 'r'"], args=["show", "r"]),
    Case("show with an unknown option", "USAGE", ["--jsn", "--json"], args=["show", "r", "--jsn"]),
    Case("runs directory is a file", "EXISTS", ["bad.yaml", "expected a directory"], pipeline=GOOD,
         args=["run", "bad.yaml", "--run-id", "r", "--runs", "bad.yaml"]),
    *on_spoiled("text for a store", "CORRUPT", ["store.db", "damaged"], write_store(b"not a database\n" * 400)),
    *on_spoiled("bytes for a store", "CORRUPT", ["store.db", "damaged"], write_store(bytes(range(256)) * 64)),
    *on_spoiled("pages overwritten", "CORRUPT", ["store.db", "damaged"], overwrite_pages),
    *on_spoiled("empty store", "NOT_FOUND", ["store.db", "nothing was ever committed"], write_store(b"")),
    *on_spoiled("newer schema", "NEWER", ["store.db", "version 99", "newer program"], newer_schema),
    *on_spoiled("no store", "NOT_FOUND", ["no run 'r'"], remove("store.db")),
    *on_spoiled("no definition", "NOT_FOUND", ["nothing was ever committed"], remove_definition),
    *on_spoiled("definition cut short", "CORRUPT", ["runs/r:1:", "damaged"], write_definition('{"pipe')),
    *on_spoiled("definition without a pipeline", "CORRUPT", ["runs/r", "lacks"], write_definition("{}")),
    Case("rows of a stranger", "OK", [], pipeline=GOOD, args=["show", "r"], before=run_first,
         after=rows_of_a_stranger, limit_s=300),
    Case("disk full at the start", "DISK_FULL", ["no space left"], pipeline=GOOD, before=Disk(0).mount),
    Case("disk full on the way", "DISK_FULL", FULL, pipeline=LONG,
         before=Disk(400 << 10).mount, after=nothing_lost),
    Case("file size limit on the way", "DISK_FULL", FULL, pipeline=LONG, after=nothing_lost,
         preexec=limit_file_size),
]
