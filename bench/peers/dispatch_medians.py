"""dispatch_medians.py FILE: lines of bench/dispatch_load.c and gearman_load.c, folded: for each row of the table below the
median of both sides over the rounds, the ratio, and what the ratio must be. The ratio is how many times better this side is."""
import statistics
import sys

# title, load, column of its line (tasks a second, wall ns, CPU ns), whether more is better, what the ratio must be
ROWS = [
    ("500 outstanding, tasks/s", "dispatch_500", 0, True, 2),
    ("500 outstanding, CPU us a task", "dispatch_500", 2, False, 2),
    ("1 a submitter, tasks/s", "dispatch_4", 0, True, 3),
    ("1 a submitter, CPU us a task", "dispatch_4", 2, False, None),
]


def main():
    figures = {}
    with open(sys.argv[1], encoding="ascii") as lines:
        for line in lines:
            peer, load, *numbers = line.split()
            figures.setdefault((peer, load), []).append([float(number) for number in numbers])
    print(f"{'':32} {'troupe':>10} {'gearmand':>10} {'ratio':>7} {'must':>5} {'n':>3}")
    for title, load, column, more, must in ROWS:
        medians = {}
        for peer in ("troupe", "gearmand"):
            values = [row[column] for row in figures.get((peer, load), [])]
            medians[peer] = statistics.median(values) / (1000 if column else 1) if values else None
        cells = [f"{value:10.1f}" if value is not None else f"{'-':>10}" for value in medians.values()]
        ratio = f"{'-':>7}"
        if medians["troupe"] and medians["gearmand"]:
            times = medians["troupe"] / medians["gearmand"]
            ratio = f"{times if more else 1 / times:7.2f}"
        print(f"{title:32} {cells[0]} {cells[1]} {ratio} {must or '-':>5} {len(figures.get(('troupe', load), [])):3}")


main()
