#!/usr/bin/env python3
"""Bursts of 25, 50, 75 and 100 look-ups at the process registry: how long they queue, how long they are served, and in
what state the registry is, before and after each change of how it is reached.

    python3 bench/bursts.py BUILD [--rounds 5] [--seconds 0.1] [--replications 4] [--json]        (./dev bench bursts)

Twice: in virtual time with the costs of scenarios/seed-registry.yaml (milliseconds), and measured with
BUILD/bench/registry_modes (nanoseconds, 100,000 names). The time of a whole burst of N is fitted by
T(N) = fixed + each x N + contention x N x N, no term below 0. The knee is the N at which the last term is half of T(N):
from there on a look-up added costs more by what it does to others than by itself. A burst of up to half the knee finds the
registry normal; up to it degraded; at it (from 0.95 to 1.25 knees) overloaded; above critical. Without contention there is
no knee and the state is normal, however long the queue: it grows with the burst and no faster."""
import argparse
import itertools
import json
import math
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCENARIO = os.path.join(ROOT, "scenarios/seed-registry.yaml")
SIZES = (25, 50, 75, 100)
MODES = ("serial", "pool", "async", "partitioned", "lockfree", "batch", "warm")
VIRTUAL = (("one process", []), ("4 partitions", ["registry-partitioning"]), ("read pool", ["ets-read-pool"]),
           ("batched", ["request-batching"]), ("warm", ["cache-warming"]),
           ("all of them", ["registry-partitioning", "ets-read-pool", "request-batching", "cache-warming"]))
BURSTS = ["arrivals.every=2s", "arrivals.within=0s", "duration=120s", "timeout=0s", "stations.registry.pauses.every=0s"]
NEGLIGIBLE = 0.05  # contention of less than this part of the largest burst is not told from noise
STATES = ((0.5, "normal"), (0.95, "degraded"), (1.25, "overloaded"), (None, "critical"))  # up to so many knees


# ---- the fit ----
def solve(matrix, right):
    """Gauss with pivots; None: singular."""
    rows = [list(row) + [value] for row, value in zip(matrix, right)]
    for at in range(len(rows)):
        pivot = max(range(at, len(rows)), key=lambda row: abs(rows[row][at]))
        if abs(rows[pivot][at]) < 1e-12:
            return None
        rows[at], rows[pivot] = rows[pivot], rows[at]
        for row in range(len(rows)):
            if row != at:
                factor = rows[row][at] / rows[at][at]
                rows[row] = [value - factor * own for value, own in zip(rows[row], rows[at])]
    return [row[-1] / row[at] for at, row in enumerate(rows)]


def fit(sizes, times):
    """(fixed, each, contention), all at least 0, with the least sum of squared relative errors: of the terms that may be
    left out every choice is tried."""
    best, least, largest, longest = (0.0, 0.0, 0.0), math.inf, max(sizes), max(times)
    for terms in itertools.chain.from_iterable(itertools.combinations(range(3), count) for count in (1, 2, 3)):
        columns = [[(size / largest) ** term / (time / longest) for size, time in zip(sizes, times)] for term in terms]
        matrix = [[sum(a * b for a, b in zip(one, other)) for other in columns] for one in columns]
        found = solve(matrix, [sum(column) for column in columns])
        if found is None or min(found) < 0:
            continue
        error = sum((sum(f * column[i] for f, column in zip(found, columns)) - 1) ** 2 for i in range(len(sizes)))
        if error < least - 1e-12:
            least = error
            best = tuple(found[terms.index(term)] * longest / largest ** term if term in terms else 0.0
                         for term in range(3))
    return best


def knee_of(rounds):
    """Of the median; infinite unless contention shows in each round."""
    for bursts in rounds:
        fixed, each, contention = fit(SIZES, bursts)
        alone = fixed + each * SIZES[-1]
        if contention * SIZES[-1] ** 2 < NEGLIGIBLE * (alone + contention * SIZES[-1] ** 2):
            return math.inf
    fixed, each, contention = fit(SIZES, [statistics.median(one) for one in zip(*rounds)])
    return (each + math.sqrt(each ** 2 + 4 * contention * fixed)) / (2 * contention) if contention > 0 else math.inf


