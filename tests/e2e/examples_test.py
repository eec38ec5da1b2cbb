#!/usr/bin/env python3
"""examples_test NAME: an example as its page says to run it, with fewer trials and, for a machine under load, longer
limits. If it failed, what a newcomer copies would not work. Without what the example needs: status 77, and why."""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

ROOT, BUILD = os.environ["TROUPE_SOURCE_ROOT"], os.environ["TROUPE_BUILD_ROOT"]
TROUPE = os.path.join(BUILD, "troupe")
SKIPPED = 77
# Debian's modules belong to Debian's Python, which may not be the first on the path.
ENVIRONMENT = dict(os.environ, PATH="/usr/bin:/bin:" + os.environ.get("PATH", ""))


def run(place, words):
    done = subprocess.run([TROUPE, "run", "--json", "--runs", os.path.join(place, "runs"), *words], cwd=ROOT,
                          env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.returncode
    return json.loads(done.stdout)


def printed_command(page):
    """The first `troupe run` of a page, its lines joined."""
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        text = file.read()
    said = re.search(r"^    troupe run ((?:.*\\\n)*.*)$", text, re.MULTILINE)[1]
    return shlex.split(said.replace("\\\n", " "))


def digits_python(place):
    if subprocess.run(["/usr/bin/python3", "-c", "import numpy, sklearn"], stderr=subprocess.DEVNULL,
                      check=False).returncode != 0:
        print("SKIPPED: numpy and scikit-learn are not installed (Debian: python3-sklearn)")
        sys.exit(SKIPPED)
    response = run(place, ["examples/digits-python/pipeline.yaml", "--set", "budget.trials=5", "--set",
                           "budget.deadline=500s", "--set", "stages.train.timeout=240s"])
    assert response["trials"] and response["objective"] > 0.9, response
    assert 0.3 < response["baseline"]["test"] < response["test"] <= 1, response  # the default is poor, the best is not
    assert os.path.exists(os.path.join(place, "runs", response["run"], "best", "train.artifact")), "the model"


def command(place):
    words = printed_command("examples/command/README.md")
    words[words.index("--trials") + 1] = "6"
    response = run(place, words)
    assert 0.2 < response["objective"] <= 1, response
    assert set(response["best"]) >= {"lr", "depth", "trees"}, response


def minimal(place):
    response = run(place, ["examples/minimal/pipeline.yaml", "--set", "budget.trials=10"])
    assert response["objective"] < response["baseline"]["objective"], response


def main():
    with tempfile.TemporaryDirectory(prefix="troupe-examples-") as place:
        {"digits_python": digits_python, "command": command, "minimal": minimal}[sys.argv[1]](place)
    print("1 passed:", sys.argv[1])


if __name__ == "__main__":
    main()
