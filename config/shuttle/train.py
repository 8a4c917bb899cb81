"""Sensor readings of a space shuttle's radiators, normal or not: scikit-learn's gradient-boosted trees on river's
Shuttle (UCI Statlog, cast as anomaly detection), probabilities as a plain tensor. Run it from its own folder."""

import csv
import gzip
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

sys.path.insert(0, "..")
import example

SEED = 20262
EVENTS = 60
ANOMALIES = 12  # of the events: a fifth, where the data have 7 %


def load():
    path = Path(find_spec("river").origin).parent / "datasets" / "shuttle.csv.gz"
    with gzip.open(path, "rt") as file:
        names, *rows = csv.reader(file)
    table = np.array(rows, dtype=np.int64)
    return names[:-1], table[:, :-1], table[:, -1]


def main():
    names, x, y = load()
    x_train, x_held, y_train, y_held, _, ids = train_test_split(
        x.astype(np.float32), y, np.arange(len(x)), test_size=0.5, stratify=y, random_state=SEED
    )
    origin = GradientBoostingClassifier(n_estimators=40, max_depth=3, subsample=0.5, random_state=SEED)
    origin.fit(x_train, y_train)
    shape = [("features", FloatTensorType([None, len(names)]))]
    plain = {id(origin): {"zipmap": False}}
    model = example.finish(convert_sklearn(origin, "shuttle", shape, options=plain, target_opset=example.OPSETS))
    onnx.save(model, "model.onnx")

    label, probabilities = origin.predict(x_held), origin.predict_proba(x_held)
    outputs = {"label": label, "probabilities": probabilities}
    example.verify(model, {"features": x_held}, outputs)

    chosen = np.sort(
        np.concatenate([np.flatnonzero(y_held == 1)[:ANOMALIES], np.flatnonzero(y_held == 0)[: EVENTS - ANOMALIES]])
    )
    event_names = {i: f"shuttle-{ids[i]:05d}" for i in chosen}
    example.write_lines(
        "events.jsonl",
        (
            {"id": event_names[i], **dict(zip(names, x_held[i].astype(int))), "label": y_held[i]}
            for i in chosen
        ),
    )
    example.write_lines(
        "expected.jsonl",
        (
            example.expected(
                event_names[i],
                "shuttle",
                {
                    "label": ["normal", "anomaly"][label[i]],
                    "probabilities": probabilities[i],
                    **example.unsure(probabilities[i]),
                },
            )
            for i in chosen
        ),
    )
    golden = chosen[:: len(chosen) // 8][:8]
    example.write_golden({"features": x_held[golden]}, {name: rows[golden] for name, rows in outputs.items()})
    example.write_score(
        "balanced_accuracy",
        balanced_accuracy_score(y_held, label),
        len(x_train),
        len(x_held),
        SEED,
        ["numpy", "onnx", "river", "scikit-learn", "skl2onnx"],
        accuracy=round(float(np.mean(label == y_held)), 5),
        roc_auc=round(roc_auc_score(y_held, probabilities[:, 1]), 5),
        average_precision=round(average_precision_score(y_held, probabilities[:, 1]), 5),
        classes=["normal", "anomaly"],
    )


if __name__ == "__main__":
    main()
