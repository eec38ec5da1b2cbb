#!/usr/bin/env python3
"""A stage whose cost is known: MS_CPU of computing and MS_SLEEP of sleeping, both times a factor that the configuration
sets. SLOW_INSTANCE=N makes instance N take SLOW_FACTOR times as long."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sdk/python"))
from troupe_worker import capability, run  # noqa: E402


def spend(cpu_s, sleep_s):
    end = time.process_time() + cpu_s
    total = 0
    while time.process_time() < end:
        total += sum(range(200))
    time.sleep(sleep_s)


def work(factor):
    if os.environ.get("SLOW_INSTANCE") == os.environ.get("INSTANCE"):
        factor *= float(os.environ.get("SLOW_FACTOR", "1"))
    spend(float(os.environ["MS_CPU"]) / 1e3 * factor, float(os.environ["MS_SLEEP"]) / 1e3 * factor)


@capability("prepare")
def prepare(task):
    work(0.3 * task.variables["k"])
    return {"rows": task.variables["k"]}


@capability("train")
def train(task):
    x, k = task.variables["x"], task.variables["k"]
    work((0.4 + 1.2 * x) * k)
    return {"score": -(x - 0.3) ** 2 - 0.01 * k}


if __name__ == "__main__":
    run()
