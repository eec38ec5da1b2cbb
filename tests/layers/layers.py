#!/usr/bin/env python3
"""Reads every #include of the tree and reports what doc/layers.txt forbids.

usage: layers.py [ROOT]     prints file:line: what is wrong, one a line; exit status 1 when there was any.
A climb is an include of a floor that stands higher (or beside); a peek is an include of anything but a floor's door.
"""
import fnmatch
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Rules:
    def __init__(self, path):
        self.allowed = {}  # floor -> the floors whose doors it may include
        self.libraries = {}  # header -> file patterns
        self.system_files, self.system_headers = [], []
        below = []
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                line = line.split("#")[0].strip()
                if not line:
                    continue
                head, colon, tail = line.partition(":")
                words = head.split()
                if not colon:
                    raise SystemExit(f"{path}:{number}: expected a ':'")
                if words[0] in ("floor", "side"):
                    doors = [door for word in tail.split() for door in (below if word == "below" else [word])]
                    for door in doors:
                        if door not in self.allowed:
                            raise SystemExit(f"{path}:{number}: floor '{door}' does not stand above this line")
                    self.allowed[words[1]] = doors
                    if words[0] == "floor":
                        below.append(words[1])
                elif words[0] == "library":
                    self.libraries[words[1]] = tail.split()
                elif words[0] == "system":
                    self.system_files = tail.split()
                elif words[0] == "system-headers":
                    self.system_headers = tail.split()
                else:
                    raise SystemExit(f"{path}:{number}: expected floor, side, library or system")

    def is_system(self, header):
        return any(header.startswith(known) if known.endswith("/") else header == known
                   for known in self.system_headers)


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def sources(root, folders):
    for folder in folders:
        for directory, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def")):
                    yield os.path.relpath(os.path.join(directory, name), root)


def wrong_in_src(rules, name, kind, header):
    """What is wrong with one include of a file under src/, or None."""
    floor = name.split("/")[1]
    if kind == "<":
        if header in rules.libraries and not matches(name, rules.libraries[header]):
            held = " ".join(rules.libraries[header]) or "nothing"
            return f"<{header}> may be included by {held} only"
        if rules.is_system(header) and not matches(name, rules.system_files):
            return f"<{header}> is the operating system's: reach it through env"
        return None
    other, _, rest = header.partition("/")
    if other == floor:
        return None
    if not rest:
        return None if header.startswith("troupe") else f'"{header}": write the floor, "FLOOR/{header}"'
    if other not in rules.allowed:
        return f'"{header}" names no floor of doc/layers.txt'
    if other not in rules.allowed[floor]:
        return f'a climb: {floor} may not look at {other} ("{header}")'
    if rest != f"{other}.h":
        return f'a peek behind the door of {other}: "{header}", expected "{other}/{other}.h"'
    return None


def wrong_in_tests(rules, name, kind, header):
    """A floor's tests may look behind its own door, and at the doors it may see."""
    floor = name.split("/")[1]
    other = header.partition("/")[0]
    if kind != '"' or floor not in rules.allowed or other not in rules.allowed or other == floor:
        return None
    order = list(rules.allowed)
    if order.index(other) > order.index(floor):
        return f'a climb: the tests of {floor} link no {other} ("{header}")'
    return None


def check(root):
    rules = Rules(os.path.join(root, "doc", "layers.txt"))
    found, seen = [], {}
    for name in sources(root, ["src", "include", "tests", "bench", "fuzz", "examples"]):
        base = os.path.basename(name)
        if base in seen:
            found.append(f"{name}: has the name of {seen[base]}; names of files are unique")
        seen[base] = name
        top = name.split("/")[0]
        if top == "src" and (name.count("/") < 2 or name.split("/")[1] not in rules.allowed):
            found.append(f"{name}: stands on no floor of doc/layers.txt")
            continue
        with open(os.path.join(root, name), encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                include = INCLUDE.match(line)
                if not include or top not in ("src", "tests"):
                    continue
                judge = wrong_in_src if top == "src" else wrong_in_tests
                wrong = judge(rules, name, include[1], include[2])
                if wrong:
                    found.append(f"{name}:{number}: {wrong}")
    return found


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    found = check(root)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
