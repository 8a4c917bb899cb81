"""Breast cancer, benign or malignant, from 30 measurements: scikit-learn's logistic regression, exported by skl2onnx
with its default options, so with a label and a ZipMap (a sequence of maps from class to probability). Run it from its
own folder."""

import sys
from pathlib import Path

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).parent.parent))
import example

SEED = 20261
EVENTS = 60


def nested(names, row):
    """"mean concave points" is the field /mean/concave_points, "radius error" is /error/radius."""
    event = {"mean": {}, "error": {}, "worst": {}}
    for name, value in zip(names, row):
        words = name.split()
        group = words.pop() if words[-1] == "error" else words.pop(0)
        event[group]["_".join(words)] = value
    return event


def origin():
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def export(fitted, width):
    shape = [("features", FloatTensorType([None, width]))]
    return example.finish(convert_sklearn(fitted, "cancer", shape, target_opset=example.OPSETS))


def main():
    data = load_breast_cancer()
    x = data.data.astype(np.float32)
    x_train, x_held, y_train, y_held, _, ids = train_test_split(
        x, data.target, np.arange(len(x)), test_size=0.4, stratify=data.target, random_state=SEED
    )
    fitted = origin().fit(x_train, y_train)
    model = export(fitted, x.shape[1])
    onnx.save(model, "model.onnx")

    label, probabilities = fitted.predict(x_held), fitted.predict_proba(x_held)
    outputs = {"output_label": label, "output_probability": probabilities}
    example.verify(model, {"features": x_held}, outputs)

    names = [f"cancer-{number:03d}" for number in ids]
    example.write_lines(
        "events.jsonl",
        (
            {"id": names[i], **nested(data.feature_names, x_held[i]), "label": data.target_names[y_held[i]]}
            for i in range(EVENTS)
        ),
    )
    example.write_lines(
        "expected.jsonl",
        (
            example.expected(
                names[i],
                "cancer",
                {
                    "label": data.target_names[label[i]],
                    "probabilities": probabilities[i],
                    **example.unsure(probabilities[i]),
                },
            )
            for i in range(EVENTS)
        ),
    )
    example.write_golden({"features": x_held[:8]}, {name: rows[:8] for name, rows in outputs.items()})
    example.write_score(
        "accuracy",
        accuracy_score(y_held, label),
        len(x_train),
        len(x_held),
        SEED,
        ["numpy", "onnx", "scikit-learn", "skl2onnx"],
        roc_auc=round(roc_auc_score(y_held, probabilities[:, 1]), 4),
        classes=list(data.target_names),
    )


if __name__ == "__main__":
    main()
