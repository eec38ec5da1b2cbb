"""runtime_medians.py FILE: lines of bench/runtime_load.c and beam_actors.erl, folded: for each row of the table below the
median of both sides over the rounds, the ratio, and what the ratio must be and should be. `cpu`: CPU time an operation;
`wall`: wall time; `value`: the figure itself (less is better)."""
import statistics
import sys

COLUMNS = {"value": 0, "wall": 1, "cpu": 2}
# title, what is compared, ours, theirs, must, aim
ROWS = [
    ("ping-pong, one worker", "cpu", "troupe_w1 pingpong_rt", "beam_s1 pingpong_rt", 8, 20),
    ("ring of 1000, 1 token", "cpu", "troupe_w1 ring1000_tok1", "beam_s1 ring1000_tok1", 8, 16),
    ("ring of 1000, 100 tokens", "cpu", "troupe_w1 ring1000_tok100", "beam_s1 ring1000_tok100", 4, 7),
    ("fan-in, 1 sender", "wall", "troupe_w1 fanin1", "beam_s2 fanin1", 3, 6),
    ("fan-in, 8 senders", "wall", "troupe_w1 fanin8", "beam_s2 fanin8", 3, 6),
    ("fan-in, 1 sender, 2 workers", "wall", "troupe_w2 fanin1", "beam_s2 fanin1", 3, 6),
    ("fan-in, 8 senders, 2 workers", "wall", "troupe_w2 fanin8", "beam_s2 fanin8", 3, 6),
    ("ask, same worker", "cpu", "troupe_w1 ask", "beam_s1 ask", 12, 35),
    ("spawn 1 million", "cpu", "troupe_w1 spawn_1M", "beam_s2 spawn_1M", 5, 12),
    ("end 1 million", "cpu", "troupe_w1 kill_1M", "beam_s2 kill_1M", None, None),
    ("bytes of an idle actor", "value", "troupe_w1 bytes_per_actor", "beam_s2 bytes_per_actor", None, None),
]


def read(path):
    figures = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            peer, metric, *numbers = line.split()
            figures.setdefault(f"{peer} {metric}", []).append([float(number) for number in numbers])
    return figures


def main():
    figures = read(sys.argv[1])
    print(f"{'':30} {'':5} {'ours':>10} {'theirs':>10} {'ratio':>7} {'must':>5} {'aim':>5} {'n':>3}")
    for title, kind, ours, theirs, must, aim in ROWS:
        column = COLUMNS[kind]
        medians = [statistics.median(row[column] for row in figures[name]) if name in figures else None
                   for name in (ours, theirs)]
        cells = [f"{median:10.2f}" if median is not None else f"{'-':>10}" for median in medians]
        ratio = f"{medians[1] / medians[0]:7.1f}" if None not in medians else f"{'-':>7}"
        print(f"{title:30} {kind:5} {cells[0]} {cells[1]} {ratio} {must or '-':>5} {aim or '-':>5} "
              f"{len(figures.get(ours, [])):3}")
    for name, rows in figures.items():
        if " overload_" in name:
            print(f"{name.split()[1]:40} {' '.join(f'{number:g}' for number in rows[-1])}")


main()
