#!/usr/bin/env python3
"""Reads the pages (*.md, doc/*) and reports what is not so: a command of ./dev or troupe that does not exist, a file
named in a command that is not there, a link to nowhere.

usage: documents.py [ROOT]      prints file:line: what is wrong; exit status 1 when there was any.
"""
import os
import re
import sys

LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)")
CALL = re.compile(r"(?:^|[\s`(;&])(\./dev|(?:\./)?(?:build/[a-z]+/)?troupe)\s+([a-z][a-z-]*)")
PATH = re.compile(r"(?<![\w./-])((?:examples|doc|tests|bench|fuzz|sdk|src|include)/[\w./-]*\w)")
SKIPPED = {"build", ".git", "runs", "artifacts"}


def pages(root):
    for directory, folders, names in os.walk(root):
        folders[:] = [folder for folder in folders if folder not in SKIPPED and not folder.startswith("build")]
        for name in sorted(names):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(directory, name), root)


def dev_commands(root):
    with open(os.path.join(root, "dev"), encoding="utf-8") as script:
        text = script.read()
    help_text = text[text.index("<<'HELP'"):text.index("\nHELP\n")]
    return set(re.findall(r"^  ([a-z]+)(?= |$)", help_text, re.MULTILINE))


def troupe_commands(root):
    """From the one table of commands; None while there is none."""
    path = os.path.join(root, "src", "cli", "command.def")
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as table:
        text = table.read()
    return (set(re.findall(r"^COMMAND\((\w+)", text, re.MULTILINE)) |
            set(re.findall(r'^HIDDEN\(\w+, "([\w-]+)"', text, re.MULTILINE)))


def check(root):
    found = []
    known = {"./dev": dev_commands(root), "troupe": troupe_commands(root)}
    for page in pages(root):
        fenced = False
        with open(os.path.join(root, page), encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{page}:{number}"
                if line.lstrip().startswith("```"):
                    fenced = not fenced
                    continue
                code = fenced or line.startswith("    ")
                parts = [line] if code else re.findall(r"`([^`]+)`", line)
                for part in parts:
                    for program, command in CALL.findall(part):
                        commands = known["./dev" if program == "./dev" else "troupe"]
                        if commands is not None and command not in commands:
                            found.append(f"{where}: `{program} {command}` is no command")
                    if code and re.search(r"\./dev|troupe", part):
                        for path in PATH.findall(part):
                            if not os.path.exists(os.path.join(root, path)):
                                found.append(f"{where}: there is no {path}")
                if not fenced:
                    for target, _ in LINK.findall(line):
                        if "://" in target or target.startswith("mailto:"):
                            continue
                        if not os.path.exists(os.path.join(root, os.path.dirname(page), target)):
                            found.append(f"{where}: a link to {target}, which is not there")
    return found


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    found = check(root)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
