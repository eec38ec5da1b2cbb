#!/usr/bin/env python3
"""How good the quotes of `troupe run` are: varied runs of some seconds, whose stages sleep.

    bench/quote_coverage.py BUILD [--runs 100] [--seed 1] [--at-once 3] [--keep DIR] [--each] [--real N]

Pipelines differ in stages, agents, spreads, noise, samplers, order of results, failures, reuse, batches and deadlines;
the same seed gives the same ones. `--real N` adds N runs of examples/digits, which compute, with other splits and other
seeds of the search. Prints one JSON object a line: with --each one for every quote; then, over all quotes, how often
the 90 % interval held and how far off they were, by how much of the run was done. A run that its deadline ended is
judged by its trials. Runs go to a file system in memory where there is one, so that the disk's moods are not measured.
"""
import argparse
import concurrent.futures
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile

NAMES = ["prepare", "train", "evaluate", "finish"]


def space_of(draw):
    space = {f"x{i}": {"float": [0, 1], "default": 0.5} for i in range(draw.randint(1, 5))}
    for i in range(draw.randint(0, 2)):
        space[f"k{i}"] = {"choice": ["a", "b", "c"][:draw.randint(2, 3)], "default": "a"}
    return space


def agents_of(draw, stages, plugin):
    """Each stage to one agent; one agent may do several."""
    agents, rest = {}, list(stages)
    while rest:
        own = rest[:draw.randint(1, len(rest))]
        rest = rest[len(own):]
        agents[f"agent_{own[0]}"] = {"native": plugin, "instances": draw.randint(1, 4), "capabilities": own}
    return agents


def times_of(draw, agents, trials, wall_ms):
    """Base times of the stages such that the agent with the most work is busy for about wall_ms."""
    share = {stage: draw.uniform(0.3, 1.7) for agent in agents.values() for stage in agent["capabilities"]}
    most = max(sum(share[stage] for stage in agent["capabilities"]) / agent["instances"] for agent in agents.values())
    return {stage: part * wall_ms / trials / most for stage, part in share.items()}


def pipeline_of(seed, plugin):
    draw = random.Random(seed)
    stages = NAMES[4 - draw.randint(1, 4):]
    agents, space = agents_of(draw, stages, plugin), space_of(draw)
    trials, wall_ms = draw.choice([20, 30, 40, 60, 60, 100]), draw.uniform(1500, 3500)
    times = times_of(draw, agents, trials, wall_ms)
    times["test"] = times[stages[-1]]
    spread, noise = draw.choice([0, 0.1, 0.3, 0.5, 0.8]), draw.choice([0.01, 0.05, 0.1, 0.3])
    fails = draw.random() < 0.15
    options = {name: {"base_ms": round(base, 3), "spread": spread * draw.uniform(0.5, 1.2), "noise": noise,
                      "fail": 0.05 if fails else 0, "salt": draw.randint(1, 1 << 30),
                      "favour": draw.uniform(-0.5, 0.5)} for name, base in times.items()}
    for agent in agents.values():
        agent["options"] = options
        agent["batch_max"] = 2 if draw.random() < 0.15 else 1
    last = list(agents)[-1]
    definition = {"name": f"coverage-{seed}", "space": space, "agents": agents, "stages": {}}
    for i, name in enumerate(stages):
        definition["stages"][name] = {"capability": name, "needs": stages[i - 1:i] if i > 0 else []}
    if len(stages) > 1 and draw.random() < 0.4:
        definition["stages"][stages[0]]["uses"] = [sorted(space)[0]]
    definition["objective"] = {"stage": stages[-1], "metric": "score", "goal": "maximise"}
    if draw.random() < 0.3:
        agents[last]["capabilities"] = agents[last]["capabilities"] + ["test"]
        definition["stages"]["test"] = {"capability": "test", "needs": [stages[-1]]}
        definition["test"] = {"stage": "test", "metric": "score"}
    total = sum(agent["instances"] for agent in agents.values())
    definition["optimizer"] = {"sampler": draw.choice(["auto", "auto", "random", "sobol", "tpe"]), "seed": seed,
                               "deterministic": draw.choice([0, 2 * total])}
    definition["budget"] = {"trials": trials}
    if draw.random() < 0.4:
        definition["budget"]["deadline"] = f"{round(wall_ms * draw.choice([0.6, 1.5, 3]))}ms"
    return definition


