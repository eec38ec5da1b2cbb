#!/usr/bin/env python3
"""Predicted before, measured after: one run of each pipeline is recorded at 2 agents, then changes are predicted from it
and made. Prints one JSON object a line, the summary last.

    python3 bench/whatif_accuracy.py [--only GROUP] [--trials 40] [--repeat 1]     (./dev build release first)

Groups: digits (real classifiers in a C plugin), cpu, sleep, half (a Python worker that computes, sleeps, does both).
"""
import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORKER = os.path.join(ROOT, "bench/whatif_worker.py")

PIPELINE = """
name: {group}
space:
  x: {{float: [0, 1], default: 0.5}}
  k: {{int: [1, 3], default: 2}}
agents:
  prepare: {{command: [python3, {worker}], instances: 1, capabilities: [prepare], env: {{MS_CPU: {cpu}, MS_SLEEP: {sleep}, INSTANCE: none}}}}
  train:
    command: [python3, {worker}]
    instances: 2
    capabilities: [train]
    env: {{MS_CPU: {cpu}, MS_SLEEP: {sleep}, INSTANCE: "{{instance}}", SLOW_FACTOR: 2, SLOW_INSTANCE: nobody}}
stages:
  prepare: {{uses: [k]}}
  train: {{needs: [prepare]}}
objective: {{stage: train, metric: score, goal: maximise}}
budget: {{trials: {trials}}}
optimizer: {{sampler: auto, seed: 5, deterministic: 16}}
"""
SYNTHETIC = {"cpu": (100, 0), "sleep": (1, 100), "half": (50, 50)}
INSTANCES = [(f"{n} agents", [f"agents.train.instances={n}"], []) for n in (1, 2, 3, 4, 8)]
BATCH = [("batch_max 4", ["agents.train.batch_max=4"], [])]
OFF = [("reuse off", ["stages.prepare.cache=false"], [])]
SLOW = [("one slow agent", ["agents.train.env.SLOW_INSTANCE=0"], ["train/0.speed=0.5"])]


def groups(directory, trials):
    digits = os.path.join(ROOT, "examples/digits/pipeline.yaml")
    yield "digits", digits, INSTANCES + OFF + BATCH, ["budget.deadline=300s"]
    for group, (cpu, sleep) in SYNTHETIC.items():
        path = os.path.join(directory, group + ".yaml")
        with open(path, "w") as file:
            file.write(PIPELINE.format(group=group, worker=WORKER, cpu=cpu, sleep=sleep, trials=trials))
        yield group, path, INSTANCES + OFF + BATCH + SLOW, []


def run(troupe, path, runs, name, sets):
    command = [troupe, "run", path, "--json", "--quiet", "--runs", runs, "--run-id", name]
    done = subprocess.run(command + [word for one in sets for word in ("--set", one)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    answer = json.loads(done.stdout)
    wall = answer["time"]["wall_ms"]
    return {"wall_ms": wall, "throughput": 1e3 * answer["trials"] / wall}


def predict(troupe, runs, name, sets, assumptions):
    command = [troupe, "whatif", name, "--runs", runs, "--json"]
    command += [word for one in sets for word in ("--set", one)]
    command += [word for one in assumptions for word in ("--assume", one)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def ranking(rows):
    """Pairs of variants that truly differ, that is whose measured walls do by more than 5 %, each run of the one from each
    of the other's; and how many are predicted in that order."""
    pairs = right = 0
    for a, b in itertools.combinations(rows, 2):
        if abs(a["measured_wall_ms"] / b["measured_wall_ms"] - 1) <= 0.05:
            continue
        if min(a["walls_ms"]) <= max(b["walls_ms"]) and min(b["walls_ms"]) <= max(a["walls_ms"]):
            continue
        pairs += 1
        right += (a["measured_wall_ms"] < b["measured_wall_ms"]) == (a["predicted_wall_ms"] < b["predicted_wall_ms"])
    return pairs, right


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--troupe", default=os.path.join(ROOT, "build/release/troupe"))
    options.add_argument("--only")
    options.add_argument("--trials", type=int, default=40)
    options.add_argument("--repeat", type=int, default=1, help="runs of each variant; the median is compared")
    options = options.parse_args()
    errors, pairs, right = [], 0, 0
    with tempfile.TemporaryDirectory(prefix="troupe-whatif-") as directory:
        for group, path, variants, common in groups(directory, options.trials):
            if options.only and group != options.only:
                continue
            runs = os.path.join(directory, group + "-runs")
            run(options.troupe, path, runs, "recorded", common)
            # A slow agent's own environment is nothing a model can express: its speed is assumed instead.
            predictions = [predict(options.troupe, runs, "recorded", [] if assumptions else sets, assumptions)["predicted"]
                           for _, sets, assumptions in variants]
            # In rounds: a machine that slows down for a minute slows all variants.
            walls = [[run(options.troupe, path, runs, f"v{number}-{repeat}", common + sets)["wall_ms"]
                      for number, (_, sets, _) in enumerate(variants)] for repeat in range(options.repeat)]
            rows = []
            for (name, _, _), predicted, measures in zip(variants, predictions, zip(*walls)):
                measured = statistics.median(measures)
                error = 100 * (predicted["wall_ms"] / measured - 1)
                rows.append({"bench": "whatif", "group": group, "change": name,
                             "predicted_wall_ms": round(predicted["wall_ms"], 1), "measured_wall_ms": round(measured, 1),
                             "walls_ms": [round(wall, 1) for wall in measures], "error_percent": round(error, 2)})
                errors.append(abs(error))
                print(json.dumps(rows[-1]), flush=True)
            group_pairs, group_right = ranking(rows)
            pairs, right = pairs + group_pairs, right + group_right
    print(json.dumps({"bench": "whatif", "figure": "error of the predicted wall time", "unit": "percent",
                      "median": round(statistics.median(errors), 2), "worst": round(max(errors), 2), "cases": len(errors),
                      "pairs_ranked_right": right, "pairs_apart": pairs}))


main()
