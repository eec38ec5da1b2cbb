#!/usr/bin/env python3
"""The manual page says what the program does: every command, option and exit status of the tables is in its section,
and nothing else is."""
import os
import re
import shutil
import subprocess
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("TROUPE_SOURCE_ROOT") or os.path.normpath(os.path.join(HERE, "..", ".."))
PROGRAM = os.path.join(os.environ.get("TROUPE_BUILD_ROOT", ""), "troupe")
PAGE = os.path.join(ROOT, "doc", "troupe.1")


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def sections():
    """Section or subsection -> its text."""
    parts = re.split(r"^\.S[hs] (.*)$", read("doc", "troupe.1"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def commands():
    return re.findall(r"^COMMAND\((\w+)", read("src", "cli", "command.def"), re.MULTILINE)


class Manual(unittest.TestCase):
    maxDiff = None

    def test_every_command_has_its_part(self):
        parts = {name[len("troupe "):] for name in sections() if name.startswith("troupe ")}
        self.assertEqual(parts, set(commands()))

    def test_options_are_those_that_help_lists(self):
        if not os.path.exists(PROGRAM):
            self.skipTest("the program is not built")
        for command in commands():
            with self.subTest(command=command):
                text = subprocess.run([PROGRAM, command, "--help"], capture_output=True, text=True, check=True).stdout
                listed = set(re.findall(r"^  (?:-\w, |    )--([\w-]+)", text, re.MULTILINE)) - {"help"}
                items = re.findall(r"^\.It .*?Fl Fl ([\w-]+)", sections()["troupe " + command], re.MULTILINE)
                self.assertEqual(set(items), listed)

    def test_process_options_are_those_of_the_table(self):
        table = re.findall(r"^CONFIG\((\w+)", read("src", "base", "config.def"), re.MULTILINE)
        items = re.findall(r"^\.It Fl Fl ([\w-]+)", sections()["PROCESS OPTIONS"], re.MULTILINE)
        self.assertEqual(items, [name.replace("_", "-") for name in table])

    def test_exit_statuses_are_those_of_the_errors(self):
        expected = {}
        for text, status in re.findall(r'^ERR\(\w+, "(.*?)", \d, \d+, (\d+)\)', read("src", "base", "err.def"),
                                       re.MULTILINE):
            if status != "0":
                expected.setdefault(status, []).append(text)
        parts = re.split(r"^\.It (\d+)$", sections()["EXIT STATUS"].split(".El")[0], flags=re.MULTILINE)
        said = {status: " ".join(text.split()).lower() for status, text in zip(parts[1::2], parts[2::2])}
        said.pop("0")
        self.assertEqual(said, {status: "; ".join(texts).lower() + "." for status, texts in expected.items()})

    def test_mandoc_finds_nothing(self):
        if not shutil.which("mandoc"):
            self.skipTest("mandoc is not installed")
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "style", PAGE], capture_output=True, text=True, check=False)
        self.assertEqual(lint.stdout, "")


if __name__ == "__main__":
    unittest.main(verbosity=1)
