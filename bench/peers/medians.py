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


def main():
    for (workload, threads, names), tables in read(sys.argv[1]).items():
        print(f"\n{workload}, {threads} thread{'s' if threads > 1 else ''}, {names} names")
        print(f"{'table':18} {'million/s':>10} {'CPU ns':>9} {'p50 ns':>8} {'p99 ns':>8} {'bytes':>7} {'n':>3} "
              f"{'CPU ratio':>10} {'wall ratio':>11}")
        medians = {name: [statistics.median(column) for column in zip(*rounds)] for name, rounds in tables.items()}
        ours = medians.get(OURS)
        for name, figures in sorted(medians.items(), key=lambda item: item[1][1]):
            ratios = f"{figures[1] / ours[1]:10.2f} {ours[0] / figures[0]:11.2f}" if ours else ""
            print(f"{name:18} {figures[0] / 1e6:10.2f} {figures[1]:9.2f} {figures[2]:8.0f} {figures[3]:8.0f} "
                  f"{figures[4]:7.1f} {len(tables[name]):3} {ratios}")


main()
