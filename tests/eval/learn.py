"""Prequential replays: every event is predicted, then perhaps selected, and only selected labels are learned.

`learn.py EVAL CENSUS.CSV`; prints one line of JSON for each cell of the table.

Owns: the streams and the learners, which are river's. Never does: select; the program EVAL does, one line an event.

Invariant: the same seeds give the same numbers.
"""

import csv
import json
import math
import subprocess
import sys
from itertools import islice
from multiprocessing import Pool

import numpy as np
from river import datasets, naive_bayes, tree
from river.datasets import synth

EVAL, CENSUS = sys.argv[1:]
BUDGETS = (0.005, 0.01, 0.05)
SEEDS = 3
WARM_UP = 50
MOST = 8_000
LEARNERS = {"GaussianNB": naive_bayes.GaussianNB, "Hoeffding tree": tree.HoeffdingTreeClassifier}


def census():
    with open(CENSUS) as file:
        for row in csv.DictReader(file):
            row.pop("probability")
            label = row.pop("label")
            yield {name: float(value) for name, value in row.items()}, label


def segments():
    rows = list(datasets.ImageSegments())
    for at in np.random.default_rng(0).permutation(len(rows)):
        yield rows[at]


def sea():
    """Four concepts one after the other, a tenth of the labels wrong."""
    for concept in range(4):
        yield from islice(synth.SEA(variant=concept, seed=concept, noise=0.1), MOST // 4)


STREAMS = {
    "census": census,
    "image segments": segments,
    "shuttle": lambda: iter(datasets.Shuttle()),
    "SEA with drift": sea,
}


class Selection:
    """The program's decisions: the probabilities of an event go in, whether it is selected comes out."""

    def __init__(self, budget, explore, seed, classes):
        arguments = [EVAL, "select", "--budget", str(budget), "--explore", str(explore)]
        arguments += ["--seed", str(seed), "--classes", str(classes)]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def takes(self, probabilities):
        self.process.stdin.write(" ".join(map(repr, probabilities)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().split()
        if not answer:
            raise RuntimeError("the program ended before its input did")
        return answer[0] == "1"

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise RuntimeError(f"the program ended with {self.process.returncode}")


def replay(job):
    stream, learner, budget, explore, seed = job
    events = [({k: float(v) for k, v in x.items()}, str(y)) for x, y in islice(STREAMS[stream](), MOST)]
    classes = sorted({y for _, y in events})
    model = LEARNERS[learner]()
    selection = None if budget is None else Selection(budget, explore, seed, len(classes))
    right = taken = 0
    for at, (x, y) in enumerate(events):
        if at < WARM_UP:
            model.learn_one(x, y)
            continue
        given = model.predict_proba_one(x)
        probabilities = [float(given.get(c, 0.0)) for c in classes]
        total = sum(probabilities)
        if not (math.isfinite(total) and total > 0):
            probabilities, total = [1.0] * len(classes), len(classes)
        probabilities = [p / total for p in probabilities]
        right += classes[max(range(len(classes)), key=probabilities.__getitem__)] == y
        if selection is None or selection.takes(probabilities):
            taken += 1
            model.learn_one(x, y)
    if selection is not None:
        selection.close()
    n = len(events) - WARM_UP
    return right / n, taken / n, len(events)


def main():
    cells = []
    for stream in STREAMS:
        for learner in LEARNERS:
            cells.append((stream, learner, None, None))
            cells += [(stream, learner, budget, explore) for budget in BUDGETS for explore in (1.0, 0.3)]
    jobs = [(*cell, seed) for cell in cells for seed in range(1 if cell[2] is None else SEEDS)]
    with Pool(2) as pool:
        results = dict(zip(jobs, pool.map(replay, jobs, chunksize=1)))
    for cell in cells:
        runs = [result for job, result in results.items() if job[:4] == cell]
        accuracies, shares, events = zip(*runs)
        stream, learner, budget, explore = cell
        print(
            json.dumps(
                {
                    "stream": stream,
                    "events": events[0],
                    "learner": learner,
                    "budget": budget,
                    "explore": explore,
                    "accuracy": float(np.mean(accuracies)),
                    "deviation": float(np.std(accuracies)),
                    "selected": float(np.mean(shares)),
                }
            )
        )


if __name__ == "__main__":
    main()