def state_of(size, knee):
    return next((name for part, name in STATES[:-1] if size <= part * knee), STATES[-1][1])


# ---- what is measured ----
def simulated(troupe, overlays, size, replications):
    command = [troupe, "whatif", SCENARIO, "--json", "--replications", str(replications)]
    for one in BURSTS + [f"arrivals.requests={size}"]:
        command += ["--set", one]
    for overlay in overlays:
        command += ["--overlay", overlay]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    answer = json.loads(done.stdout)
    place = next(place for place in answer["places"] if place["name"] == "registry")
    return {"queue": place["waiting_ms"] * 1e6, "service": place["service_ms"] * 1e6,
            "burst": (2 * place["waiting_ms"] + place["service_ms"]) * 1e6}  # they come at once: a mean wait is half of it


def measured(program, mode, size, seconds):
    done = subprocess.run([program, mode, str(size), "100000", str(seconds)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    words = done.stdout.split()
    return {"queue": float(words[6]), "service": float(words[7]), "burst": float(words[8])}


def rounds_of(program, rounds, seconds):
    """Modes and sizes in turn, so that a slow moment is nobody's."""
    seen = {}
    for _ in range(rounds):
        for mode in MODES:
            for size in SIZES:
                seen.setdefault((mode, size), []).append(measured(program, mode, size, seconds))
    return [(mode, [seen[mode, size] for size in SIZES]) for mode in MODES]


# ---- what is printed ----
def time_text(ns):
    return f"{ns / 1e6:.1f} ms" if ns >= 1e6 else f"{ns / 1e3:.1f} us" if ns >= 1e3 else f"{ns:.0f} ns"


def rows_of(where, name, seen):
    """`seen`: of each size its rounds."""
    knee = knee_of([[wave["burst"] for wave in waves] for waves in zip(*seen)])
    waves = [{key: statistics.median(wave[key] for wave in rounds) for key in ("queue", "service", "burst")}
             for rounds in seen]
    return [{"bench": "bursts", "where": where, "way": name, "burst": size, "queue_ns": round(wave["queue"], 1),
             "service_ns": round(wave["service"], 1), "whole_burst_ns": round(wave["burst"], 1),
             "knee": round(knee, 1) if math.isfinite(knee) else None, "state": state_of(size, knee)}
            for size, wave in zip(SIZES, waves)]


def draw(rows, longest):
    knee = rows[0]["knee"]
    print(f"\n{rows[0]['way']}, {rows[0]['where']}: " + (f"knee at {knee:.0f}" if knee else "no knee up to 100"))
    for row in rows:
        width = 40 / longest
        queue, service = row["queue_ns"], row["service_ns"]
        bar = "." * round(queue * width) + "#" * max(1, round(service * width))
        print(f"  {row['burst']:>4}  queue {time_text(queue):>9}  service {time_text(service):>9}  whole burst "
              f"{time_text(row['whole_burst_ns']):>9}  {row['state']:<10}  |{bar}")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("build")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.1, help="of a measurement")
    options.add_argument("--replications", type=int, default=4, help="in virtual time")
    options.add_argument("--json", action="store_true", help="one object a line instead of the diagram")
    options = options.parse_args()
    troupe, modes = (os.path.join(options.build, name) for name in ("troupe", "bench/registry_modes"))
    ways = [("virtual time", name, [[simulated(troupe, overlays, size, options.replications)] for size in SIZES]) for name, overlays in VIRTUAL]
    ways += [("measured", name, seen) for name, seen in rounds_of(modes, options.rounds, options.seconds)]
    longest = {}
    tables = [rows_of(*way) for way in ways]
    for row in itertools.chain.from_iterable(tables):
        longest[row["where"]] = max(longest.get(row["where"], 0), row["queue_ns"] + row["service_ns"])
    for rows in tables:
        if options.json:
            for row in rows:
                print(json.dumps(row))
        else:
            draw(rows, longest[rows[0]["where"]])


if __name__ == "__main__":
    main()
