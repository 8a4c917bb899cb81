"""Which of 14 functions a yeast gene has (any number of them), from 103 expression values: one logistic regression per
function, on river's Yeast (MULAN). Run it from its own folder."""

import csv
import gzip
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, hamming_loss
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier

sys.path.insert(0, "..")
import example

SEED = 20267
EVENTS = 60
FEATURES = 103


def load():
    path = Path(find_spec("river").origin).parent / "datasets" / "yeast.csv.gz"
    with gzip.open(path, "rt") as file:
        names, *rows = csv.reader(file)
    table = np.array(rows, dtype=np.float64)
    return names[FEATURES:], table[:, :FEATURES].astype(np.float32), table[:, FEATURES:].astype(np.int64)


def main():
    classes, x, y = load()
    x_train, x_held, y_train, y_held, _, ids = train_test_split(
        x, y, np.arange(len(x)), test_size=0.4, random_state=SEED
    )
    origin = OneVsRestClassifier(LogisticRegression(max_iter=1000)).fit(x_train, y_train)
    shape = [("expression", FloatTensorType([None, FEATURES]))]
    plain = {id(origin): {"zipmap": False}}
    model = example.finish(convert_sklearn(origin, "yeast", shape, options=plain, target_opset=example.OPSETS))
    onnx.save(model, "model.onnx")

    label, probabilities = origin.predict(x_held), origin.predict_proba(x_held)
    outputs = {"label": label, "probabilities": probabilities}
    example.verify(model, {"expression": x_held}, outputs)

    present = lambda row: [name for name, has in zip(classes, row) if has]
    names = [f"gene-{number:04d}" for number in ids]
    example.write_lines(
        "events.jsonl",
        ({"id": names[i], "expression": x_held[i], "label": present(y_held[i])} for i in range(EVENTS)),
    )
    example.write_lines(
        "expected.jsonl",
        (
            example.expected(
                names[i],
                "functions",
                {
                    "labels": present(label[i]),
                    "probabilities": probabilities[i],
                    **example.unsure(probabilities[i], several=True),
                },
            )
            for i in range(EVENTS)
        ),
    )
    example.write_golden({"expression": x_held[:8]}, {name: rows[:8] for name, rows in outputs.items()})
    example.write_score(
        "micro_f1",
        f1_score(y_held, label, average="micro"),
        len(x_train),
        len(x_held),
        SEED,
        ["numpy", "onnx", "river", "scikit-learn", "skl2onnx"],
        hamming_loss=round(hamming_loss(y_held, label), 4),
        classes=classes,
    )


if __name__ == "__main__":
    main()
