#!/usr/bin/env python3
"""The layer test: the tree keeps to doc/layers.txt, and each kind of breach, planted in a copy, is seen."""
import os
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import layers  # noqa: E402  (beside this file)

ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))

# file to change, line to add, what the report must say
PLANTS = [
    ("src/env/env.c", '#include "runtime/runtime.h"', "a climb: env may not look at runtime"),
    ("src/coordinate/ledger.c", '#include "pipeline/pipeline.h"', "a climb: coordinate may not look at pipeline"),
    ("src/optimize/study.c", '#include "store/store.h"', "a climb: optimize may not look at store"),
    ("src/space/space.c", '#  include "optimize/optimize.h"', "a climb: space may not look at optimize"),
    ("src/coordinate/ledger.c", '#include "report/report.h"', "a climb: coordinate may not look at report"),
    ("src/pipeline/run.c", '#include "agent/agent_instance.h"', "a peek behind the door of agent"),
    ("src/agent/agent.c", '#include "base/map.h"', "a peek behind the door of base"),
    ("src/pipeline/run.c", "#include <yaml.h>", "<yaml.h> may be included by src/document/document_yaml.c only"),
    ("src/document/document_json.c", "#include <jansson.h>", "<jansson.h> may be included by nothing only"),
    ("src/store/store.c", "#include <sqlite3.h>", "<sqlite3.h> may be included by"),
    ("src/runtime/worker.c", "#include <uv.h>", "<uv.h> may be included by src/env/os_internal.h only"),
    ("src/pipeline/run.c", "#include <sys/stat.h>", "is the operating system's"),
    ("src/coordinate/ledger.c", "#include <pthread.h>", "is the operating system's"),
    ("src/agent/agent.c", '#include "registry.h"', 'write the floor, "FLOOR/registry.h"'),
    ("src/util.c", "", "stands on no floor"),
    ("src/helpers/helpers.c", "", "stands on no floor"),
    ("tests/space/study.c", "", "names of files are unique"),
    ("tests/base/planted_test.c", '#include "agent/agent.h"', "a climb: the tests of base link no agent"),
]


class Layers(unittest.TestCase):
    def setUp(self):
        self.copy = tempfile.mkdtemp(prefix="troupe-layers-")
        self.addCleanup(shutil.rmtree, self.copy)
        for folder in ("src", "include", "doc"):
            shutil.copytree(os.path.join(ROOT, folder), os.path.join(self.copy, folder))

    def plant(self, name, line):
        path = os.path.join(self.copy, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write("\n" + line + "\n")

    def test_the_tree_keeps_its_floors(self):
        self.assertEqual(layers.check(ROOT), [])

    def test_every_planted_breach_is_seen(self):
        for name, line, expected in PLANTS:
            with self.subTest(file=name, line=line):
                path = os.path.join(self.copy, name)
                before = None
                if os.path.exists(path):
                    with open(path, encoding="utf-8") as file:
                        before = file.read()
                self.plant(name, line)
                found = layers.check(self.copy)
                if before is None:
                    os.remove(path)
                else:
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(before)
                self.assertEqual(len(found), 1, found)
                self.assertIn(expected, found[0])
                self.assertTrue(found[0].startswith(name), found[0])

    def test_downward_and_own_includes_are_fine(self):
        self.plant("src/agent/planted.c", '#include "agent/agent_instance.h"\n#include "registry/registry.h"')
        self.plant("src/env/os_planted.c", '#include "env/os_internal.h"\n#include <unistd.h>')
        self.assertEqual(layers.check(self.copy), [])


if __name__ == "__main__":
    unittest.main(verbosity=1)
