"""troupe_worker: write a Troupe agent in Python. Standard library only; Python 3.7 or later; one file to copy.

    from troupe_worker import capability, run

    @capability("train")
    def train(task):
        model = fit(task.inputs["prepare"].path, lr=task.variables["lr"], seed=task.seed)
        model.save(task.artifact_path("model.bin"))
        return {"accuracy": model.accuracy}

    run()

What a function returns: a dict (its numbers become the metrics; all of it becomes the value), a single number (the
metric named like the capability), None, any other JSON value, or a Result for full control. An exception fails the task
with its last line; raise Retry("why") when another attempt may succeed.

Prints, also those of C libraries, go to standard error, which Troupe keeps in the run's log: the protocol has a
descriptor of its own. The messages are described in doc/worker-protocol.md.
"""

import json
import math
import os
import resource
import select
import sys
import time
import traceback

__all__ = ["Cancelled", "Input", "Result", "Retry", "Task", "TasksOf", "capability", "batch_capability", "log", "run"]

PROTOCOL = 1
VALUE_MAX = 65536
LINE_MAX = 1 << 20
METRICS_MAX = 16
CANCELLED_KEPT = 256
READ_BYTES = 1 << 18
# An answer may wait for the next one, so that many short tasks share one write, but only while tasks are this short.
SHORT_NS = 200_000
WAIT_NS = 1_000_000


class Retry(Exception):
    """Fails the task in a way that another attempt may cure."""


class Cancelled(Exception):
    """Raised by task.check() when the answer is no longer wanted."""


class Result:
    """What a function may return for full control: a value, metrics, the name of an artifact."""

    __slots__ = ("value", "metrics", "artifact")

    def __init__(self, value=None, metrics=None, artifact=None):
        self.value, self.metrics, self.artifact = value, metrics, artifact


class Input:
    """The result of a stage that this one needs: `value` (JSON), and/or `path` and `bytes` of its artifact."""

    __slots__ = ("value", "path", "bytes")

    def __init__(self, fields):
        self.value, self.path, self.bytes = fields.get("value"), fields.get("path"), fields.get("bytes")

    def __repr__(self):
        return "Input(value=%r, path=%r, bytes=%r)" % (self.value, self.path, self.bytes)


class Task:
    """One unit of work. `fields` is the message as it came."""

    __slots__ = ("fields", "id", "attempt", "capability", "variables", "_worker", "_inputs", "_deadline", "_artifact")

    def __init__(self, fields, worker, now):
        self.fields = fields
        self.id = fields["id"]
        self.attempt = fields["attempt"]
        self.capability = fields["capability"]
        self.variables = fields.get("variables") or {}
        self._worker = worker
        self._inputs = None
        self._artifact = None
        deadline_ms = fields.get("deadline_ms")
        self._deadline = None if deadline_ms is None else now + deadline_ms * 1_000_000

    run = property(lambda self: self.fields.get("run"))
    trial = property(lambda self: self.fields.get("trial"))
    stage = property(lambda self: self.fields.get("stage"))
    data = property(lambda self: self.fields.get("data") or {})
    seed = property(lambda self: self.fields.get("seed", 0))
    artifact_dir = property(lambda self: self.fields.get("artifact_dir"))
    options = property(lambda self: self._worker.options)
    instance = property(lambda self: self._worker.instance)

    @property
    def inputs(self):
        if self._inputs is None:
            given = self.fields.get("inputs") or {}
            self._inputs = {name: Input(fields) for name, fields in given.items()}
        return self._inputs

    def artifact_path(self, name):
        """Where to write the file `name`, which becomes the artifact of this task."""
        if not self.artifact_dir:
            raise ValueError("this task has no artifact directory")
        if not name or name.startswith(".") or "/" in name:
            raise ValueError("artifact %r: expected a file name without '/' and without a leading '.'" % (name,))
        self._artifact = name
        return os.path.join(self.artifact_dir, name)

    def remaining(self):
        """Seconds left until the deadline; math.inf when there is none."""
        return math.inf if self._deadline is None else max(0.0, (self._deadline - time.monotonic_ns()) / 1e9)

    def cancelled(self):
        """Whether to stop early: the task was cancelled, Troupe has gone, or the deadline has passed."""
        return self._worker.poll_cancelled(self.id) or self.remaining() == 0

    def check(self):
        if self.cancelled():
            raise Cancelled("cancelled")

    def progress(self, step, **metrics):
        """An intermediate value: task.progress(3, val_acc=0.71)."""
        self._worker.say({"type": "progress", "id": self.id, "attempt": self.attempt, "step": int(step),
                          "metrics": {name: float(value) for name, value in metrics.items()}})

    def log(self, message):
        self._worker.say({"type": "log", "id": self.id, "message": str(message)})


TasksOf = list  # what a batch_capability function gets: a list of Task

_NOTHING = (None, False)
_functions = {}  # capability -> (function, takes a list)
_worker = None


