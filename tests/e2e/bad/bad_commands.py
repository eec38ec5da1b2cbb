"""Command lines that are wrong: of `troupe run` on a file and on a plain command, and of the program itself."""

import os
import stat

from bad_table import GOOD, Case

VAR = ["--var", "x=float(0,1)"]
COUNT = ["--metric", "accuracy", "--trials", "2"]
ECHO = ["--", "echo", "accuracy={x}"]


def command(name, status, says, options, words=ECHO, **more):
    """`troupe run OPTIONS -- WORDS`."""
    return Case(name, status, says, args=["run", "--run-id", "r", *options, *words], **more)


def on_file(name, status, says, options, **more):
    """`troupe run bad.yaml OPTIONS` on a pipeline that is right."""
    return Case(name, status, says, pipeline=GOOD, args=["run", "bad.yaml", "--run-id", "r", *options], **more)


def make_directory(directory, _troupe):
    os.mkdir(os.path.join(directory, "folder.yaml"))


def make_unreadable(directory, _troupe):
    os.symlink("loop.yaml", os.path.join(directory, "loop.yaml"))


def make_configuration(text):
    def before(directory, _troupe):
        with open(os.path.join(directory, "configuration.json"), "w", encoding="utf-8") as file:
            file.write(text)
    return before


def make_not_runnable(directory, _troupe):
    path = os.path.join(directory, "not-runnable")
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/bin/sh\necho accuracy=1\n")
    os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)


