"""bench/cancel.py TROUPE [N]: how long after SIGINT of a run (N times, 20) its tasks have ended, their processes' children
included. Four workers each have a task and a child of their own: one stops when it is told to, one reads nothing and ignores
SIGTERM, and two run a plain command (`once`), of which one ignores SIGTERM. One JSON object a kind, and one of the run.

Processes are found by an argument that nobody else has; /proc is looked at without a pause."""
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

TROUPE = os.path.abspath(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
MARK = f"31415{os.getpid():07d}"  # seconds that the children sleep: nobody waits for them
SPEAKING = """
import json, os, subprocess, sys
kind = sys.argv[1]
child = None
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        print(json.dumps({"type": "hello", "protocol": 1, "capabilities": message["capabilities"]}), flush=True)
    elif message["type"] == "task":
        deaf = kind == "deaf"
        child = subprocess.Popen(["sh", "-c", ("trap '' TERM; " if deaf else "") + "sleep MARK.%d & wait; wait" % deaf])
        open(kind, "w").close()
        while deaf:
            child.wait()
        asked = message
    elif message["type"] == "cancel":
        child.kill()
        subprocess.run(["pkill", "-f", "sleep MARK.0"])
        print(json.dumps({"type": "error", "id": asked["id"], "attempt": asked["attempt"], "message": "cancelled"}), flush=True)
    elif message["type"] == "stop":
        break
""".replace("MARK", MARK)
KINDS = ("willing", "deaf", "once", "once_deaf")
ONCE = {"once": f"touch once; sleep {MARK}.2 & wait", "once_deaf": f"trap '' TERM; touch once_deaf; sleep {MARK}.3 & wait; wait"}
PIPELINE = {
    "name": "cancelled",
    "space": {"x": {"float": [0, 1]}},
    "agents": {
        **{kind: {"command": ["python3", "speaking.py", kind]} for kind in KINDS[:2]},
        **{kind: {"once": ["sh", "-c", ONCE[kind]], "metrics": ["m"]} for kind in KINDS[2:]},
        "last": {"command": ["python3", "speaking.py", "last"]},
    },
    "stages": {**{kind: {} for kind in KINDS}, "last": {"needs": list(KINDS)}},
    "objective": {"stage": "last", "metric": "m", "goal": "maximise"},
    "budget": {"trials": 1},
}


def alive():
    """By kind, whether one of its sleeping children lives."""
    found = set()
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                with open(f"/proc/{process}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[0] == b"sleep" and words[1].startswith(MARK.encode()):
                found.add(KINDS[int(words[1].split(b".")[1])])
    return found


def once(place):
    run = subprocess.Popen([TROUPE, "run", "pipeline.json", "-q", "--no-store"], cwd=place, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    while not all(os.path.exists(os.path.join(place, kind)) for kind in KINDS) or len(alive()) < len(KINDS):
        if run.poll() is not None:
            sys.exit(f"bench/cancel.py: the run ended before it was cancelled: {run.returncode}")
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    gone = {}
    while len(gone) < len(KINDS) and time.monotonic() - began < 30:
        living = alive()
        for kind in KINDS:
            if kind not in living:
                gone.setdefault(kind, time.monotonic() - began)
    run.wait()
    gone["run"] = time.monotonic() - began
    for kind in KINDS:
        os.remove(os.path.join(place, kind))
    return gone


def main():
    times = {kind: [] for kind in (*KINDS, "run")}
    with tempfile.TemporaryDirectory(prefix="troupe-cancel-") as place:
        for name, content in (("speaking.py", SPEAKING), ("pipeline.json", json.dumps(PIPELINE))):
            with open(os.path.join(place, name), "w", encoding="utf-8") as file:
                file.write(content)
        for _ in range(ROUNDS):
            for kind, took in once(place).items():
                times[kind].append(took * 1e3)
    for kind, took in times.items():
        print(json.dumps({"bench": "cancel", "of": kind, "n": len(took), "p50_ms": round(statistics.median(took), 1),
                          "max_ms": round(max(took), 1)}))


main()