def capability(name):
    """Decorates the function that handles tasks of capability `name`: one Task in, its result out."""
    return _register(name, False)


def batch_capability(name):
    """Like capability, for a function that gets a list of Tasks and returns a list with a result for each, in order.
    Results may be exceptions. The agent needs `batch_max` above 1 for lists of more than one."""
    return _register(name, True)


def _register(name, batch):
    def decorate(function):
        if name in _functions:
            raise ValueError("capability %r has two functions" % (name,))
        _functions[name] = (function, batch)
        return function
    return decorate


def log(message):
    """A line for the run's log."""
    if _worker:
        _worker.say({"type": "log", "message": str(message)})
    else:
        print(message, file=sys.stderr)


def run(name=None):
    """Serves tasks until Troupe says stop. Returns then; call it last."""
    global _worker
    if not _functions:
        raise RuntimeError("no function is decorated with @capability")
    _worker = _Worker(name or os.path.splitext(os.path.basename(sys.argv[0] or "worker"))[0])
    _worker.serve()


def _describe(error):
    """The traceback's last line, in one line."""
    return " ".join("".join(traceback.format_exception_only(type(error), error)).split("\n")).strip()


def _plain(value):
    """For json: numbers and arrays of numeric libraries, which know how to become plain ones."""
    for method in ("item", "tolist"):
        convert = getattr(value, method, None)
        if convert is not None and (method != "item" or getattr(value, "size", 1) == 1):
            return convert()
    raise TypeError("a result of type %s is not JSON" % type(value).__name__)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode


_decode = json.JSONDecoder().decode  # json.loads without its guess of the encoding
_quote = json.encoder.encode_basestring_ascii


def _children_cpu_ns():
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int(1e9 * (children.ru_utime + children.ru_stime))


def _number(value):
    """A finite or non-finite float for what counts as a number, None otherwise."""
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return _number(value.item())
    return None


def _metrics_of(given):
    metrics = {}
    for name, value in given.items():
        number = _number(value)
        if number is None:
            raise TypeError("metric %r is %r; expected a number" % (name, value))
        if not math.isfinite(number):
            raise ValueError("metric %r is %r; expected a finite number" % (name, number))
        metrics[name] = number
    if len(metrics) > METRICS_MAX:
        raise ValueError("%d metrics; at most %d" % (len(metrics), METRICS_MAX))
    return metrics


