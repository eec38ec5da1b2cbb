#!/usr/bin/env python3
"""What `./dev install` puts in place is enough: an installed program finds its plugins and tells of its examples."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

BUILD = os.environ.get("TROUPE_BUILD_ROOT", "")
WANTED = ["bin/troupe", "include/troupe.h", "include/troupe_plugin.h", "share/troupe/examples/embed/embed.c",
          "share/man/man1/troupe.1", "share/doc/troupe/LICENSE",
          "share/doc/troupe/pipeline.md", "share/doc/troupe/scenario.md", "share/troupe/scenarios/seed-registry.yaml",
          "share/doc/troupe/worker-protocol.schema.json",
          "share/troupe/sdk/python/troupe_worker.py", "share/troupe/examples/digits/digits.csv",
          "share/troupe/examples/minimal/worker.sh"]


class Install(unittest.TestCase):
    def embed(self, prefix, description, place):
        """The program of examples/embed, built by pkg-config's word against what was installed."""
        tools = [tool for tool in ("cc", "pkg-config") if not shutil.which(tool)]
        with open(os.path.join(BUILD, "meson-info", "intro-buildoptions.json"), encoding="utf-8") as options:
            build = {option["name"]: option["value"] for option in json.load(options)}
        if tools or build.get("b_sanitize", "none") != "none":
            return
        path = os.path.dirname(os.path.join(place, description))
        flags = subprocess.run(["pkg-config", f"--define-variable=prefix={prefix}", "--cflags", "--libs", "troupe"],
                               check=True, capture_output=True, text=True,
                               env=dict(os.environ, PKG_CONFIG_PATH=path)).stdout.split()
        program = os.path.join(place, "embed")
        source = os.path.join(prefix, "share/troupe/examples/embed/embed.c")
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", source, *flags, "-o", program], check=True)
        libraries = os.path.dirname(path)
        told = subprocess.run([program], check=True, capture_output=True, text=True,
                              env=dict(os.environ, LD_LIBRARY_PATH=libraries)).stdout
        self.assertIn("the counter stands at 6", told)

    def test_an_installed_program_works(self):
        if not shutil.which("meson") or not os.path.exists(os.path.join(BUILD, "troupe")):
            self.skipTest("there is no meson, or no build")
        place = tempfile.mkdtemp(prefix="troupe-install-")
        self.addCleanup(shutil.rmtree, place)
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", place], check=True,
                       stdout=subprocess.DEVNULL)
        files = {os.path.relpath(os.path.join(directory, name), place)
                 for directory, _, names in os.walk(place) for name in names}
        prefix = next(name for name in files if name.endswith("bin/troupe"))[:-len("bin/troupe")]
        for name in WANTED:
            self.assertIn(prefix + name, files)
        self.embed(os.path.join(place, prefix), next(name for name in files if name.endswith("/troupe.pc")), place)
        plugins = [os.path.dirname(name) for name in files if name.endswith("libdigits.so")]
        if not plugins:
            self.skipTest("the digits plugin is not built")
        program = os.path.join(place, prefix, "bin/troupe")
        pipeline = os.path.join(place, prefix, "share/troupe/examples/digits/pipeline.yaml")
        environment = dict(os.environ, TROUPE_PLUGIN_PATH=os.path.join(place, plugins[0]))
        subprocess.run([program, "validate", pipeline], check=True, env=environment, cwd=place,
                       stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    unittest.main(verbosity=1)
