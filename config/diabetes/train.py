"""How far diabetes has progressed after a year, from ten measurements: scikit-learn's ridge regression on the raw
(unscaled) data. Run it from its own folder."""

import sys

import numpy as np
import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, "..")
import example

SEED = 20263
EVENTS = 60


def main():
    data = load_diabetes(scaled=False)
    x = data.data.astype(np.float32)
    x_train, x_held, y_train, y_held, _, ids = train_test_split(
        x, data.target, np.arange(len(x)), test_size=0.4, random_state=SEED
    )
    origin = make_pipeline(StandardScaler(), Ridge(1.0)).fit(x_train, y_train)
    shape = [("features", FloatTensorType([None, x.shape[1]]))]
    model = convert_sklearn(origin, "diabetes", shape, target_opset=example.OPSETS)
    model = example.finish(example.rename_output(model, "variable", "progression"))
    onnx.save(model, "model.onnx")

    value = origin.predict(x_held)
    outputs = {"progression": value[:, None]}
    example.verify(model, {"features": x_held}, outputs)

    names = [f"diabetes-{number:03d}" for number in ids]
    example.write_lines(
        "events.jsonl",
        (
            {"id": names[i], **dict(zip(data.feature_names, x_held[i])), "label": y_held[i]}
            for i in range(EVENTS)
        ),
    )
    example.write_lines(
        "expected.jsonl",
        (
            example.expected(names[i], "progression", {"value": value[i]}, fields={"label": y_held[i]})
            for i in range(EVENTS)
        ),
    )
    example.write_golden({"features": x_held[:8]}, {name: rows[:8] for name, rows in outputs.items()})
    example.write_score(
        "r2",
        r2_score(y_held, value),
        len(x_train),
        len(x_held),
        SEED,
        ["numpy", "onnx", "scikit-learn", "skl2onnx"],
        mean_absolute_error=round(mean_absolute_error(y_held, value), 3),
        target_standard_deviation=round(float(y_held.std()), 3),
    )


if __name__ == "__main__":
    main()
