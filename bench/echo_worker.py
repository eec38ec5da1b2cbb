"""The worker of the echo benchmarks: gives each task's variables back as they came."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sdk", "python"))
from troupe_worker import capability, run  # noqa: E402


@capability("echo")
def echo(task):
    return task.variables


run()
