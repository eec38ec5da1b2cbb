#!/usr/bin/env python3
"""How much better than the untuned default does the search become, on rows that it never saw? Runs the digits example
with ten split seeds and prints one JSON object a line, the median last.

    python3 bench/digits_quality.py [--seeds 10] [--trials 60]      (build/release first: ./dev build release)
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HELD_OUT = 360


def errors(accuracy):
    return round((1 - accuracy) * HELD_OUT)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--troupe", default=os.path.join(ROOT, "build/release/troupe"))
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--trials", type=int, default=60)
    options = options.parse_args()
    rows = []
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory(prefix="troupe-digits-") as runs:
            start = time.monotonic()
            done = subprocess.run(
                [options.troupe, "run", os.path.join(ROOT, "examples/digits/pipeline.yaml"), "--json", "--quiet"]
                + ["--runs", runs, "--set", f"data.split_seed={seed}", "--set", f"budget.trials={options.trials}"],
                capture_output=True, text=True)
            wall = time.monotonic() - start
        if done.returncode != 0:
            sys.exit(done.stderr)
        answer = json.loads(done.stdout)
        before, after = errors(answer["baseline"]["test"]), errors(answer["test"])
        rows.append({"bench": "digits", "split_seed": seed, "trials": answer["trials"], "errors_default": before,
                     "errors_best": after, "fewer_percent": round(100 * (1 - after / before), 1),
                     "wall_s": round(wall, 2), "troupe_cpu_percent": answer["time"]["troupe"]["percent_of_machine"],
                     "trial_error_ns_max": answer["time"]["trial_error_ns_max"]})
        print(json.dumps(rows[-1]), flush=True)
    print(json.dumps({
        "bench": "digits", "figure": "held-out errors fewer than the default's", "unit": "percent", "target": 60,
        "value": statistics.median(row["fewer_percent"] for row in rows), "median_of": len(rows),
        "wall_s_max": max(row["wall_s"] for row in rows),
        "troupe_cpu_percent_max": max(row["troupe_cpu_percent"] for row in rows)}))


main()
