"""Handwritten digits as points on a sphere in 16 dimensions, equal digits close together: scikit-learn's
neighbourhood components analysis, then L2 normalisation. Run it from its own folder."""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, NeighborhoodComponentsAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

sys.path.insert(0, "..")
import example

SEED = 20264
EVENTS = 60
SIZE = 16


def export(components):
    weight = numpy_helper.from_array(components.T.astype(np.float32), "components")
    nodes = [
        helper.make_node("MatMul", ["pixels", "components"], ["point"]),
        helper.make_node("LpNormalization", ["point"], ["embedding"], axis=-1, p=2),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 64])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", SIZE])
    graph = helper.make_graph(nodes, "embedding", [pixels], [embedding], [weight])
    return example.finish(helper.make_model(graph, producer_name="eddy", opset_imports=[helper.make_opsetid("", 18)]))


def main():
    digits = load_digits()
    x_train, x_held, y_train, y_held, _, ids = train_test_split(
        digits.data.astype(np.float32),
        digits.target,
        np.arange(len(digits.data)),
        test_size=900,
        stratify=digits.target,
        random_state=SEED,
    )
    nca = NeighborhoodComponentsAnalysis(SIZE, init="pca", max_iter=60, random_state=SEED)
    origin = make_pipeline(nca, Normalizer()).fit(x_train, y_train)
    model = export(nca.components_)
    onnx.save(model, "model.onnx")

    points = origin.transform(x_held)
    example.verify(model, {"pixels": x_held}, {"embedding": points})
    nearest = KNeighborsClassifier(1).fit(origin.transform(x_train), y_train)

    names = [f"digit-{number:04d}" for number in ids]
    example.write_lines(
        "events.jsonl",
        ({"id": names[i], "pixels": x_held[i].astype(int), "label": y_held[i]} for i in range(EVENTS)),
    )
    example.write_lines(
        "expected.jsonl",
        (example.expected(names[i], "embedding", {"embedding": points[i]}) for i in range(EVENTS)),
    )
    example.write_golden({"pixels": x_held[:8]}, {"embedding": points[:8]})
    example.write_score(
        "nearest_neighbour_accuracy",
        nearest.score(points, y_held),
        len(x_train),
        len(x_held),
        SEED,
        ["numpy", "onnx", "scikit-learn"],
    )


if __name__ == "__main__":
    main()
