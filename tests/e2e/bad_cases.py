#!/usr/bin/env python3
"""Bad pipelines, commands, workers and stores, one table of each: every one ends with the exit status of err.def
and a message that says what, where and what was expected; what was committed stays whole.

Black box: the binary alone (TROUPE_BUILD_ROOT/troupe or --troupe PATH), a directory of its own for each case, a
limit on its time. --table NAME and parts of names choose cases; --print shows what each printed.
"""

import argparse
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(HERE, "bad"))
sys.dont_write_bytecode = True

import bad_commands  # noqa: E402
import bad_pipelines  # noqa: E402
import bad_runs  # noqa: E402
import bad_scenarios  # noqa: E402
import bad_whatif  # noqa: E402
import bad_workers  # noqa: E402
from bad_table import MARK, SkipCase  # noqa: E402

TABLES = {"pipelines": bad_pipelines, "commands": bad_commands, "workers": bad_workers, "runs": bad_runs,
          "scenarios": bad_scenarios, "whatif": bad_whatif}


def exit_statuses():
    with open(os.path.join(ROOT, "src/base/err.def"), encoding="utf-8") as file:
        rows = re.findall(r'^ERR\((\w+), ".*", \d, \d+, (\d+)\)$', file.read(), re.M)
    return {name: int(status) for name, status in rows}


def without_mark(text):
    """The text and FILE:LINE:COLUMN of the mark, or None."""
    if MARK not in text:
        return text, None
    before = text[:text.index(MARK)]
    place = f"bad.yaml:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    return text.replace(MARK, ""), place


def prepare(case, directory):
    """Writes what the case needs; returns what must be said besides."""
    for name in ("bad_worker.py",):
        shutil.copy(os.path.join(HERE, "bad", name), directory)
    if case.pipeline is None:
        return []
    place, content = None, case.pipeline
    if isinstance(content, str):
        content, place = without_mark(content)
        content = content.encode()
    with open(os.path.join(directory, "bad.yaml"), "wb") as file:
        file.write(content)
    return [place] if place else []


def check_store(directory, troupe, problems):
    """A run that began is whole: the database passes its own check, and the run can be looked at."""
    path = os.path.join(directory, "runs/r/store.db")
    if not os.path.exists(path):
        problems.append(f"there is no {path}")
        return
    database = sqlite3.connect(path)
    answer = database.execute("PRAGMA integrity_check").fetchone()[0]
    database.close()
    if answer != "ok":
        problems.append(f"the store is damaged: {answer}")
    shown = subprocess.run([troupe, "show", "r"], cwd=directory, capture_output=True, timeout=30, check=False)
    if shown.returncode != 0:
        problems.append(f"`troupe show r` ends with {shown.returncode}: {shown.stderr.decode(errors='replace')}")


def check_output(case, finished, says, statuses, problems):
    out, err = (text.decode(errors="backslashreplace") for text in (finished.stdout, finished.stderr))
    expected = statuses[case.status]
    if finished.returncode != expected:
        problems.append(f"exit status {finished.returncode}, expected {expected} ({case.status})")
    for part in says:
        if part not in out + err:
            problems.append(f"does not say: {part}")
    lines = [line for line in err.splitlines() if line.startswith("troupe: ")]
    if expected != 0 and len(lines) != 1:
        problems.append(f"{len(lines)} lines begin with 'troupe: ', expected one")
    for wrong in ("\x1b", "internal error", "Sanitizer", "runtime error:", "check failed", "(null)"):
        if wrong in out + err:
            problems.append(f"says {wrong!r}")


def carry_out(case, directory, troupe, statuses, show):
    """Runs troupe in the prepared directory, between `before` and its finisher."""
    problems = []
    says = case.says + prepare(case, directory)
    finisher = case.before(directory, troupe) if case.before else None
    arguments = case.args or ["run", "bad.yaml", "--run-id", "r"]
    try:
        finished = subprocess.run([troupe, *arguments], cwd=directory, capture_output=True, check=False,
                                  env={**os.environ, "XDG_CONFIG_HOME": directory, **case.environment},
                                  stdin=subprocess.DEVNULL, timeout=case.limit_s, preexec_fn=case.preexec)
        check_output(case, finished, says, statuses, problems)
        if case.after:
            problems += case.after(directory, finished) or []
    except subprocess.TimeoutExpired as late:
        return [f"did not end within {case.limit_s} s; said: {late.stderr}"]
    finally:
        if finisher:
            finisher()
    if case.keeps_run:
        check_store(directory, troupe, problems)
    elif not (case.args or case.before or case.preexec):  # a file that is wrong before anything runs is so for validate, too
        same = subprocess.run([troupe, "validate", "bad.yaml"], cwd=directory, capture_output=True, timeout=60,
                              check=False)
        if (same.returncode, same.stderr) != (finished.returncode, finished.stderr):
            problems.append(f"`troupe validate` differs: {same.returncode} {same.stderr.decode(errors='replace')}")
    if show or problems:
        print(f"---- {case.name}: {finished.returncode}", *finished.stdout.decode(errors="replace").splitlines()[-40:],
              *finished.stderr.decode(errors="replace").splitlines()[-40:], sep="\n    ")
    return problems


def run_case(case, troupe, statuses, show):
    with tempfile.TemporaryDirectory(prefix="troupe-bad-") as directory:
        try:
            return carry_out(case, directory, troupe, statuses, show)
        except SkipCase as why:
            print(f"SKIPPED {case.name}: {why}")
            return []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--troupe", default=os.path.join(os.environ.get("TROUPE_BUILD_ROOT", "build"), "troupe"))
    parser.add_argument("--print", action="store_true", dest="show")
    parser.add_argument("--table", choices=TABLES)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    troupe, statuses = os.path.abspath(options.troupe), exit_statuses()
    cases = [case for name, table in TABLES.items() if options.table in (None, name) for case in table.CASES]
    assert len({case.name for case in cases}) == len(cases), "two cases have one name"
    chosen = [case for case in cases if not options.names or any(name in case.name for name in options.names)]
    failed = 0
    for case in chosen:
        problems = run_case(case, troupe, statuses, options.show)
        failed += bool(problems)
        for problem in problems:
            print(f"FAIL {case.name}: {problem}")
    print(f"{len(chosen)} cases, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
