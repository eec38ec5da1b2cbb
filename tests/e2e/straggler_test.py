"""A stage that says `idempotent: true`: one of its tasks hangs for ten minutes in its first worker, and the run ends all the
same, for the other worker does it too; the hanging one is stopped. Without the key the run waits, here for its timeout.

If it failed, one slow worker would hold up a run whose other workers are idle."""
import json
import os
import subprocess
import tempfile
import unittest

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
TRIALS, HANGS = 40, 30
WORKER = """
import json, os, sys, threading
def say(**message):
    print(json.dumps(message), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        say(type="hello", protocol=1, capabilities=message["capabilities"])
    elif message["type"] == "task":
        if message["trial"] == HANGS and not os.path.exists("begun"):
            open("begun", "w").close()
            threading.Event().wait(600)
            open("ended", "w").close()
        say(type="result", id=message["id"], attempt=message["attempt"], value=1,
            metrics={"m": message["variables"]["x"]})
    elif message["type"] == "stop":
        break
"""
PIPELINE = """
name: straggler
space: {x: {float: [0, 1]}}
agents:
  go: {command: [python3, worker.py], instances: 2}
stages:
  go: {cache: false, retries: 1KEYS}
objective: {stage: go, metric: m, goal: maximise}
budget: {trials: TRIALS, parallel: 1}
"""


class Straggler(unittest.TestCase):
    def run_with(self, keys):
        with tempfile.TemporaryDirectory() as place:
            with open(os.path.join(place, "worker.py"), "w", encoding="utf-8") as file:
                file.write(WORKER.replace("HANGS", str(HANGS)))
            with open(os.path.join(place, "pipeline.yaml"), "w", encoding="utf-8") as file:
                file.write(PIPELINE.replace("TRIALS", str(TRIALS)).replace("KEYS", keys))
            done = subprocess.run([TROUPE, "run", "pipeline.yaml", "--json", "-q"], cwd=place, capture_output=True,
                                  text=True, timeout=500)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(os.path.exists(os.path.join(place, "begun")))
            self.assertFalse(os.path.exists(os.path.join(place, "ended")))
            return json.loads(done.stdout)

    def test_it_is_doubled(self):
        summary = self.run_with(", idempotent: true")
        self.assertEqual(summary["counts"]["tasks"], TRIALS, summary)

    def test_it_is_waited_for(self):
        summary = self.run_with(", timeout: 3s")
        self.assertEqual(summary["counts"]["tasks"], TRIALS + 1, summary)


if __name__ == "__main__":
    unittest.main(verbosity=2)
