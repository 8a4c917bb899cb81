"""Writes the data sets of the evaluation as files of numbers: `export.py FOLDER`.

Owns: which rows of a data set are its reference and which are scored, and the draws of numpy and river that the numbers
expected in the tables rest on. Never does: select or score; Eddy does.

Invariant: the same packages write the same files.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
from river import anomaly, datasets
from sklearn.datasets import load_breast_cancer, load_digits

FOLDER = Path(sys.argv[1])
CENSUS_ROWS = 60_000
CENSUS_COLUMNS_LEFT_OUT = {"id", "year", "employed", "prediction", "predicted_probability"}


def write(name, columns, rows):
    lines = [",".join(columns)]
    lines += [",".join(repr(float(value)) for value in row) for row in rows]
    (FOLDER / f"{name}.csv").write_text("\n".join(lines) + "\n")


def budget_streams():
    """Utilities of binary classifiers, at most a half, and the draws of the managers."""
    rng = np.random.default_rng(0)
    n = 20_000
    t = np.arange(n)
    uniform = rng.random((n, 2))
    normal = rng.normal(1, 1, n)
    half = n // 2
    streams = {
        "stationary": rng.beta(1.5, 8, n) / 2,
        "jump_up": np.r_[rng.beta(2, 8, half), rng.beta(5, 5, half)] / 2,
        "drop": np.r_[rng.beta(5, 5, half), rng.beta(2, 8, half)] / 2,
        "season": rng.beta(1.5 + 1.5 * (1 + np.sin(t / 1500)), 6) / 2,
        "creep_down": np.linspace(0.35, 0.25, n),
        "constant": np.full(n, 0.15),
        "saturated_90pct_zero": np.where(rng.random(n) < 0.9, 0.0, rng.random(n)) / 2,
    }
    draws = [uniform[:, 0], uniform[:, 1], normal]
    write("budgets", [*streams, "uniform", "uniform_2", "normal"], np.column_stack([*streams.values(), *draws]))


def trees_of(reference):
    """Half-space trees as river draws them, in heap order."""
    limits = {
        j: (float(low - 0.15 * (high - low)), float(high + 0.15 * (high - low)))
        for j, (low, high) in enumerate(zip(reference.min(0), reference.max(0) + 1e-9))
    }
    forest = anomaly.HalfSpaceTrees(n_trees=25, height=8, window_size=250, limits=limits, seed=1)
    forest.learn_one(dict(enumerate(map(float, reference[-3000:][0]))))
    trees = []
    for tree in forest.trees:
        nodes = [None] * (2**9 - 1)

        def walk(node, at):
            children = getattr(node, "children", None)
            if children:
                nodes[at] = [node.feature, node.threshold]
                walk(children[0], 2 * at + 1)
                walk(children[1], 2 * at + 2)

        walk(tree, 0)
        trees.append(nodes)
    return trees


def anomaly_sets():
    """Clean references, rows to score with the label 1 for anomalies, and the rows of random coresets."""
    rng = np.random.default_rng(61)

    def put(name, reference, rows, labels):
        core = rng.choice(len(reference), min(500, len(reference)), replace=False)
        features = [f"x{j}" for j in range(reference.shape[1])]
        write(f"{name}-reference", features, reference)
        write(f"{name}-core", ["row"], core[:, None])
        write(f"{name}-rows", [*features, "label"], np.column_stack([rows, labels]))
        (FOLDER / f"{name}-trees.json").write_text(json.dumps(trees_of(reference)))

    x, y = zip(*[(list(map(float, a.values())), int(b)) for a, b in datasets.Shuttle()])
    x, y = np.array(x), np.array(y)
    ordinary = x[y == 0]
    write("shuttle-ordinary", [f"x{j}" for j in range(x.shape[1])], ordinary)
    reference = np.where(y == 0)[0][:5000]
    rows = np.setdiff1d(np.arange(len(x)), reference)[:20_000]
    put("shuttle", x[reference], x[rows], y[rows])

    x, y = load_digits(return_X_y=True)
    x = x + rng.normal(0, 1e-3, x.shape)
    for digit in (0, 3, 8):
        own = np.where(y == digit)[0]
        rows = np.r_[own[120:], np.where(y != digit)[0][:60]]
        put(f"digits_{digit}", x[own[:120]], x[rows], y[rows] != digit)

    x, y = load_breast_cancer(return_X_y=True)
    own = np.where(y == 1)[0]
    rows = np.r_[own[250:], np.where(y == 0)[0][:40]]
    put("breast_cancer", x[own[:250]], x[rows], y[rows] == 0)


def census_table(part, names):
    package = Path(importlib.util.find_spec("nannyml").origin).parent
    table = pyarrow.parquet.read_table(package / f"datasets/data/employment_MA_{part}.pq").to_pydict()
    features = [name for name in table if name not in CENSUS_COLUMNS_LEFT_OUT]
    columns = [
        [float("nan") if value is None else float(value) for value in table[name]] for name in [*features, *names]
    ]
    return features, np.column_stack(columns)


def census():
    """The reference year: features, the probability that its model gave, and the label."""
    features, rows = census_table("reference", ["predicted_probability", "employed"])
    order = np.random.default_rng(0).permutation(len(rows))[:CENSUS_ROWS]
    write("census", [*features, "probability", "label"], rows[order])


def census_years():
    """All years in the order of the data set: features, the probability that the model gave, and the year."""
    parts = [census_table(part, ["predicted_probability", "year"]) for part in ("reference", "analysis")]
    write("census-years", [*parts[0][0], "probability", "year"], np.vstack([rows for _, rows in parts]))


budget_streams()
anomaly_sets()
census()
census_years()
