#!/usr/bin/env python3
"""What the pages say is so, and what is not so would be seen."""
import os
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import documents  # noqa: E402  (beside this file)

ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))


class Documents(unittest.TestCase):
    def test_the_pages_are_so(self):
        self.assertEqual(documents.check(ROOT), [])

    def test_what_is_not_so_is_seen(self):
        copy = tempfile.mkdtemp(prefix="troupe-documents-")
        self.addCleanup(shutil.rmtree, copy)
        shutil.copy(os.path.join(ROOT, "dev"), copy)
        for text, expected in [
            ("```\n./dev walk\n```\n", "x.md:2: `./dev walk` is no command"),
            ("Say `./dev walk`.\n", "x.md:1: `./dev walk` is no command"),
            ("    ./dev run examples/nowhere/pipeline.yaml\n", "x.md:1: there is no examples/nowhere/pipeline.yaml"),
            ("See [this](nowhere.md).\n", "x.md:1: a link to nowhere.md, which is not there"),
            ("See [this](dev) and `./dev test`.\n", None),
        ]:
            with self.subTest(text=text):
                with open(os.path.join(copy, "x.md"), "w", encoding="utf-8") as page:
                    page.write(text)
                self.assertEqual(documents.check(copy), [expected] if expected else [])


if __name__ == "__main__":
    unittest.main(verbosity=1)
