"""The worker that sdk_test.py drives: a capability for each thing that a function may do, right or wrong."""

import ctypes
import os
import subprocess
import sys

ROOT = os.environ.get("TROUPE_SOURCE_ROOT") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "sdk", "python"))
from troupe_worker import Result, Retry, batch_capability, capability, run  # noqa: E402


class Number:
    """As numeric libraries have them."""
    ndim = 0

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value


class Array:
    size = 2

    def tolist(self):
        return [1, 2]


def returning(name, value):
    capability(name)(lambda task: value)


capability("echo")(lambda task: task.variables)
returning("number", 0.25)
returning("nothing", None)
returning("text", "Zürich \u2028 \"quoted\"\n")
returning("full", Result(value=[1, 2], metrics={"loss": Number(2.5)}))
returning("array", {"rows": Array(), "mean": Number(1.5)})
returning("nan", {"accuracy": float("nan")})
returning("nested_nan", {"all": [float("inf")]})
returning("unjson", {"seen": {1, 2}})
returning("big", "x" * 65536)
returning("many_metrics", Result(metrics={"m%d" % i: i for i in range(17)}))
capability("exit")(lambda task: sys.exit(3))
capability("escape")(lambda task: task.artifact_path("../escape"))


@capability("see")
def see(task):
    with open(task.artifact_path("model.txt"), "w") as file:
        file.write("model")
    task.progress(1, val_acc=0.5)
    task.log("half way")
    return Result({"trial": task.trial, "seed": task.seed, "run": task.run, "stage": task.stage,
                   "attempt": task.attempt, "prepare": task.inputs["prepare"].value,
                   "path": task.inputs["model"].path, "bytes": task.inputs["model"].bytes,
                   "rows": task.data["rows"], "epochs": task.options["epochs"], "instance": task.instance,
                   "remaining": task.remaining()}, metrics={})


@capability("print")
def prints(task):
    print("from print")
    os.write(1, b"from write\n")
    library = ctypes.CDLL(None)
    library.puts(b"from C")
    library.fflush(None)
    subprocess.run(["sh", "-c", "echo from a child"], check=True)
    print("stdin is empty:", sys.stdin.read() == "")
    return 1


@capability("raise")
def fails(task):
    raise ValueError("C must be positive")


@capability("retry")
def retry(task):
    raise Retry("the GPU is busy")


@capability("until_cancelled")
def until_cancelled(task):
    task.progress(0)
    while True:
        task.check()


@batch_capability("batch")
def batch(tasks):
    return [ValueError("negative") if task.variables["x"] < 0 else {"x": 2 * task.variables["x"], "of": len(tasks)}
            for task in tasks]


@batch_capability("short_batch")
def short_batch(tasks):
    return []


run()
