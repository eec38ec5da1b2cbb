"""Workers that are wrong. A run of them ends with the reason in its message; or, where the search can do without,
goes on, says what it met and is right: what was committed is whole in both cases."""

import json
import os
import shutil

from bad_table import Case, edited

# An agent's deaths are survived twice, and what does not stop is killed soon.
QUICK = ["--agent-restarts-max", "2", "--stop-grace", "200ms"]


def worker(mode, status, says, *changes, **more):
    """bad_worker.py MODE on the pipeline that is right but for it."""
    changes = ((", good]", f", {mode}]"), ("[python3, bad", "[python3, -S, -E, bad"), *changes)
    more.setdefault("keeps_run", True)
    return Case("worker " + mode, status, says, pipeline=edited(*changes),
                args=["run", "bad.yaml", "--run-id", "r", *QUICK, *more.pop("options", [])], **more)


def right_answer(directory, finished):
    """All four trials are there, and none took the value 99 of a line that was to be dropped."""
    answer = json.loads(finished.stdout)
    problems = []
    if answer["counts"]["ok"] != 4:
        problems.append(f"{answer['counts']} instead of 4 ok")
    if not 0 <= answer["objective"] <= 1:
        problems.append(f"the objective is {answer['objective']}")
    return problems


def plugin(number, status, says, **more):
    def before(directory, troupe):
        built = os.path.join(os.path.dirname(troupe), "tests/agent/plugins", f"libfaulty{number}.so")
        shutil.copy(built, os.path.join(directory, "faulty.so"))
    text = edited(("{command: [python3, bad_worker.py, good], capabilities: [prepare, score]}",
                   "{native: faulty.so, capabilities: [work], options: {device: gpu9}}"),
                  ("  prepare: {uses: [kind]}\n", ""),
                  ("score: {needs: [prepare], timeout: 5s", "score: {capability: work, timeout: 500ms"))
    return Case(f"plugin {more.pop('name')}", status, says, pipeline=text, before=before, keeps_run=True,
                args=["run", "bad.yaml", "--run-id", "r", *QUICK], **more)


RETRIES = ("retries: 0", "retries: 1")
SHORT = ("timeout: 5s", "timeout: 400ms")
JSON = ["--json"]
IMPATIENT = ["--worker-start-timeout", "500ms"]

CASES = [
    # before it says hello
    worker("dies-at-start", "NO_AGENT", ["status 3", "no module named torch"]),
    worker("leaves-at-start", "NO_AGENT", ["status 0", "hello"]),
    worker("mute-at-start", "NO_AGENT", ["hello", "500 ms"], options=IMPATIENT),
    worker("garbage-at-start", "NO_AGENT", ["JSON object", "Welcome to my worker"]),
    worker("newer-protocol", "NO_AGENT", ["protocol 7", "protocol 1"]),
    worker("lacks-capability", "NO_AGENT", ["no capability 'score'", "prepare"]),
    worker("result-before-hello", "NO_AGENT", ["hello", "500 ms"], options=IMPATIENT),
    worker("long-line-at-start", "NO_AGENT", ["1048576"]),
    # in a task
    worker("dies", "NO_OBJECTIVE", ["status 9", "'score'"]),
    worker("crashes", "NO_OBJECTIVE", ["signal 11"]),
    worker("hangs", "NO_OBJECTIVE", ["400 ms"], SHORT),
    worker("garbage", "NO_OBJECTIVE", ["JSON object", "loss: nan"]),
    worker("binary", "NO_OBJECTIVE", ["JSON object", "\\x00\\x01"]),
    worker("long-line", "NO_OBJECTIVE", ["1048576"]),
    worker("half-a-line", "NO_OBJECTIVE", ["'score'"]),
    worker("closes-output", "NO_OBJECTIVE", ["closed its standard output", "lives on"]),
    worker("nan", "NO_OBJECTIVE", ["NaN"]),
    worker("infinite", "NO_OBJECTIVE", ["accuracy", "finite"]),
    worker("text-metric", "NO_OBJECTIVE", ["'accuracy' is the string 'high'", "finite number"]),
    worker("no-metric", "NO_OBJECTIVE", ["did not report 'accuracy'"]),
    worker("list-metrics", "NO_OBJECTIVE", ["metrics is a list", "object of numbers"]),
    worker("too-many-metrics", "NO_OBJECTIVE", ["40 metrics", "16"]),
    worker("fails", "NO_OBJECTIVE", ["ValueError: C must be positive"]),
    worker("fails-without-words", "NO_OBJECTIVE", ["without a message"]),
    worker("escapes", "NO_OBJECTIVE", ["red"]),
    worker("long-value", "NO_OBJECTIVE", ["65536", "artifact"]),
    worker("no-artifact", "NO_OBJECTIVE", ["model.bin"]),
    worker("path-artifact", "NO_OBJECTIVE", ["../../store.db", "without '/'"]),
    worker("other-id", "NO_OBJECTIVE", ["400 ms", "2 answers were dropped"], SHORT),
    worker("no-attempt", "NO_OBJECTIVE", ["attempt"]),
    # wrong, and the search is right all the same
    worker("dies-once", "OK", ["status 9", "attempt 2 of 2"], RETRIES, options=JSON, after=right_answer),
    worker("hangs-once", "OK", ["attempt 2 of 2"], RETRIES, ("timeout: 5s", "timeout: 2s"), options=JSON,
           after=right_answer),
    worker("noisy", "OK", [], options=JSON, after=right_answer),
    worker("other-attempt", "OK", ["4 answers were dropped", '"stale_answers":4'], options=JSON, after=right_answer),
    worker("twice", "OK", ["answers were dropped"], options=JSON, after=right_answer),
    worker("unknown-type", "OK", [], options=JSON, after=right_answer),
    worker("late-hello", "OK", [], options=JSON, after=right_answer),
    worker("ignores-stop", "OK", [], options=JSON, after=right_answer),
    # plugins
    plugin(1, "NO_AGENT", ["ABI"], name="of another ABI"),
    plugin(4, "NO_AGENT", ["execute"], name="without execute"),
    plugin(6, "NO_AGENT", ["no device for", "gpu9"], name="that cannot be created"),
    plugin(7, "NO_AGENT", ["troupe_plugin"], name="without its export"),
    plugin(8, "NO_OBJECTIVE", ["signal 6"], name="that crashes"),
    plugin(9, "NO_OBJECTIVE", ["500 ms"], name="that hangs"),
]
