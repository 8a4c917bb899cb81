"""Wines that are not like the wines known so far: scikit-learn's isolation forest on thirteen chemical measurements.
It sees two cultivars only; the held-out rows have all three, and the third is the anomaly. Run it from its own folder.

The score is scikit-learn's decision_function: the LOWER, the stranger; below 0 the label is -1 (an outlier), else 1."""

import sys

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_wine
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

sys.path.insert(0, "..")
import example

SEED = 20266
EVENTS = 60
STRANGE = 2


def main():
    data = load_wine()
    x = data.data.astype(np.float32)
    known = np.flatnonzero(data.target != STRANGE)
    train, held = train_test_split(known, test_size=0.4, stratify=data.target[known], random_state=SEED)
    held = np.random.default_rng(SEED).permutation(np.concatenate([held, np.flatnonzero(data.target == STRANGE)]))
    origin = IsolationForest(n_estimators=50, contamination=0.1, random_state=SEED).fit(x[train])
    shape = [("features", FloatTensorType([None, x.shape[1]]))]
    model = example.finish(convert_sklearn(origin, "wine-anomaly", shape, target_opset=example.OPSETS))
    onnx.save(model, "model.onnx")

    label, score = origin.predict(x[held]), origin.decision_function(x[held])
    outputs = {"label": label[:, None], "scores": score[:, None]}
    example.verify(model, {"features": x[held]}, outputs)

    fields = [name.replace("od280/od315_of_diluted_wines", "od280_od315") for name in data.feature_names]
    names = [f"wine-{number:03d}" for number in held]
    example.write_lines(
        "events.jsonl",
        (
            {"id": names[i], **dict(zip(fields, x[held[i]])), "label": "strange" if data.target[held[i]] == STRANGE else "known"}
            for i in range(EVENTS)
        ),
    )
    example.write_lines(
        "expected.jsonl",
        (
            # Eddy's scores are higher for what is stranger, scikit-learn's are lower.
            example.expected(
                names[i], "strangeness", {"score": -score[i], "flags": ["anomaly"] if label[i] == -1 else []}
            )
            for i in range(EVENTS)
        ),
    )
    example.write_golden({"features": x[held[:8]]}, {name: rows[:8] for name, rows in outputs.items()})
    strange = data.target[held] == STRANGE
    example.write_score(
        "roc_auc",
        roc_auc_score(strange, -score),
        len(train),
        len(held),
        SEED,
        ["numpy", "onnx", "scikit-learn", "skl2onnx"],
        flagged_of_strange=round(float(np.mean(label[strange] == -1)), 4),
        flagged_of_known=round(float(np.mean(label[~strange] == -1)), 4),
    )


if __name__ == "__main__":
    main()
