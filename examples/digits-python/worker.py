#!/usr/bin/env python3
"""The digits pipeline with numpy and scikit-learn: the stages of examples/digits, as functions.

  prepare   reads the rows, sets the held-out ones apart, scales the tuning rows     -> artifact: rows, folds, scaling
  train     5-fold cross-validation on the tuning rows, then a model of all of them  -> artifact: the model
  evaluate  compares what each row's fold predicted with its label                   -> metric accuracy
  test      the model of a trial on the held-out rows; for the baseline and the best -> metric accuracy

Needs numpy and scikit-learn (Debian: python3-sklearn).
"""
import os
import pickle
import sys

# One core a worker: the pipeline has several of them. To be set before numpy is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "sdk", "python"))

try:
    import numpy
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC
except ImportError as missing:
    sys.exit("this example needs numpy and scikit-learn (%s); on Debian: apt install python3-sklearn" % missing)

from troupe_worker import Result, capability, run

HELD_OUT, FOLDS = 360, 5


def split(data):
    """The same rows held out for the same split_seed, whoever asks."""
    table = numpy.loadtxt(data["rows"], delimiter=",", dtype=numpy.int16)
    pixels, labels = table[:, :-1].astype(float), table[:, -1]
    return train_test_split(pixels, labels, test_size=HELD_OUT, stratify=labels, random_state=data["split_seed"])


def classifier(variables, seed):
    kind = variables["kind"]
    if kind == "svm":
        return SVC(C=variables["C"], gamma=variables["gamma"], cache_size=100)
    if kind == "logistic":
        return LogisticRegression(C=variables["logistic_C"], max_iter=300, random_state=seed % 2**32)
    return KNeighborsClassifier(variables["neighbours"], weights=variables["weights"])


@capability("prepare")
def prepare(task):
    tuning, held_out, labels, _ = split(task.data)
    scale = task.variables["scale"]
    shift = tuning.mean(axis=0) if scale == "standard" else numpy.zeros(tuning.shape[1])
    factor = {"none": 1.0, "unit": 1 / 16, "standard": 1 / numpy.maximum(tuning.std(axis=0), 1e-9)}[scale]
    folds = numpy.empty(len(labels), dtype=numpy.int8)
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=task.data["split_seed"])
    for fold, (_, rows) in enumerate(splitter.split(tuning, labels)):
        folds[rows] = fold
    numpy.savez(task.artifact_path("rows.npz"), rows=(tuning - shift) * factor, labels=labels, folds=folds,
                shift=shift, factor=factor)
    return Result({"tuning": len(tuning), "held_out": len(held_out), "folds": FOLDS}, metrics={})


@capability("train")
def train(task):
    with numpy.load(task.inputs["prepare"].path) as prepared:
        rows, labels, folds = prepared["rows"], prepared["labels"], prepared["folds"]
    predicted = numpy.empty_like(labels)
    for fold in range(FOLDS):
        task.check()
        model = classifier(task.variables, task.seed).fit(rows[folds != fold], labels[folds != fold])
        predicted[folds == fold] = model.predict(rows[folds == fold])
        seen = folds <= fold
        task.progress(fold + 1, accuracy=(predicted[seen] == labels[seen]).mean())
    model = classifier(task.variables, task.seed).fit(rows, labels)
    with open(task.artifact_path("model.pickle"), "wb") as file:
        pickle.dump(model, file)
    return Result({"out_of_fold": "".join(map(str, predicted))})


@capability("evaluate")
def evaluate(task):
    with numpy.load(task.inputs["prepare"].path) as prepared:
        labels, folds = prepared["labels"], prepared["folds"]
    predicted = numpy.array(list(task.inputs["train"].value["out_of_fold"]), dtype=labels.dtype)
    right = predicted == labels
    return {
        "accuracy": right.mean(),
        "errors": int((~right).sum()),
        "worst_recall": min(right[labels == label].mean() for label in range(10)),
        "fold_deviation": numpy.std([right[folds == fold].mean() for fold in range(FOLDS)], ddof=1),
    }


@capability("test")
def test(task):
    with numpy.load(task.inputs["prepare"].path) as prepared:
        shift, factor = prepared["shift"], prepared["factor"]
    with open(task.inputs["train"].path, "rb") as file:
        model = pickle.load(file)
    _, held_out, _, labels = split(task.data)
    right = model.predict((held_out - shift) * factor) == labels
    return {"accuracy": right.mean(), "errors": int((~right).sum())}


run("digits-python")
