#!/usr/bin/env python3
"""./dev on a machine that lacks everything (its package tools are stand-ins that record what they are asked): it says
what, how large and why before it installs, refuses when told to, and knows wrong use."""
import os
import re
import stat
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("TROUPE_SOURCE_ROOT") or os.path.normpath(os.path.join(HERE, "..", ".."))

TOOLS = {
    "dpkg-query": "exit 1",
    "apt-cache": """case $1 in
policy) echo "  Candidate: ${CANDIDATE-1:14.0-55}" ;;
show) echo "Size: 123456" ;;
esac""",
    "apt-get": """echo "apt-get $*" >>"$RECORD"
case " $* " in *' --print-uris '*) echo "'http://archive/x.deb' x.deb 2000000 MD5Sum:0" ;; esac
exit "${APT_STATUS:-0}" """,
    "id": "echo 0",
}


class Dev(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="troupe-dev-")
        self.addCleanup(place.cleanup)
        self.record = os.path.join(place.name, "record")
        for name, body in TOOLS.items():
            path = os.path.join(place.name, name)
            with open(path, "w", encoding="utf-8") as tool:
                tool.write("#!/bin/sh\n" + body + "\n")
            os.chmod(path, stat.S_IRWXU)
        self.environment = dict(os.environ, PATH=place.name + ":/usr/bin:/bin", RECORD=self.record)
        self.environment.pop("TROUPE_NO_INSTALL", None)

    def dev(self, *words, **environment):
        return subprocess.run(["./dev", *words], cwd=ROOT, env=dict(self.environment, **environment),
                              capture_output=True, text=True, check=False)

    def asked(self):
        if not os.path.exists(self.record):
            return []
        with open(self.record, encoding="utf-8") as record:
            return record.read().splitlines()

    def test_no_install_refuses_with_the_list(self):
        for words, environment in [(["--no-install", "run"], {}), (["run"], {"TROUPE_NO_INSTALL": "1"})]:
            with self.subTest(words=words):
                done = self.dev(*words, **environment)
                self.assertEqual(done.returncode, 3)
                self.assertEqual(done.stdout, "")
                self.assertRegex(done.stderr, r"libuv1-dev +123 KB  event loop")
                self.assertEqual(self.asked(), [])

    def test_run_needs_no_tools_beyond_compiler_and_libraries(self):
        said = self.dev("--no-install", "run").stderr
        for package in ["python3-sklearn", "python3-numpy", "clang", "npm", "libcmocka-dev"]:
            self.assertNotRegex(said, rf"(?m)^  {package}\b")

    def test_installing_is_announced_first_and_asks_for_nothing_more(self):
        done = self.dev("deps", "build")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("in all 1 packages with what they depend on, 2 MB to download", done.stderr)
        update, uris, install = self.asked()
        self.assertEqual(update, "apt-get update -q")
        self.assertIn("--print-uris", uris)
        self.assertIn("--no-install-recommends", install)
        listed = set(re.findall(r"(?m)^  (\S+) +123 KB  \S", done.stderr))
        self.assertIn("gcc", listed)
        self.assertEqual(listed, set(install.split("--no-install-recommends")[1].split()))

    def test_what_goes_wrong_has_its_status(self):
        self.assertEqual(self.dev("deps", "build", APT_STATUS="1").returncode, 3)
        self.assertIn("no package", self.dev("deps", "build", CANDIDATE="(none)").stderr)

    def test_optional_packages_are_left_out_where_debian_has_none(self):
        said = self.dev("--no-install", "deps", "check", CANDIDATE="(none)").stderr
        self.assertNotIn("clang-format-14", said)
        self.assertIn("shellcheck", said)

    def test_wrong_use(self):
        for words in [["walk"], ["--walk"], [], ["build", "fast"], ["fresh"], ["fresh", "sarge"], ["fuzz", "--walk"]]:
            with self.subTest(words=words):
                self.assertEqual(self.dev(*words).returncode, 2)
        self.assertEqual(self.dev("--help").returncode, 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
