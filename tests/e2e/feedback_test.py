"""Agents come and go while a run lasts: what the coordinator says would help is done when the pipeline file allows it, told
with what was foreseen, and taken back when it hurt. What a stage is `expected` to take decides before anything was seen, so
that no test waits for a clock.

If it failed, a run would be late that one more worker had saved, or workers would stay that only cost."""
import json
import os
import signal
import subprocess
import tempfile
import unittest

BUILD = os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
WORKER = """
import json, os, sys, threading
def say(**message):
    print(json.dumps(message), flush=True)
here = os.path.join("here", str(os.getpid()))
os.makedirs("here", exist_ok=True)
open(here, "w").close()
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "start":
        number = str(message["instance"])
        if os.environ.get("LATE") == number:
            threading.Event().wait(0.2)
        say(type="hello", protocol=1, capabilities=message["capabilities"])
    elif message["type"] == "task":
        if os.environ.get("FAILS") == number:
            os.remove(here)
            sys.exit(3)
        if "SLOW" in os.environ and int(message["id"].split("/")[1]) >= 8: # the first few are fast
            threading.Event().wait(float(os.environ["SLOW"]))
        if "CROWDED" in os.environ: # as many as there are, so much slower is each, to the third power
            threading.Event().wait(float(os.environ["CROWDED"]) * len(os.listdir("here")) ** 3)
        say(type="result", id=message["id"], attempt=message["attempt"], value=1,
            metrics={"m": message["variables"]["x"]})
    elif message["type"] == "stop":
        break
os.remove(here)
"""
PIPELINE = """
name: feedback
space: {x: {float: [0, 1]}}
agents:
  go: {command: [python3, worker.py], AGENT}
stages:
  go: {cache: false, STAGE}
objective: {stage: go, metric: m, goal: maximise}
budget: {BUDGET}
optimizer: {sampler: random}
MORE
"""


