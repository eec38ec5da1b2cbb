#!/usr/bin/env python3
"""Gradient-boosted decision trees, from scratch and with the standard library only: is a handwritten digit odd?

    python3 train.py --lr 0.3 --depth 4

Nothing in here knows of Troupe: it takes its settings as options and prints what it reached, which is all that
`troupe run --var ... --metric val_acc -- python3 train.py ...` needs. See README.md.
"""
import argparse
import json
import math
import os
import random

LEVELS = 17  # a pixel is 0 to 16


def read(path, rows, seed):
    """Shuffled (pixels, is_odd) pairs: the first `rows` to learn from, as many again, at most, to validate on."""
    with open(path) as file:
        lines = [[int(field) for field in line.split(",")] for line in file]
    random.Random(seed).shuffle(lines)
    pairs = [(line[:-1], line[-1] % 2) for line in lines[: 2 * rows]]
    return pairs[:rows], pairs[rows:]


def best_split(rows, indices, gradients, hessians, regular):
    """The (gain, pixel, level) that separates the rows best: second-order gain, one histogram a pixel."""
    total_g, total_h = sum(gradients[i] for i in indices), sum(hessians[i] for i in indices)
    best = (1e-9, None, None)
    for pixel in range(64):
        sums_g, sums_h = [0.0] * LEVELS, [0.0] * LEVELS
        for i in indices:
            level = rows[i][0][pixel]
            sums_g[level] += gradients[i]
            sums_h[level] += hessians[i]
        left_g = left_h = 0.0
        for level in range(LEVELS - 1):
            left_g += sums_g[level]
            left_h += sums_h[level]
            right_g, right_h = total_g - left_g, total_h - left_h
            if left_h < 1 or right_h < 1:
                continue
            gain = (left_g ** 2 / (left_h + regular) + right_g ** 2 / (right_h + regular)
                    - total_g ** 2 / (total_h + regular))
            if gain > best[0]:
                best = (gain, pixel, level)
    return best


def grow(rows, indices, gradients, hessians, depth, regular):
    """A leaf is a number; a node is [pixel, level, where pixel <= level, where it is above]."""
    pixel = None
    if depth > 0 and len(indices) > 1:
        _, pixel, level = best_split(rows, indices, gradients, hessians, regular)
    if pixel is None:
        return -sum(gradients[i] for i in indices) / (sum(hessians[i] for i in indices) + regular)
    below = [i for i in indices if rows[i][0][pixel] <= level]
    above = [i for i in indices if rows[i][0][pixel] > level]
    return [pixel, level, grow(rows, below, gradients, hessians, depth - 1, regular),
            grow(rows, above, gradients, hessians, depth - 1, regular)]


def value(tree, pixels):
    while type(tree) is list:
        tree = tree[2] if pixels[tree[0]] <= tree[1] else tree[3]
    return tree


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--lr", type=float, default=0.1, help="weight of each tree")
    parser.add_argument("--depth", type=int, default=2, help="questions a tree asks at most")
    parser.add_argument("--trees", type=int, default=12)
    parser.add_argument("--regular", type=float, default=1.0, help="pull of the leaves towards zero")
    parser.add_argument("--rows", type=int, default=200, help="rows to learn from")
    parser.add_argument("--seed", type=int, default=1, help="of the shuffle of the rows")
    parser.add_argument("--data", default=os.path.join(here, "..", "digits", "digits.csv"))
    parser.add_argument("--model", help="file to write the trees to")
    options = parser.parse_args()

    training, validation = read(options.data, options.rows, options.seed)
    scores, held, trees = [0.0] * len(training), [0.0] * len(validation), []
    for _ in range(options.trees):
        odds = [1 / (1 + math.exp(-max(-30.0, min(30.0, score)))) for score in scores]
        gradients = [p - row[1] for p, row in zip(odds, training)]
        hessians = [p * (1 - p) for p in odds]
        tree = grow(training, range(len(training)), gradients, hessians, options.depth, options.regular)
        trees.append(tree)
        for all_scores, rows in ((scores, training), (held, validation)):
            for i, row in enumerate(rows):
                all_scores[i] += options.lr * value(tree, row[0])
    correct = sum((score > 0) == (row[1] == 1) for score, row in zip(held, validation))
    loss = sum(math.log1p(math.exp(-abs(score))) + max(0.0, score) - score * row[1]
               for score, row in zip(held, validation)) / len(validation)
    if options.model:
        with open(options.model, "w") as file:
            json.dump({"lr": options.lr, "trees": trees}, file)
    print("val_loss=%.4f" % loss)
    print("val_acc=%.4f" % (correct / len(validation)))


if __name__ == "__main__":
    main()