def run_one(troupe, directory, name, words):
    """Its response, or None when it failed (no trial before the deadline, say)."""
    done = subprocess.run([troupe, "run", *words, "--json", "--quiet", "--run-id", name, "--runs", directory],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"quote_coverage: {name}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout)


def words_of(directory, seed, plugin):
    path = os.path.join(directory, f"c{seed}.yaml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(pipeline_of(seed, plugin), file)
    return [path]


def real_words(number):
    draw = random.Random(number)
    digits = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples", "digits", "pipeline.yaml")
    return [digits, "--set", f"data.split_seed={number}", "--set", f"optimizer.seed={100 + number}",
            "--set", f"optimizer.sampler={draw.choice(['auto', 'random', 'sobol'])}",
            "--set", f"optimizer.deterministic={draw.choice([0, 6])}"]


def judged(name, response):
    """Each of its quotes against what was measured: wall time, or the trials that there was room for."""
    by_time = response["state"] == "finished"
    measured = response["time"]["elapsed_ms"] if by_time else response["trials"]
    figures = ("wall_ms", "low_ms", "high_ms") if by_time else ("fits_trials", "fits_low", "fits_high")
    for quote in response["quote"]:
        value, low, high = (quote[figure] for figure in figures)
        if value is None:
            continue
        trials = response["trials"]
        yield {"bench": "quote", "run": name, "figure": figures[0], "at_trials": quote["at_trials"], "trials": trials,
               "quoted": value, "low": low, "high": high, "measured": measured, "held": low <= measured <= high,
               "error_percent": round(100 * (value / measured - 1), 2), "cpu_ms": quote["cpu_ms"]}


def summary(figure, quotes):
    if not quotes:
        return
    errors = [abs(quote["error_percent"]) for quote in quotes]
    print(json.dumps({"bench": "quote", "figure": figure, "runs": len({quote["run"] for quote in quotes}),
                      "quotes": len(quotes), "held_percent": round(100 * sum(q["held"] for q in quotes) / len(quotes), 1),
                      "median_error_percent": round(statistics.median(errors), 2),
                      "bias_percent": round(statistics.median(q["error_percent"] for q in quotes), 2),
                      "half_width_percent": round(statistics.median(
                          50 * (q["high"] - q["low"]) / q["measured"] for q in quotes), 1),
                      "cpu_ms": round(statistics.median(q["cpu_ms"] for q in quotes), 1)}))


def first_after(quotes, part):
    """Of each run the first quote after that part of its trials."""
    found = {}
    for quote in quotes:
        if quote["at_trials"] >= part * quote["trials"]:
            found.setdefault(quote["run"], quote)
    return list(found.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="of the first pipeline")
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--real", type=int, default=0, help="runs of examples/digits besides, one at a time")
    parser.add_argument("--keep", help="directory for the runs (default: a temporary one)")
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    troupe, plugin = (os.path.join(os.path.abspath(options.build), part) for part in ("troupe", "bench/libsleeper.so"))
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="quote-coverage-", dir=memory) as temporary:
        directory = options.keep or temporary
        os.makedirs(directory, exist_ok=True)
        seeds = range(options.seed, options.seed + options.runs)
        with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
            made = list(pool.map(lambda seed: (f"c{seed}", run_one(troupe, directory, f"c{seed}",
                                                                   words_of(directory, seed, plugin))), seeds))
        made += [(f"digits-{number}", run_one(troupe, directory, f"digits-{number}", real_words(number)))
                 for number in range(options.seed, options.seed + options.real)]
    quotes = [quote for name, response in made if response is not None for quote in judged(name, response)]
    for quote in quotes if options.each else []:
        print(json.dumps(quote))
    parts = (0, 0.1, 0.2, 0.4, 0.7, 1)
    for low, high in zip(parts, parts[1:]):
        summary(f"done {low:.0%} to {high:.0%}", [q for q in quotes if low < q["at_trials"] / q["trials"] <= high])
    for figure, name in (("wall_ms", "wall time"), ("fits_trials", "trials by the deadline")):
        summary(name, [quote for quote in quotes if quote["figure"] == figure])
    summary("after a tenth of the trials", first_after(quotes, 0.1))
    summary("all", quotes)


if __name__ == "__main__":
    main()