class Feedback(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory(prefix="troupe-feedback-")
        self.addCleanup(self.place.cleanup)

    def write(self, agent, stage, budget, more=""):
        text = PIPELINE.replace("AGENT", agent).replace("STAGE", stage).replace("BUDGET", budget).replace("MORE", more)
        for name, content in (("worker.py", WORKER), ("pipeline.yaml", text)):
            with open(os.path.join(self.place.name, name), "w", encoding="utf-8") as file:
                file.write(content)

    def troupe(self, *words):
        done = subprocess.run([TROUPE, *words], cwd=self.place.name, capture_output=True, text=True, timeout=500)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def finished(self, *arguments):
        response = json.loads(self.troupe("run", "pipeline.yaml", "--json", "-q", *arguments))
        shown = json.loads(self.troupe("show", response["run"], "--json"))
        return response, [event["text"] for event in shown["events"]], shown

    def test_more_come_when_tasks_would_be_late(self):
        self.write("instances: 1, instances_max: 3", "expected: 9s", "trials: 12, deadline: 60s")
        response, events, shown = self.finished()
        first = response["feedback"][0]
        self.assertEqual((first["step"], first["agent"], first["count"]), ("spawn", "go", 1), response["feedback"])
        self.assertEqual(first["foreseen_before"]["tasks"], 12)
        self.assertGreater(first["foreseen_before"]["late"], 0)
        self.assertEqual(first["foreseen_after"]["late"], 0)
        self.assertTrue(events[0].startswith("feedback: 1 more of 'go' (1 -> 2): foreseen: "), events)
        self.assertTrue(any(event.startswith("feedback: the last step foresaw 0 tasks late") for event in events))
        self.assertEqual(response["state"], "finished")
        self.assertEqual(response["counts"]["ok"], 12)
        self.assertEqual(len(shown["starts"]), 2)
        self.assertEqual(os.listdir(os.path.join(self.place.name, "here")), [])
        self.assertEqual(self.troupe("analyze", response["run"]).count("off by 0.0000 %"), 1)

    def test_no_more_trials_are_foreseen_than_there_are_configurations(self):
        self.write("instances: 1, instances_max: 3", "expected: 10s", "trials: 100, deadline: 60s")
        path = os.path.join(self.place.name, "pipeline.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read().replace("x: {float: [0, 1]}", "x: {int: [1, 5]}")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        response, events, _ = self.finished()
        self.assertEqual((response["feedback"], response["counts"]["ok"]), ([], 5), events)

    def test_no_more_than_instances_max(self):
        self.write("instances: 2, instances_max: 3", "expected: 50s", "trials: 20, deadline: 60s")
        self.assertIn("go x2 (2..3)", self.troupe("validate", "pipeline.yaml"))
        response, _, shown = self.finished()
        self.assertEqual([step["count"] for step in response["feedback"] if step["step"] == "spawn"], [1])
        self.assertEqual(len(shown["starts"]), 3)

    def test_a_recorded_run_with_feedback_is_lived_through_again(self):
        self.write("instances: 1, instances_max: 3", "expected: 9s", "trials: 12, deadline: 60s")
        response, _, _ = self.finished("--record")
        self.assertIn("as recorded", self.troupe("show", response["run"], "--replay"))
        self.assertIn("instances_max: 1, was 3",
                      self.troupe("whatif", response["run"], "--set", "agents.go.instances_max=1"))

    def test_a_recorded_run_that_some_leave_is_lived_through_again(self):
        self.write("instances: 3, instances_min: 1", "expected: 10ms", "trials: 40, parallel: 2, deadline: 600s")
        response, events, _ = self.finished("--record")
        self.assertIn("retire", [step["step"] for step in response["feedback"]], events)
        self.assertIn("as recorded", self.troupe("show", response["run"], "--replay"))

    def test_a_recorded_run_of_several_agents_that_come_is_lived_through_again(self):
        self.write("instances: 1, instances_max: 3", "expected: 9s", "trials: 12, deadline: 60s")
        path = os.path.join(self.place.name, "pipeline.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        text = text.replace("instances_max: 3}", "instances_max: 3, capabilities: [go]}\n"
                            "  ev: {command: [python3, worker.py], instances: 1, instances_max: 3, capabilities: [ev]}")
        text = text.replace("\nobjective: {stage: go", "\n  ev: {cache: false, expected: 9s, needs: [go]}\nobjective: {stage: ev")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        response, events, _ = self.finished("--record")
        self.assertIn("spawn", [step["step"] for step in response["feedback"]], events)
        self.assertIn("as recorded", self.troupe("show", response["run"], "--replay"))

    def test_idle_ones_go(self):
        self.write("instances: 3, instances_min: 1", "expected: 10ms", "trials: 6, parallel: 1, deadline: 600s")
        response, events, _ = self.finished()
        self.assertEqual([(step["step"], step["count"]) for step in response["feedback"]], [("retire", 2)])
        self.assertTrue(events[0].startswith("feedback: 2 fewer of 'go' (3 -> 1)"), events)
        self.assertEqual((response["counts"]["ok"], response["time"]["agents"]["instances"]), (6, 1))
        stays = response["time"]["agents"].get("stays", [])  # of those that were gone before the end
        self.assertLessEqual({stay["agent"] for stay in stays}, {"go/0", "go/1", "go/2"})
        self.assertIn("off by 0.0000 %", self.troupe("analyze", response["run"]))

    def test_the_one_that_fails_goes_not_the_one_that_works(self):
        self.write("instances: 2, instances_min: 1, env: {FAILS: '0'}", "expected: 10ms, retries: 9",
                   "trials: 6, parallel: 2, deadline: 600s")
        response, events, _ = self.finished()
        self.assertEqual(response["counts"]["ok"], 6, events)
        self.assertEqual([(step["step"], step["count"]) for step in response["feedback"]], [("retire", 1)], events)

    def test_a_number_that_is_used_again_is_given_up_again(self):
        self.write("instances: 2, instances_min: 1, env: {SLOW: '0.3', LATE: '1'}", "expected: 50ms",
                   "trials: 40, deadline: 9s, parallel: 2")
        response, events, _ = self.finished()
        self.assertEqual([step["step"] for step in response["feedback"]][:3], ["retire", "spawn", "retire"], events)
        stays = [stay for stay in response["time"]["agents"]["stays"] if stay["agent"] == "go/1"]
        self.assertEqual(["to_ms" in stay for stay in stays], [True, True], response["time"]["agents"]["stays"])

    def test_what_hurt_is_taken_back(self):
        self.write("instances: 1, instances_max: 2, env: {CROWDED: '0.03'}", "retries: 0", "trials: 9000, deadline: 120s")
        run = subprocess.Popen([TROUPE, "run", "pipeline.yaml"], cwd=self.place.name, stdout=subprocess.PIPE, text=True)
        lines = []
        for line in run.stdout:
            lines.append(line)
            if "taken back" in line:
                run.send_signal(signal.SIGINT)
                break
        rest = run.stdout.read()
        run.wait()
        self.assertIn("trials a second became", lines[-1])
        self.assertNotIn("feedback: 1 more", rest)
        shown = json.loads(self.troupe("show", "--json"))
        self.assertEqual([step["outcome"] for step in shown["response"]["feedback"]], ["taken back"])

    def test_late_ones_are_shed_until_they_fit(self):
        self.write("instances: 1", "expected: 20s", "trials: 12, deadline: 60s", "feedback: {shed: late}")
        response, events, _ = self.finished()
        self.assertRegex(events[0], r"feedback: \d+ of the \d+ trials to come would be late: not begun")
        self.assertEqual(response["counts"]["ok"], 12) # for they took no 20 s

    def test_advice_is_only_told(self):
        self.write("instances: 1", "expected: 9s", "trials: 12, deadline: 60s", "feedback: {apply: advise}")
        response, events, shown = self.finished()
        self.assertTrue(events[0].startswith("advice: 1 more of 'go': foreseen: "), events)
        self.assertNotIn("feedback", response)
        self.assertEqual(len(shown["starts"]), 1)

    def test_off_says_nothing(self):
        self.write("instances: 1, instances_max: 3", "expected: 9s", "trials: 12, deadline: 60s", "feedback: {apply: 'off'}")
        response, events, shown = self.finished()
        self.assertEqual((events, len(shown["starts"])), ([], 1))
        self.assertNotIn("feedback", response)


if __name__ == "__main__":
    unittest.main()
