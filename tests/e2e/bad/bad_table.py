"""What a row of the tables of bad input is: see bad_cases.py, which runs them.

A pipeline text may hold the mark « where the message must point: it is taken out, and FILE:LINE:COLUMN of its
place is expected in the message. `says` are parts of what is printed, in any order.
"""

MARK = "«"

# A pipeline that is right: rows change one thing in it.
GOOD = """\
name: bad
space:
  x: {float: [0, 1], default: 0.5}
  kind: {choice: [a, b], default: a}
agents:
  worker: {command: [python3, bad_worker.py, good], capabilities: [prepare, score]}
stages:
  prepare: {uses: [kind]}
  score: {needs: [prepare], timeout: 5s, retries: 0}
objective: {stage: score, metric: accuracy, goal: maximise}
budget: {trials: 4, failures_max: 2, parallel: 1}
"""


class SkipCase(Exception):
    """Raised by `before` where the machine cannot do what the case needs; says why."""


class Case:
    def __init__(self, name, status, says, pipeline=None, args=(), before=None, after=None, keeps_run=False,
                 environment=None, limit_s=60, preexec=None):
        self.name = name
        self.status = status  # a code of err.def
        self.says = says
        self.pipeline = pipeline  # text or bytes of bad.yaml; None: no file
        self.args = list(args)  # after `troupe`; empty: run bad.yaml --run-id r
        self.before = before  # called with the directory of the case and troupe's path; may return a finisher
        self.after = after  # called with the directory and the finished process
        self.keeps_run = keeps_run  # the run has begun: its store must be whole afterwards
        self.environment = environment or {}
        self.limit_s = limit_s
        self.preexec = preexec  # called in the new process before troupe


def edited(*changes):
    """GOOD with each (old, new) replaced, which must be there exactly once."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, f"'{old}' is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def bad(name, status, says, *changes, **more):
    """A pipeline with something wrong in it."""
    return Case(name, status, says, pipeline=edited(*changes), **more)