CASES = [
    # the program
    Case("no command", "USAGE", [], args=["--"]),
    Case("unknown command", "USAGE", ["unknown command 'rnu'", "did you mean 'run'?"], args=["rnu"]),
    Case("nothing to run", "USAGE", ["expected a pipeline FILE", "--resume"], args=["run"]),
    Case("unknown option", "USAGE", ["--trails", "--trials"], args=["run", "x.yaml", "--trails", "3"]),
    Case("option without its value", "USAGE", ["--trials needs a value"], args=["run", "x.yaml", "--trials"]),
    Case("two files", "USAGE", ["b.yaml", "one pipeline FILE"], args=["run", "a.yaml", "b.yaml"]),
    Case("a file and a command", "USAGE", ["one of"], pipeline=GOOD, args=["run", "bad.yaml", *ECHO]),
    # the file
    Case("missing file", "NOT_FOUND", ["nowhere.yaml"], args=["run", "nowhere.yaml"]),
    Case("a directory for a file", "IO", ["folder.yaml", "directory"], args=["run", "folder.yaml"],
         before=make_directory),
    Case("a file that cannot be read", "IO", ["loop.yaml"], args=["run", "loop.yaml"], before=make_unreadable),
    on_file("trials is a word", "USAGE", ["--trials", "'ten'"], ["--trials", "ten"]),
    on_file("trials below the bound", "USAGE", ["--trials", "1", "'0'"], ["--trials", "0"]),
    on_file("deadline is a word", "INVALID", ["budget.deadline", "soon", "30s"], ["--deadline", "soon"]),
    on_file("metric for a file", "USAGE", ["--metric", "after `--`"], ["--metric", "loss"]),
    on_file("run id with a slash", "USAGE", ["--run-id", "'a/b'"], ["--run-id", "a/b"]),
    # --set
    on_file("set without a value", "USAGE", ["--set", "PATH=VALUE", "budget.trials"], ["--set", "budget.trials"]),
    on_file("set of an unknown key", "INVALID", ["--set", "unknown key 'trails'", "'trials'"],
            ["--set", "budget.trails=3"]),
    on_file("set of a wrong type", "INVALID", ["--set", "budget.trials", "'many'"], ["--set", "budget.trials=many"]),
    on_file("set into a text", "INVALID", ["--set", "name.first", "a map", "'bad'"], ["--set", "name.first=x"]),
    on_file("set past the end of a list", "INVALID", ["--set", "[1]"], ["--set", "stages.score.needs[7]=prepare"]),
    on_file("set of no path", "USAGE", ["--set", "..", "key"], ["--set", "budget..trials=3"]),
    on_file("set to no YAML", "SYNTAX", ["--set", "budget.trials"], ["--set", "budget.trials=[3"]),
    on_file("set makes a cycle", "INVALID", ["cycle"], ["--set", "stages.prepare.needs=[score]"]),
    # --configuration
    on_file("configuration is missing", "NOT_FOUND", ["configuration.json"], ["-c", "configuration.json"]),
    on_file("configuration is no JSON", "SYNTAX", ["configuration.json:1:"], ["-c", "configuration.json"],
            before=make_configuration("{x: 1}")),
    on_file("configuration out of range", "INVALID", ["configuration.json:1:", "'x'", "1"],
            ["-c", "configuration.json"], before=make_configuration('{"x": 2, "kind": "a"}')),
    on_file("configuration lacks a variable", "INVALID", ["configuration.json:1:", "'kind' has no value"],
            ["-c", "configuration.json"], before=make_configuration('{"x": 0.5}')),
    # a plain command
    command("no metric", "USAGE", ["--metric", "missing"], [*VAR, "--trials", "2"]),
    command("empty metric", "USAGE", ["--metric"], [*VAR, "--metric", "", "--trials", "2"]),
    command("metric too long", "USAGE", ["--metric", "63"], [*VAR, "--metric", "m" * 64, "--trials", "2"]),
    command("no variable", "USAGE", ["--var", "missing"], COUNT),
    command("no command after --", "USAGE", ["--", "expected a command"], [*VAR, *COUNT], ["--"]),
    command("no budget", "USAGE", ["--trials", "--deadline"], [*VAR, "--metric", "accuracy"]),
    command("var without a kind", "USAGE", ["--var", "NAME=KIND", "'x'"], ["--var", "x", *COUNT]),
    command("var of an unknown kind", "INVALID", ["'x'", "'lgo'", "'log'"], ["--var", "x=lgo(1,2)", *COUNT]),
    command("var never closed", "SYNTAX", ["'x'", "column", "')'"], ["--var", "x=log(1,2", *COUNT]),
    command("var upside down", "INVALID", ["'x'", "reversed"], ["--var", "x=int(8,2)", *COUNT]),
    command("var twice", "USAGE", ["--var", "'x' is given twice"], [*VAR, *VAR, *COUNT]),
    command("var with a bad name", "INVALID", ["'1x'", "name"], ["--var", "1x=int(1,2)", *COUNT]),
    command("constraint that is wrong", "INVALID", ["x <<", "column"], [*VAR, "--constraint", "x << 1", *COUNT]),
    command("constraint that nothing satisfies", "INFEASIBLE", ["x > 1", "constraint"],
            [*VAR, "--constraint", "x > 1", *COUNT]),
    command("unknown placeholder in a command", "INVALID", ["{learning}", "not a variable"], [*VAR, *COUNT],
            ["--", "echo", "accuracy={learning}"]),
    command("bad timeout", "INVALID", ["timeout", "'soon'"], [*VAR, *COUNT, "--timeout", "soon"]),
    command("bad seed", "USAGE", ["--seed", "'x'"], [*VAR, *COUNT, "--seed", "x"]),
    command("not UTF-8 in a command", "USAGE", ["--", "UTF-8"], [*VAR, *COUNT], ["--", "echo", b"caf\xe9"]),
    # a plain command that runs
    command("program that is not there", "NOT_FOUND", ["no program 'no-such-program'", "PATH"], [*VAR, *COUNT],
            ["--", "no-such-program", "{x}"]),
    command("program file that is not there", "NOT_FOUND", ["no such program", "bin/no-such-program"], [*VAR, *COUNT],
            ["--", "bin/no-such-program", "{x}"]),
    command("program that may not run", "NO_OBJECTIVE", ["not-runnable", "ermission"], [*VAR, *COUNT],
            ["--", "./not-runnable", "{x}"], before=make_not_runnable, keeps_run=True),
    command("command that fails", "NO_OBJECTIVE", ["3", "no such data"], [*VAR, *COUNT],
            ["--", "sh", "-c", "echo no such data >&2; exit 3"], keeps_run=True),
    command("command that prints no metric", "NO_OBJECTIVE", ["accuracy", "loss=3"], [*VAR, *COUNT],
            ["--", "echo", "loss=3"], keeps_run=True),
    command("command that prints NaN", "NO_OBJECTIVE", ["'accuracy' is nan", "finite"], [*VAR, *COUNT],
            ["--", "echo", "accuracy=nan"], keeps_run=True),
    command("command that never ends", "NO_OBJECTIVE", ["timed out"], [*VAR, *COUNT, "--timeout", "200ms"],
            ["--", "sleep", "1000"], keeps_run=True),
    command("command killed by a signal", "NO_OBJECTIVE", ["signal 9"], [*VAR, *COUNT],
            ["--", "sh", "-c", "kill -9 $$"], keeps_run=True),
]