class _Worker:
    def __init__(self, name):
        self.name = name
        self.options, self.instance = {}, 0
        # The protocol moves to descriptors of its own; what reads 0 or prints to 1 from now on cannot disturb it.
        self.input, self.output = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        sys.stdout.flush()
        os.dup2(2, 1)
        self.lines = []      # whole lines, in order, not yet handled; from `next_line` on
        self.next_line = 0
        self.rest = b""      # the beginning of a line
        self.ended = False
        self.stopped = False
        self.cancelled = {}  # ids, oldest first
        self.answers = []    # encoded, not yet written
        self.answers_since = 0
        self.children_cpu_ns = _children_cpu_ns()

    # ---- output ----

    def flush(self):
        if not self.answers:
            return
        data = "".join(self.answers).encode("utf-8", "replace")
        self.answers.clear()
        try:
            written = os.write(self.output, data)
            while written < len(data):
                data = data[written:]
                written = os.write(self.output, data)
        except BrokenPipeError:
            self.ended = True

    def say(self, message):
        """At once, after the answers before it."""
        self.answers.append(_encode(message) + "\n")
        self.flush()

    def complain(self, message, task=None, retryable=False):
        answer = {"type": "error", "message": message, "retryable": retryable}
        if task is not None:
            answer["id"], answer["attempt"] = task.id, task.attempt
        self.answers.append(_encode(answer) + "\n")

    # ---- input ----

    def take(self):
        """Reads what there is (waits for it when there is nothing) and splits it into lines."""
        data = os.read(self.input, READ_BYTES)
        if not data:
            self.ended = True
            return
        if self.next_line:
            del self.lines[:self.next_line]
            self.next_line = 0
        data = self.rest + data if self.rest else data
        lines = data.split(b"\n")
        self.rest = lines.pop()
        if len(self.rest) > LINE_MAX:
            raise ValueError("a line of more than %d bytes" % LINE_MAX)
        for line in lines:
            if b'"cancel"' in line and len(line) < 1024:
                self.note_cancel(line)
        self.lines += lines

    def note_cancel(self, line):
        try:
            message = json.loads(line)
            if message.get("type") == "cancel":
                self.cancelled[message["id"]] = True
                if len(self.cancelled) > CANCELLED_KEPT:
                    del self.cancelled[next(iter(self.cancelled))]
        except (ValueError, AttributeError, KeyError, TypeError):
            pass  # reported when its turn comes

    def poll_cancelled(self, task_id):
        while not self.ended and select.select([self.input], [], [], 0)[0]:
            self.take()
        return self.ended or task_id in self.cancelled

    # ---- the loop ----

    def serve(self):
        while not self.stopped:
            if self.next_line == len(self.lines):
                self.flush()
                if self.ended:
                    break
                self.take()
                continue
            line = self.lines[self.next_line]
            self.next_line += 1
            if not line:
                continue
            try:
                message = _decode(line.decode("utf-8"))
                kind = message["type"]
            except (ValueError, KeyError, TypeError) as error:
                self.complain("expected a JSON object with a type: %s" % _describe(error))
                continue
            if kind == "task":
                self.handle((message,))
            elif kind == "tasks":
                self.handle(message.get("tasks") or [])
            elif kind == "start":
                self.options, self.instance = message.get("options") or {}, message.get("instance", 0)
                self.say({"type": "hello", "protocol": PROTOCOL, "capabilities": list(_functions), "name": self.name})
            elif kind == "stop":
                self.stopped = True
            elif kind != "cancel":  # those were noted when they were read
                self.complain("unknown type %r" % (kind,))
        self.flush()

    def handle(self, messages):
        """Tasks in the order given; those for a batch function of one capability go to it together."""
        now = time.monotonic_ns()
        groups = {}
        for fields in messages:
            try:
                task = Task(fields, self, now)
            except (KeyError, TypeError) as error:
                self.complain("a task without %s" % error)
                continue
            function, batch = _functions.get(task.capability, _NOTHING)
            if function is None:
                self.complain("this worker has no capability %r, only %s" % (task.capability, ", ".join(_functions)),
                              task)
            elif batch:
                groups.setdefault(task.capability, []).append(task)
            elif self.wanted(task):
                self.execute(function, (task,), False)
        for name, group in groups.items():
            group = [task for task in group if self.wanted(task)]
            if group:
                self.execute(_functions[name][0], group, True)

    def wanted(self, task):
        """Asked just before it would begin: a cancel may have come since it was read."""
        if task.id not in self.cancelled:
            return True
        self.complain("cancelled before it began", task)
        return False

    def execute(self, function, group, batch):
        began = time.monotonic_ns()
        if not self.answers:
            self.answers_since = began
        cpu_before = time.process_time_ns()
        try:
            results = function(group) if batch else (function(group[0]),)
            if batch and (not hasattr(results, "__len__") or len(results) != len(group)):
                raise TypeError("a batch function returned %r; expected a list of %d results" % (results, len(group)))
        except (Exception, SystemExit) as error:
            if not isinstance(error, (Retry, Cancelled)):
                traceback.print_exc()
            results = [error] * len(group)
        cpu_ns = time.process_time_ns() - cpu_before
        ended = time.monotonic_ns()
        short = ended - began < SHORT_NS
        if not short:  # too short a task to have started a process and waited for it
            before, self.children_cpu_ns = self.children_cpu_ns, _children_cpu_ns()
            cpu_ns += self.children_cpu_ns - before
        for task, result in zip(group, results):
            self.answer(task, result, cpu_ns / (1e6 * len(group)))
        sys.stdout.flush()
        if not short or ended - self.answers_since > WAIT_NS:
            self.flush()
        if not short:
            self.poll_cancelled(None)

    def answer(self, task, result, cpu_ms):
        if isinstance(result, BaseException):
            self.complain(str(result) if isinstance(result, (Retry, Cancelled)) else _describe(result), task,
                          isinstance(result, Retry))
            return
        try:
            self.answers.append(self.encode_result(task, result, cpu_ms))
        except Exception as error:
            self.complain(_describe(error), task)

    def encode_result(self, task, result, cpu_ms):
        artifact, value, metrics = task._artifact, result, None
        if isinstance(result, Result):
            value, metrics = result.value, result.metrics
            artifact = result.artifact or artifact
        if metrics is not None:
            metrics = _metrics_of(metrics)
        elif type(value) is dict:
            metrics = {}
            for name, one in value.items():
                number = _number(one)
                if number is not None and len(metrics) < METRICS_MAX and isinstance(name, str):
                    if not math.isfinite(number):
                        raise ValueError("metric %r is %r; expected a finite number" % (name, number))
                    metrics[name] = number
        elif _number(value) is not None:
            metrics = _metrics_of({task.capability: value})
        text = '{"type":"result","id":%s,"attempt":%d' % (_quote(task.id), task.attempt)
        if value is not None:
            encoded = _encode(value)
            if len(encoded) > VALUE_MAX:
                raise ValueError("a value of %d bytes; at most %d: write an artifact instead"
                                 % (len(encoded), VALUE_MAX))
            text += ',"value":' + encoded
        if metrics:
            text += ',"metrics":' + _encode(metrics)
        if artifact:
            text += ',"artifact":' + _quote(artifact)
        return text + ',"usage":{"cpu_ms":%.3f}}\n' % cpu_ms
