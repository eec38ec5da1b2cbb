"""The worker of kill_resume_test.py: two stages, the first leaves an artifact. What it answers is a pure function of
the variables, so that a trial that ran twice or was told twice cannot hide."""
import math
import os
import sys

sys.path.insert(0, os.environ["SDK"])
from troupe_worker import capability, run  # noqa: E402


@capability("prepare")
def prepare(task):
    with open(task.artifact_path("rows.bin"), "wb") as file:
        file.write(b"%d" % task.variables["k"] * 20000)
    return {"k": task.variables["k"]}


@capability("train")
def train(task):
    path = task.inputs["prepare"].path
    rows = os.path.getsize(path)
    x, k = task.variables["x"], task.variables["k"]
    expected = len(b"%d" % k) * 20000
    if rows != expected:
        raise ValueError(f"{path}: {rows} bytes, expected {expected}")
    return {"score": math.sin(3 * x) + k / 100}


run()
