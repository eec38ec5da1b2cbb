"""A worker with one mistake, named by its argument. Standard library only; without `site` it starts in 15 ms."""

import json
import os
import signal
import sys

MODE = sys.argv[1]
HELLO = {"type": "hello", "protocol": 1, "name": "bad", "capabilities": ["prepare", "score"]}
counted = 0


def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()


def say(**members):
    write(json.dumps(members) + "\n")


def answer(task, **members):
    say(**{"type": "result", "id": task["id"], "attempt": task["attempt"], "value": {}, **members})


def good(task):
    x = task["variables"].get("x", 0)
    answer(task, metrics={"accuracy": round(1 - (x - 0.3) ** 2, 6)})


def tell(fifo):
    """Wakes the test that reads it; without such a file nobody waits."""
    if os.path.exists(fifo):
        with open(fifo, "w", encoding="ascii"):
            pass


def sleep_forever():
    while True:
        signal.pause()


def long_line():
    chunk = "x" * (1 << 20)
    for _ in range(100):
        write(chunk)


def flood_stderr(task):
    for _ in range(200):
        sys.stderr.write("noise " * 100 + "\n")
    good(task)


def ignore_stop():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def once(task, mistake):
    """The mistake in the first attempt of trial 1, then the right answer."""
    if task["attempt"] == 1 and task["trial"] == 1:
        mistake()
    else:
        good(task)


def crash_in_c():
    os.kill(os.getpid(), signal.SIGSEGV)


ON_START = {
    "dies-at-start": lambda: (sys.stderr.write("ImportError: no module named torch\n"), sys.exit(3)),
    "leaves-at-start": lambda: sys.exit(0),
    "mute-at-start": sleep_forever,
    "garbage-at-start": lambda: (write("Welcome to my worker!\n"), sleep_forever()),
    "newer-protocol": lambda: (say(**{**HELLO, "protocol": 7}), sleep_forever()),
    "lacks-capability": lambda: (say(**{**HELLO, "capabilities": ["prepare"]}), sleep_forever()),
    "result-before-hello": lambda: (say(type="result", id="r/0/score/1", attempt=1), sleep_forever()),
    "long-line-at-start": long_line,
    "ignores-stop": ignore_stop,
}

ON_TASK = {
    "dies": lambda task: sys.exit(9),
    "crashes": lambda task: crash_in_c(),
    "hangs": lambda task: (tell("hanging"), sleep_forever()),
    "garbage": lambda task: write("loss: nan (epoch 3)\n"),
    "binary": lambda task: (sys.stdout.buffer.write(bytes(range(256)) * 4 + b"\n"), sys.stdout.flush()),
    "long-line": lambda task: long_line(),
    "half-a-line": lambda task: (write('{"type":"result","id":"'), sys.exit(0)),
    "closes-output": lambda task: (os.close(1), sleep_forever()),
    "nan": lambda task: answer(task, metrics={"accuracy": float("nan")}),
    "infinite": lambda task: write('{"type":"result","id":"%s","attempt":%d,"metrics":{"accuracy":1e999}}\n'
                                   % (task["id"], task["attempt"])),
    "text-metric": lambda task: answer(task, metrics={"accuracy": "high"}),
    "no-metric": lambda task: answer(task, metrics={"acuracy": 0.5}),
    "list-metrics": lambda task: answer(task, metrics=[0.5]),
    "too-many-metrics": lambda task: answer(task, metrics={f"m{i}": i for i in range(40)}),
    "fails": lambda task: say(type="error", id=task["id"], attempt=task["attempt"],
                              message="ValueError: C must be positive"),
    "fails-without-words": lambda task: say(type="error", id=task["id"], attempt=task["attempt"]),
    "escapes": lambda task: say(type="error", id=task["id"], attempt=task["attempt"],
                                message="\x1b[31mred\x07 \u009b2J"),
    "long-value": lambda task: answer(task, value="v" * 70000),
    "no-artifact": lambda task: answer(task, artifact="model.bin"),
    "path-artifact": lambda task: answer(task, artifact="../../store.db"),
    "other-id": lambda task: answer({**task, "id": "somebody/1/else/1"}, metrics={"accuracy": 99}),
    "no-attempt": lambda task: say(type="result", id=task["id"], metrics={"accuracy": 1}),
    "dies-once": lambda task: once(task, lambda: sys.exit(9)),
    "hangs-once": lambda task: once(task, sleep_forever),
    "noisy": flood_stderr,
    # right, but with more lines than there should be
    "other-attempt": lambda task: (answer({**task, "attempt": task["attempt"] + 1}, metrics={"accuracy": 99}),
                                   good(task)),
    "twice": lambda task: (good(task), answer(task, metrics={"accuracy": 99})),
    "unknown-type": lambda task: (say(type="banana"), say(type="log"), good(task)),
    "late-hello": lambda task: (say(**HELLO), good(task)),
}


def main():
    if MODE in ON_START:
        ON_START[MODE]()
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "start":
            say(**HELLO)
        elif message["type"] == "stop" and MODE != "ignores-stop":
            return
        elif message["type"] == "task":
            if message["stage"] == "prepare":
                answer(message)
            else:
                ON_TASK.get(MODE, good)(message)
    if MODE == "ignores-stop":
        sleep_forever()


main()
