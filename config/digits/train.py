"""A small convolutional network on half of scikit-learn's digits, trained with JAX. Run it from its own folder."""

import json
import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

sys.path.insert(0, "..")
import example

SEED = 20260
HELD_OUT = 900
EVENTS = 60
STEPS = 2500
BATCH = 64
LABEL_SMOOTHING = 0.02


def load():
    """Images as the demo sends them: 8-bit grey, png value = round(v * 255 / 16). Ids are scikit-learn's row numbers."""
    digits = load_digits()
    pixels = np.round(digits.images * 255 / 16).astype(np.uint8)
    return train_test_split(pixels, digits.target, np.arange(len(pixels)), test_size=HELD_OUT, stratify=digits.target, random_state=SEED)


def to_input(pixels):
    return (pixels.astype(np.float32) / np.float32(255))[:, None]


def shifted(images, rng):
    """Each image moved by at most a pixel each way: the only augmentation, so a tilted digit stays a stranger."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    moves = rng.choice([0, 1, 2], p=[0.15, 0.7, 0.15], size=(len(images), 2))
    return np.stack([padded[i, :, dy : dy + 8, dx : dx + 8] for i, (dy, dx) in enumerate(moves)])


def start(rng):
    def layer(*shape):
        fan_in = np.prod(shape[1:])
        return rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32), np.zeros(shape[0], np.float32)

    return {"conv1": layer(16, 1, 3, 3), "conv2": layer(32, 16, 3, 3), "dense1": layer(64, 32 * 4 * 4), "dense2": layer(10, 64)}


def forward(weights, x):
    for name in ("conv1", "conv2"):
        w, b = weights[name]
        x = jax.nn.relu(jax.lax.conv_general_dilated(x, w, (1, 1), "SAME") + b[:, None, None])
    x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    x = x.reshape(x.shape[0], -1)
    w, b = weights["dense1"]
    x = jax.nn.relu(x @ w.T + b)
    w, b = weights["dense2"]
    return x @ w.T + b


def loss(weights, x, y):
    target = jax.nn.one_hot(y, 10) * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / 10
    decay = sum(jnp.sum(w**2) for w, _ in weights.values())
    return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(forward(weights, x)), axis=1)) + 1e-4 * decay


@jax.jit
def adam(weights, mean, square, step, x, y):
    rate = 2e-3 * 0.5 * (1 + jnp.cos(jnp.pi * step / STEPS))
    slope = jax.grad(loss)(weights, x, y)
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, square, slope)
    t = step + 1
    move = lambda w, m, s: w - rate * (m / (1 - 0.9**t)) / (jnp.sqrt(s / (1 - 0.999**t)) + 1e-8)
    return jax.tree.map(move, weights, mean, square), mean, square


def train(x, y, rng):
    weights = start(rng)
    mean = jax.tree.map(jnp.zeros_like, weights)
    square = jax.tree.map(jnp.zeros_like, weights)
    for step in range(STEPS):
        rows = rng.integers(0, len(x), BATCH)
        weights, mean, square = adam(weights, mean, square, step, shifted(x[rows], rng), y[rows])
    return jax.tree.map(np.asarray, weights)


def export(weights):
    constants = [
        numpy_helper.from_array(array, f"{name}.{part}")
        for name, pair in weights.items()
        for part, array in zip(("weight", "bias"), pair)
    ]
    conv = dict(kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    nodes = [
        helper.make_node("Conv", ["image", "conv1.weight", "conv1.bias"], ["a"], **conv),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "conv2.weight", "conv2.bias"], ["c"], **conv),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MaxPool", ["d"], ["e"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "dense1.weight", "dense1.bias"], ["g"], transB=1),
        helper.make_node("Relu", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "dense2.weight", "dense2.bias"], ["logits"], transB=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])
    graph = helper.make_graph(nodes, "digits", [image], [logits], constants)
    return example.finish(helper.make_model(graph, producer_name="eddy", opset_imports=[helper.make_opsetid("", 18)]))


def disturbed(pixels, degrees=35, blur=0.7):
    """What the demo's drift looks like: the camera hangs askew and is out of focus."""
    tilted = ndimage.rotate(pixels.astype(np.float32), degrees, axes=(1, 2), reshape=False, order=1)
    blurred = ndimage.gaussian_filter(tilted, (0, blur, blur), mode="constant")
    return np.clip(np.round(blurred), 0, 255).astype(np.uint8)


def judge(weights, pixels, labels):
    probabilities = np.asarray(jax.nn.softmax(forward(weights, to_input(pixels))))
    return {
        "accuracy": round(float(np.mean(probabilities.argmax(1) == labels)), 4),
        "mean_confidence": round(float(probabilities.max(1).mean()), 4),
    }


def main():
    rng = np.random.default_rng(SEED)
    x_train, x_held, y_train, y_held, _, ids = load()
    weights = train(to_input(x_train), y_train, rng)
    model = export(weights)
    onnx.save(model, "model.onnx")

    logits = np.asarray(forward(weights, to_input(x_held)))
    probabilities = np.asarray(jax.nn.softmax(logits))
    example.verify(model, {"image": to_input(x_held)}, {"logits": logits})

    shutil.rmtree("events", ignore_errors=True)
    Path("events").mkdir()
    names = [f"digit-{number:04d}" for number in ids]
    for name, pixels in list(zip(names, x_held))[:EVENTS]:
        Image.fromarray(pixels).save(f"events/{name}.png", optimize=True)
        assert np.array_equal(np.asarray(Image.open(f"events/{name}.png")), pixels)
    labels = {name: int(y) for name, y in list(zip(names, y_held))[:EVENTS]}
    Path("events/labels.json").write_text(json.dumps(labels, indent=1) + "\n")
    example.write_lines(
        "expected.jsonl",
        (
            example.expected(
                names[i],
                "digits",
                {
                    "label": str(logits[i].argmax()),
                    "probabilities": probabilities[i],
                    **example.unsure(probabilities[i]),
                },
            )
            for i in range(EVENTS)
        ),
    )
    example.write_golden({"image": to_input(x_held[:8])}, {"logits": logits[:8]})
    Path("heldout.bin").write_bytes(x_held.tobytes())
    Path("heldout.labels").write_bytes(y_held.astype(np.uint8).tobytes())

    upright = judge(weights, x_held, y_held)
    example.write_score(
        "accuracy",
        upright["accuracy"],
        len(x_train),
        len(x_held),
        SEED,
        ["jax", "numpy", "onnx", "scikit-learn", "scipy"],
        upright=upright,
        tilted_35_degrees=judge(weights, disturbed(x_held, blur=0), y_held),
        tilted_and_blurred=judge(weights, disturbed(x_held), y_held),
    )


if __name__ == "__main__":
    main()
