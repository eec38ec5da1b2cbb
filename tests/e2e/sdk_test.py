"""Tests of the Python SDK, of the protocol's schema, and of the example workers, each as a child process."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sdk_schema import ROOT, check_from_troupe, check_from_worker, strict_json  # noqa: E402

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sdk_worker.py")
START = {"type": "start", "protocol": 1, "instance": 2, "agent": "a", "capabilities": ["echo"],
         "options": {"epochs": 3}}


def task(capability, trial=0, attempt=1, **more):
    fields = {"type": "task", "id": "r/%d/s/%d" % (trial, attempt), "run": "r", "trial": trial, "stage": "s",
              "attempt": attempt, "capability": capability, "variables": {}, "inputs": {}, "data": {}, "seed": 17}
    fields.update(more)
    return fields


def compact(message):
    """As Troupe writes it."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Child:
    """A worker process; every line in either direction is checked against the schema."""

    def __init__(self, test, command, greet=True):
        self.test = test
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors)
        signal.alarm(60)
        if greet:
            self.say(START)
            self.hello = self.answer()
            test.assertEqual(self.hello["type"], "hello")

    def say_raw(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def say(self, message, check=True):
        if check:
            self.test.assertEqual(check_from_troupe(message), [])
        self.say_raw(compact(message))

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            return None
        self.test.assertTrue(line.endswith(b"\n"))
        message = strict_json(line.decode("utf-8"))
        self.test.assertEqual(check_from_worker(message), [])
        return message

    def end(self):
        self.process.stdin.close()
        self.test.assertEqual(self.process.stdout.read(), b"")
        self.process.stdout.close()
        status = self.process.wait()
        signal.alarm(0)
        self.errors.seek(0)
        self.log = self.errors.read().decode()
        self.errors.close()
        return status


class SdkTest(unittest.TestCase):
    def setUp(self):
        self.child = Child(self, [sys.executable, WORKER])

    def tearDown(self):
        if self.child.process.returncode is None:
            self.child.process.kill()
            self.child.process.wait()
            for stream in (self.child.process.stdin, self.child.process.stdout, self.child.errors):
                stream.close()
        signal.alarm(0)

    def ask(self, capability, **more):
        self.child.say(task(capability, **more))
        return self.child.answer()

    def fails(self, capability, text, retryable=False, **more):
        answer = self.ask(capability, **more)
        self.assertEqual(answer["type"], "error")
        self.assertIn(text, answer["message"])
        self.assertEqual(answer.get("retryable", False), retryable)
        self.assertEqual(answer["id"], "r/0/s/1")
        return answer

    def test_hello(self):
        self.assertEqual(self.child.hello["protocol"], 1)
        self.assertIn("echo", self.child.hello["capabilities"])
        self.assertEqual(self.child.hello["name"], "sdk_worker")
        self.child.say({"type": "stop"})
        self.assertEqual(self.child.end(), 0)

    def test_a_dict_is_value_and_metrics(self):
        answer = self.ask("echo", trial=3, attempt=2, variables={"accuracy": 0.5, "kind": "svm", "rows": 7, "on": True})
        self.assertEqual(answer["type"], "result")
        self.assertEqual((answer["id"], answer["attempt"]), ("r/3/s/2", 2))
        self.assertEqual(answer["value"], {"accuracy": 0.5, "kind": "svm", "rows": 7, "on": True})
        self.assertEqual(answer["metrics"], {"accuracy": 0.5, "rows": 7})
        self.assertIn("cpu_ms", answer["usage"])
        self.assertEqual(self.child.end(), 0)

    def test_other_results(self):
        self.assertEqual(self.ask("number")["metrics"], {"number": 0.25})
        self.assertNotIn("value", self.ask("nothing"))
        self.assertEqual(self.ask("text")["value"], "Zürich \u2028 \"quoted\"\n")
        answer = self.ask("full")
        self.assertEqual(answer["value"], [1, 2])
        self.assertEqual(answer["metrics"], {"loss": 2.5})
        self.assertEqual(self.ask("array")["value"], {"rows": [1, 2], "mean": 1.5})

    def test_sees_the_whole_task(self):
        with tempfile.TemporaryDirectory() as directory:
            self.child.say(task("see", trial=5, seed=2 ** 63 - 1, deadline_ms=60000, artifact_dir=directory,
                                inputs={"prepare": {"value": {"a": 1}}, "model": {"path": "/m", "bytes": 9}},
                                data={"rows": "/d.csv"}))
            self.assertEqual(self.child.answer()["metrics"], {"val_acc": 0.5})
            log = self.child.answer()
            self.assertEqual((log["type"], log["message"], log["id"]), ("log", "half way", "r/5/s/1"))
            answer = self.child.answer()
            with open(os.path.join(directory, "model.txt")) as file:
                self.assertEqual(file.read(), "model")
        self.assertEqual(answer["artifact"], "model.txt")
        value = answer["value"]
        self.assertTrue(0 < value.pop("remaining") <= 60)
        self.assertEqual(value, {"trial": 5, "seed": 2 ** 63 - 1, "run": "r", "stage": "s", "attempt": 1,
                                 "prepare": {"a": 1}, "path": "/m", "bytes": 9, "rows": "/d.csv", "epochs": 3,
                                 "instance": 2})

    def test_prints_are_harmless(self):
        self.assertEqual(self.ask("print")["metrics"], {"print": 1})
        self.assertEqual(self.child.end(), 0)
        for text in ("from print", "from write", "from C", "from a child", "stdin is empty: True"):
            self.assertIn(text, self.child.log)

    def test_failures(self):
        self.fails("raise", "ValueError: C must be positive")
        self.fails("retry", "the GPU is busy", retryable=True)
        self.fails("nan", "metric 'accuracy' is nan; expected a finite number")
        self.fails("nested_nan", "Out of range float values are not JSON compliant")
        self.fails("unjson", "a result of type set is not JSON")
        self.fails("big", "at most 65536: write an artifact instead")
        self.fails("exit", "SystemExit: 3")
        self.fails("dance", "this worker has no capability 'dance', only ")
        self.fails("escape", "expected a file name", artifact_dir="/tmp")
        self.fails("escape", "this task has no artifact directory")
        self.fails("many_metrics", "17 metrics; at most 16")
        self.assertEqual(self.ask("echo", variables={"x": 1})["value"], {"x": 1})
        self.assertEqual(self.child.end(), 0)
        self.assertIn("Traceback", self.child.log)

    def test_unknown_and_broken_lines(self):
        for line, text in ((b'{"type":"dance"}', "unknown type 'dance'"), (b"garbage", "JSON"), (b"[1]", "type"),
                           (b'{"no":1}', "type"), (b'\xff\xfe', "JSON"), (b'{"type":"task","id":"x"}', "'attempt'")):
            self.child.say_raw(b"\n" + line + b"\n")
            answer = self.child.answer()
            self.assertEqual(answer["type"], "error")
            self.assertNotIn("id", answer)
            self.assertIn(text, answer["message"])
        self.assertEqual(self.ask("echo", later={"field": 1})["type"], "result")

    def test_batches(self):
        fields = [task("batch", trial=i, variables={"x": i}) for i in range(3)] + [task("echo", trial=3)]
        for one in fields:
            del one["type"]
        fields[1]["variables"]["x"] = -1
        self.child.say({"type": "tasks", "tasks": fields})
        answers = {answer["id"]: answer for answer in (self.child.answer() for _ in range(4))}
        self.assertEqual(answers["r/0/s/1"]["metrics"], {"x": 0, "of": 3})
        self.assertEqual(answers["r/2/s/1"]["metrics"], {"x": 4, "of": 3})
        self.assertEqual(answers["r/1/s/1"]["type"], "error")
        self.assertIn("negative", answers["r/1/s/1"]["message"])
        self.assertEqual(answers["r/3/s/1"]["type"], "result")
        self.assertEqual(self.ask("batch", variables={"x": 3})["metrics"], {"x": 6, "of": 1})
        self.fails("short_batch", "expected a list of 1 results")

    def test_cancel(self):
        self.child.say(task("until_cancelled", trial=1))
        self.assertEqual(self.child.answer()["type"], "progress")
        self.child.say(task("echo", trial=2))
        self.child.say(task("echo", trial=3))
        self.child.say({"type": "cancel", "id": "r/2/s/1"})
        self.child.say({"type": "cancel", "id": "r/1/s/1"})
        self.assertEqual([self.child.answer().get("message") for _ in range(3)],
                         ["cancelled", "cancelled before it began", None])
        self.child.say(task("until_cancelled", trial=4, deadline_ms=20))
        self.child.answer()
        self.assertEqual(self.child.answer()["message"], "cancelled")

    def test_an_answer_does_not_wait_for_a_long_task(self):
        self.child.say_raw(b"".join(map(compact, [task("echo", trial=i) for i in range(5)]
                                        + [task("until_cancelled", trial=9)])))
        kinds = [self.child.answer()["type"] for _ in range(6)]
        self.assertEqual(kinds, ["result"] * 5 + ["progress"])
        self.child.say({"type": "cancel", "id": "r/9/s/1"})
        self.assertEqual(self.child.answer()["message"], "cancelled")

    def test_many_tasks_in_pieces(self):
        lines = b"".join(compact(task("echo", trial=i, variables={"x": i})) for i in range(500))
        at = 0
        for size in (1, 7, 1000, 30000, len(lines)):
            self.child.say_raw(lines[at:at + size])
            at += size
        for i in range(500):
            self.assertEqual(self.child.answer()["metrics"], {"x": i})

    def test_end_of_input_ends_it(self):
        self.child.say(task("until_cancelled"))
        self.child.answer()
        self.child.process.stdin.close()
        self.assertEqual(self.child.answer()["message"], "cancelled")
        self.assertEqual(self.child.process.wait(), 0)


class SchemaTest(unittest.TestCase):
    def test_the_document_follows_the_schema(self):
        with open(os.path.join(ROOT, "doc", "worker-protocol.md")) as file:
            blocks = re.findall(r"```json\n(.*?)```", file.read(), re.S)
        self.assertGreaterEqual(len(blocks), 10)
        for block in blocks:
            if "..." in block:
                continue
            message = strict_json(block)
            troupe = message["type"] in ("start", "task", "tasks", "cancel", "stop")
            self.assertEqual((check_from_troupe if troupe else check_from_worker)(message), [], block)

    def test_the_schema_refuses(self):
        good = task("train", deadline_ms=1, inputs={"a": {"path": "/x", "bytes": 1}})
        self.assertEqual(check_from_troupe(good), [])
        for change in ({"attempt": 0}, {"attempt": 1.5}, {"id": ""}, {"id": "x" * 256}, {"seed": -1},
                       {"variables": {"x": None}}, {"inputs": {"a": {"path": "/x"}}}, {"artifact_dir": "relative"},
                       {"inputs": {"a": {"path": "x", "bytes": 1}}}, {"capability": "x" * 64}, {"trial": -1}):
            self.assertNotEqual(check_from_troupe({**good, **change}), [], change)
        result = {"type": "result", "id": "x", "attempt": 1, "metrics": {"a": 1}}
        self.assertEqual(check_from_worker(result), [])
        for change in ({"metrics": {"a": "1"}}, {"metrics": {"": 1}}, {"artifact": "../x"}, {"artifact": ".x"},
                       {"metrics": {"m%d" % i: i for i in range(17)}}, {"usage": {"cpu_ms": -1}}, {"type": "results"}):
            self.assertNotEqual(check_from_worker({**result, **change}), [], change)
        self.assertNotEqual(check_from_worker({"type": "error", "id": "x", "message": "no attempt"}), [])


class ExampleTest(unittest.TestCase):
    def test_minimal(self):
        rows = os.path.join(ROOT, "examples", "digits", "digits.csv")
        child = Child(self, ["sh", os.path.join(ROOT, "examples", "minimal", "worker.sh")])
        sizes = {}
        for trial, column in ((0, 1), (1, 65)):
            child.say(task("pack", trial=trial, variables={"column": column, "level": 9}, data={"rows": rows}))
            answer = child.answer()
            self.assertEqual(answer["id"], "r/%d/s/1" % trial)
            sizes[column] = answer["metrics"]["bytes"]
        self.assertTrue(10000 < sizes[65] < sizes[1] < 100000, sizes)
        child.say({"type": "stop"})
        self.assertEqual(child.end(), 0)

    def test_digits_python(self):
        python = next((name for name in (sys.executable, "/usr/bin/python3") if subprocess.run(
            [name, "-c", "import numpy, sklearn"], stderr=subprocess.DEVNULL).returncode == 0), None)
        if python is None:
            self.skipTest("numpy and scikit-learn are not installed")
        child = Child(self, [python, os.path.join(ROOT, "examples", "digits-python", "worker.py")])
        data = {"rows": os.path.join(ROOT, "examples", "digits", "digits.csv"), "split_seed": 1}
        reached = []
        for trial, variables in enumerate(({"scale": "none", "kind": "svm", "C": 1, "gamma": 0.015625},
                                           {"scale": "unit", "kind": "svm", "C": 10, "gamma": 0.2},
                                           {"scale": "standard", "kind": "logistic", "logistic_C": 0.1},
                                           {"scale": "unit", "kind": "neighbours", "neighbours": 3,
                                            "weights": "distance"})):
            with tempfile.TemporaryDirectory() as directory:
                inputs = {}
                for stage in ("prepare", "train", "evaluate", "test"):
                    child.say(task(stage, trial=trial, variables=variables, inputs=inputs, data=data,
                                   artifact_dir=directory))
                    answer = child.answer()
                    while answer["type"] == "progress":
                        answer = child.answer()
                    self.assertEqual(answer["type"], "result", answer)
                    inputs[stage] = {"value": answer.get("value")}
                    if "artifact" in answer:
                        path = os.path.join(directory, answer["artifact"])
                        inputs[stage].update(path=path, bytes=os.path.getsize(path))
                    if stage in ("evaluate", "test"):
                        reached.append(answer["metrics"]["accuracy"])
        self.assertTrue(0.4 < reached[0] < 0.7 < 0.98 < reached[2], reached)
        self.assertTrue(min(reached[4:]) > 0.9, reached)
        self.assertEqual(child.end(), 0)

    def test_command(self):
        script = os.path.join(ROOT, "examples", "command", "train.py")
        reached = []
        for options in (["--lr", "0.001", "--depth", "2"], ["--lr", "0.3", "--depth", "4"]):
            output = subprocess.run([sys.executable, script] + options, stdout=subprocess.PIPE, check=True).stdout
            reached.append(float(re.search(rb"^val_acc=(\S+)$", output, re.M).group(1)))
        self.assertTrue(0.5 < reached[0] < reached[1] < 1, reached)


if __name__ == "__main__":
    unittest.main()
