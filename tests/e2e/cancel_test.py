"""A run that is interrupted: what runs is cancelled, what does not stop by itself is killed, and nothing that a task started
is left, although `stop_grace` is ten minutes. The run can be resumed, and nothing was told that did not end.

If it failed, one Ctrl-C would leave processes behind, or a person waiting for a worker that is not needed any more."""
import json
import os
import select
import signal
import subprocess
import tempfile
import unittest

BUILD = os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
MARK = f"27182{os.getpid():07d}"
WORKER = """
import json, os, signal, subprocess, sys
kind = sys.argv[1]
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        print(json.dumps({"type": "hello", "protocol": 1, "capabilities": message["capabilities"]}), flush=True)
    elif message["type"] == "task":
        child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep MARK & echo; wait; wait"], stdout=subprocess.PIPE)
        child.stdout.readline()
        with open(kind, "w") as pipe:
            pipe.write("x")
        if kind == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        asked = message
    elif message["type"] == "cancel":
        with open("grace", "w") as file:
            file.write(str(message["grace_ms"]))
        os.killpg(0, signal.SIGKILL)
    elif message["type"] == "stop":
        break
""".replace("MARK", MARK)
PIPELINE = f"""
name: cancelled
space: {{x: {{float: [0, 1]}}}}
agents:
  willing: {{command: [python3, worker.py, willing]}}
  deaf: {{command: [python3, worker.py, deaf]}}
  once: {{once: [sh, -c, "trap '' TERM; sleep {MARK} & printf x > once; wait; wait"], metrics: [m]}}
  last: {{command: [python3, worker.py, last]}}
stages:
  willing: {{}}
  deaf: {{}}
  once: {{}}
  last: {{needs: [willing, deaf, once]}}
objective: {{stage: last, metric: m, goal: maximise}}
budget: {{trials: 3}}
options: {{stop_grace: 600s}}
"""


def left_over():
    found = []
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                with open(f"/proc/{process}/cmdline", "rb") as file:
                    if MARK.encode() in file.read().split(b"\0"):
                        found.append(process)
            except OSError:
                pass
    return found


class Cancel(unittest.TestCase):
    def test_nothing_is_left_and_nothing_was_told(self):
        with tempfile.TemporaryDirectory(prefix="troupe-cancel-") as place:
            for name, content in (("worker.py", WORKER), ("pipeline.yaml", PIPELINE)):
                with open(os.path.join(place, name), "w", encoding="utf-8") as file:
                    file.write(content)
            kinds = ("willing", "deaf", "once")
            for kind in kinds:
                os.mkfifo(os.path.join(place, kind))
            run = subprocess.Popen([TROUPE, "run", "pipeline.yaml", "--run-id", "r"], cwd=place, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
            for kind in kinds:  # each has begun, and its child with it
                pipe = os.open(os.path.join(place, kind), os.O_RDONLY | os.O_NONBLOCK)
                ready = select.select([pipe], [], [], 120)[0]
                if not ready or os.read(pipe, 1) != b"x":
                    run.kill()
                    self.fail(f"{kind} has not begun: {run.communicate()[0]}")
                os.close(pipe)
            while len(left_over()) < 3:  # a child has spoken, and is not yet the program that it becomes
                self.assertIsNone(run.poll())
            run.send_signal(signal.SIGINT)
            said, _ = run.communicate(timeout=300)
            self.assertEqual(left_over(), [], said)
            with open(os.path.join(place, "grace"), encoding="utf-8") as file:
                self.assertEqual(file.read(), "50")
            shown = json.loads(subprocess.run([TROUPE, "show", "r", "--json"], cwd=place, check=True, capture_output=True).stdout)
            self.assertEqual((shown["state"], shown["told"], shown["failed"]), ("stopped", 0, 0), said)


if __name__ == "__main__":
    unittest.main()
