"""`troupe run --record` and `troupe show --replay`: a recorded run decides again as it did, up to a chosen trial or to its
end, also one that was interrupted or killed; what differs is named, and damaged records are refused.

If it failed, somebody would debug a run that never was."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import unittest

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
PIPELINE = """
name: recorded
space:
  x: {float: [0, 2], default: 0.1}
  k: {int: [1, 30], default: 3}
agents:
  worker: {command: [python3, WORKER], instances: 3, capabilities: [prepare, train]}
stages:
  prepare: {uses: [k]}
  train: {needs: [prepare], retries: 2}
objective: {stage: train, metric: score, goal: maximise}
budget: {trials: 30, parallel: 5}
optimizer: {sampler: tpe, seed: 5, startup: 6}
"""


class Replay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.runs = os.path.join(cls.place.name, "runs")
        cls.pipeline = os.path.join(cls.place.name, "pipeline.yaml")
        with open(cls.pipeline, "w", encoding="utf-8") as file:
            file.write(PIPELINE.replace("WORKER", os.path.join(ROOT, "tests", "e2e", "replay_worker.py")))
        done = cls.run_troupe("run", cls.pipeline, "--record", "--run-id", "whole", "-q")
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    @classmethod
    def run_troupe(cls, *words):
        return subprocess.run([TROUPE, *words, "--runs", cls.runs], capture_output=True, text=True, check=False)

    def replay(self, run, *words, status=0):
        done = self.run_troupe("show", run, "--replay", "--json", *words)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return json.loads(done.stdout)

    def copy(self, name):
        shutil.copytree(os.path.join(self.runs, "whole"), os.path.join(self.runs, name))
        return os.path.join(self.runs, name, "turns.bin")

    def test_a_run_decides_again_as_it_did(self):
        report = self.replay("whole")
        self.assertTrue(report["as_recorded"])
        self.assertEqual((report["asked"], report["told"]), (30, 30))
        self.assertGreaterEqual(report["assigned"], 30)
        self.assertEqual(report["turns"], report["turns_recorded"])
        self.assertGreaterEqual(report["reads"], 3)  # each instance's row at least
        self.assertFalse(report["record_broke_off"])

    def test_it_stops_where_it_is_told_to(self):
        for trial in (0, 7, 29):
            report = self.replay("whole", "--until-trial", str(trial))
            self.assertTrue(report["reached"])
            self.assertEqual(report["asked"], trial)
        done = self.run_troupe("show", "whole", "--replay", "--until-trial", "30")
        self.assertEqual(done.returncode, 5)
        self.assertIn("has no trial 30", done.stderr)

    @unittest.skipUnless(shutil.which("gdb"), "no gdb")
    @unittest.skipIf(os.environ.get("TROUPE_SANITIZE", "none") != "none", "a debugger under a sanitizer")
    def test_a_debugger_stops_in_the_engines_turn(self):
        done = subprocess.run(["gdb", "-batch", "-ex", "break replay_reached", "-ex", "run", "-ex", "bt", "--args", TROUPE,
                               "show", "whole", "--replay", "--until-trial", "7", "--runs", self.runs],
                              capture_output=True, text=True, check=False)
        if "ptrace" in done.stderr:
            self.skipTest("no tracing here")
        self.assertIn("replay_reached", done.stdout)
        self.assertIn("run_continue", done.stdout)

    def test_an_interrupted_run_is_replayed_to_its_end(self):
        child = subprocess.Popen([TROUPE, "run", self.pipeline, "--record", "--run-id", "stopped", "--trials", "100000",
                                  "--runs", self.runs], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in child.stdout:
            if line.startswith("trial"):
                child.send_signal(signal.SIGINT)
                break
        child.communicate()
        self.assertEqual(child.returncode, 130)
        report = self.replay("stopped")
        self.assertTrue(report["as_recorded"])
        self.assertGreaterEqual(report["told"], 1)

    def test_a_killed_run_is_replayed_as_far_as_its_record_goes(self):
        child = subprocess.Popen([TROUPE, "run", self.pipeline, "--record", "--run-id", "killed", "--trials", "100000",
                                  "--runs", self.runs], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        turns = os.path.join(self.runs, "killed", "turns.bin")
        for line in child.stdout:
            if line.startswith("trial") and os.path.getsize(turns) > 16384:
                child.kill()
                break
        child.communicate()
        report = self.replay("killed")
        self.assertTrue(report["record_broke_off"])
        self.assertGreaterEqual(report["told"], 1)
        with open(turns, "r+b") as file:  # killed while it wrote
            file.truncate(os.path.getsize(turns) * 3 // 4 - 7)
        shorter = self.replay("killed")
        self.assertTrue(shorter["record_broke_off"])
        self.assertLess(shorter["turns_recorded"], report["turns_recorded"])

    def test_a_difference_is_named(self):
        self.copy("other")
        with sqlite3.connect(os.path.join(self.runs, "other", "store.db")) as store:
            store.execute("UPDATE record SET text = replace(text, '\"k\":', '\"k\":1') WHERE kind = 2 AND trial = 3")
        store.close()
        report = self.replay("other", status=1)
        self.assertIn("trial 3 has k = ", report["difference"])
        self.copy("elsewhere")
        with sqlite3.connect(os.path.join(self.runs, "elsewhere", "store.db")) as store:
            store.execute("UPDATE record SET text = json_set(text, '$.agent', (json_extract(text, '$.agent') + 1) % 3) "
                          "WHERE kind = 3 AND trial = 2 AND stage = 0")
        store.close()
        report = self.replay("elsewhere", status=1)
        self.assertRegex(report["difference"], "trial 2, stage prepare, attempt 1 went to worker/., *|recorded is worker/")

    def test_damage_is_refused(self):
        with open(self.copy("damaged"), "r+b") as turns:
            turns.seek(300)
            byte = turns.read(1)
            turns.seek(300)
            turns.write(bytes([byte[0] ^ 4]))
        with open(self.copy("cut"), "r+b") as turns:
            turns.truncate(1000)
        with open(self.copy("aged"), "r+b") as turns:
            turns.seek(8)
            turns.write(b"\x63")
        for run, status, text in (("damaged", 8, "turns.bin: byte 80: a block that does not fit its check"),
                                  ("cut", 8, "the file ends inside a block: it was cut short"),
                                  ("aged", 8, "of format 99; this program reads format 1")):
            done = self.run_troupe("show", run, "--replay")
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(text, done.stderr)

    def test_what_was_not_recorded_is_told(self):
        self.assertEqual(self.run_troupe("run", self.pipeline, "--run-id", "plain", "--trials", "2", "-q").returncode, 0)
        done = self.run_troupe("show", "plain", "--replay")
        self.assertEqual(done.returncode, 5)
        self.assertIn("started with `troupe run --record`", done.stderr)
        for words in (("--until-trial", "3"), ("--replay", "--all")):
            self.assertEqual(self.run_troupe("show", "plain", *words).returncode, 2)
        done = self.run_troupe("run", "--resume", "plain", "--record")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--record", done.stderr)


if __name__ == "__main__":
    unittest.main()
