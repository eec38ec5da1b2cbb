"""`troupe explain`: why a task went to the agent that did it, from the store of a run: the chosen one, those that would have
been later, those that cannot do it; each attempt of a task that failed; and clear words for what there is not.

If it failed, nobody could tell why one agent has all the work, or trust what is said of it."""
import json
import os
import subprocess
import tempfile
import unittest

BUILD = os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
WORKER = """
import json, os, sys
def say(**message):
    print(json.dumps(message), flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        say(type="hello", protocol=1, capabilities=message["capabilities"])
    elif message["type"] == "task":
        if message["trial"] == 2 and message["attempt"] == 1 and message["stage"] == "train":
            say(type="error", id=message["id"], attempt=1, retryable=True, message="not this time")
        else:
            say(type="result", id=message["id"], attempt=message["attempt"], value=1,
                metrics={"m": message["variables"].get("x", 0)})
    elif message["type"] == "stop":
        break
"""
PIPELINE = """
name: explained
space: {x: {float: [0, 1]}}
agents:
  prepare: {command: [python3, worker.py]}
  train: {command: [python3, worker.py], instances: 2}
stages:
  prepare: {uses: []}
  train: {needs: [prepare], cache: false}
objective: {stage: train, metric: m, goal: maximise}
budget: {trials: 6, parallel: 2}
"""


class Explain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix="troupe-explain-")
        for name, content in (("worker.py", WORKER), ("pipeline.yaml", PIPELINE)):
            with open(os.path.join(cls.place.name, name), "w", encoding="utf-8") as file:
                file.write(content)
        subprocess.run([TROUPE, "run", "pipeline.yaml", "-q", "--run-id", "r"], cwd=cls.place.name, check=True,
                       capture_output=True, timeout=500)

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def explain(self, *words, status=0):
        done = subprocess.run([TROUPE, "explain", *words], cwd=self.place.name, capture_output=True, text=True,
                              check=False, timeout=500)
        self.assertEqual(done.returncode != 0, status != 0, done)
        return done.stdout if status == 0 else done.stderr

    def test_the_chosen_one_and_those_that_lost(self):
        for trial in range(6):
            told = json.loads(self.explain("r", f"{trial}/train", "--json"))
            candidates = told["decision"]["candidates"]
            self.assertEqual(candidates[0]["verdict"], "chosen")
            self.assertEqual(candidates[0]["agent"], told["agent"])
            self.assertEqual({one["agent"] for one in candidates}, {"train/0", "train/1", "prepare/0"})
            self.assertEqual([one["verdict"] for one in candidates if one["agent"] == "prepare/0"], ["incapable"])
            self.assertTrue(told["ready_ms"] <= told["decision"]["at_ms"] <= told["started_ms"] <= told["ended_ms"], told)
            for one in candidates:
                self.assertEqual("finish_ms" in one, one["verdict"] != "incapable", one)

    def test_for_a_person(self):
        text = self.explain("0/train")
        self.assertRegex(text.splitlines()[0], r"^0/train/\d of r: ok, at train/[01]$")
        self.assertRegex(text, r"train/[01] +0 +[\d.]+ s +[\d.]+ s  chosen\n")
        self.assertIn("lacks the capability 'train'", text)
        self.assertRegex(text, r"train/[01] +[\d.]+ s +[\d.]+ s  in fact\n")

    def test_each_attempt(self):
        first = json.loads(self.explain("r", "2/train/1", "--json"))
        last = json.loads(self.explain("r", "2/train", "--json"))
        self.assertEqual((first["attempt"], first["state"]), (1, "failed"))
        self.assertEqual((last["attempt"], last["state"]), (2, "ok"))
        self.assertIn("not this time", self.explain("2/train/1"))

    def test_what_there_is_not(self):
        for word, says in (("7/train", "there is no trial 7"), ("0/trian", "did you mean 'train'?"),
                           ("1/train/9", "no such attempt of stage 'train'"), ("1/prepare", "from another trial"),
                           ("train", "expected TRIAL/STAGE"), ("1/", "expected TRIAL/STAGE"),
                           ("-1/train", "option"), ("1/train/0", "expected TRIAL/STAGE"), ("1/train/x", "expected TRIAL"),
                           ("99999999999/train", "expected TRIAL/STAGE")):
            self.assertIn(says, self.explain(word, status=1), word)
        self.assertIn("'other'", self.explain("other", "1/train", status=1))


if __name__ == "__main__":
    unittest.main()
