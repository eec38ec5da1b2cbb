"""medians.py FILE: lines of load_frame.h, folded: the median of each figure over the rounds, and how many times as
much (CPU or, with two threads, wall time) each costs as the registry. Rounds in which nothing could run are left out."""
import statistics
import sys

OURS = "troupe_registry"


def read(path):
    rows = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            name, workload, threads, names, *figures = line.split()
            figures = [float(figure) for figure in figures]
            if figures[0] > 0:
                rows.setdefault((workload, int(threads), int(names)), {}).setdefault(name, []).append(figures)
    return rows


def batches(rows):
    """How many times as fast a name is in a batch as alone, of each table that has batches: the processor overlaps single
    look-ups too, so what the limit gains is what there is to gain."""
    for (workload, threads, names), tables in rows.items():
        singles = rows.get(("uniform", threads, names), {})
        for name, rounds in tables.items() if workload == "batch16" else ():
            if name in singles:
                alone = statistics.median(figures[1] for figures in singles[name])
                batched = statistics.median(figures[1] for figures in rounds)
                print(f"{name:18} {names} names: {alone:.2f} ns alone, {batched:.2f} in a batch of 16: "
                      f"{alone / batched:.2f} times")


def main():
    rows = read(sys.argv[1])
    for (workload, threads, names), tables in rows.items():
        print(f"\n{workload}, {threads} thread{'s' if threads > 1 else ''}, {names} names")
        print(f"{'table':18} {'million/s':>10} {'CPU ns':>9} {'p50 ns':>8} {'p99 ns':>8} {'bytes':>7} {'n':>3} "
              f"{'CPU ratio':>10} {'wall ratio':>11}")
        medians = {name: [statistics.median(column) for column in zip(*rounds)] for name, rounds in tables.items()}
        ours = medians.get(OURS)
        for name, figures in sorted(medians.items(), key=lambda item: item[1][1]):
            ratios = f"{figures[1] / ours[1]:10.2f} {ours[0] / figures[0]:11.2f}" if ours else ""
            print(f"{name:18} {figures[0] / 1e6:10.2f} {figures[1]:9.2f} {figures[2]:8.0f} {figures[3]:8.0f} "
                  f"{figures[4]:7.1f} {len(tables[name]):3} {ratios}")
    print()
    batches(rows)


main()
