"""What every train.py in this folder shares: checking a model against its origin and writing the files beside it.

An example folder holds
  model.onnx      the model
  score.json      its score on rows it was not trained on
  events.jsonl    held-out events as a user would send them
  expected.jsonl  what the framework that trained it (never ONNX Runtime) predicts for those events, as `eddy test` reads
                  it: the members of a prediction that are to be so
  golden.json     eight rows that are tried when the model loads
"""

import importlib.metadata
import json
import tomllib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-4
OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 9


def finish(model):
    """Pins what old runtimes stumble over, and drops what changes from run to run."""
    model.ir_version = IR_VERSION
    model.doc_string = ""
    opsets = sorted({(opset.domain, opset.version) for opset in model.opset_import})
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(*opset) for opset in opsets)
    onnx.checker.check_model(model)
    for opset in model.opset_import:
        assert opset.version <= 21, opset
    return model


def rename_output(model, old, new):
    for node in model.graph.node:
        node.output[:] = [new if name == old else name for name in node.output]
    for output in model.graph.output:
        output.name = new if output.name == old else output.name
    return model


def run(model, inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(plain, session.run(names, inputs))))


def plain(output):
    """ZipMap gives a list of dictionaries: its values in class order are the probability matrix."""
    if isinstance(output, list) and output and isinstance(output[0], dict):
        return np.array([[row[key] for key in sorted(row)] for row in output])
    return np.asarray(output)


def same(got, want):
    want = np.asarray(want)
    if want.dtype.kind in "OUS":
        return bool(np.all(got.astype(str) == want.astype(str)))
    return got.shape == want.shape and bool(np.allclose(got, want, rtol=0, atol=TOLERANCE, equal_nan=True))


def verify(model, inputs, outputs):
    """The exported model must say what its origin says, on every row given."""
    got = run(model, inputs)
    assert set(got) == set(outputs), (set(got), set(outputs))
    for name, want in outputs.items():
        assert same(got[name], want), f"{name}: {got[name][:3]} is not {np.asarray(want)[:3]}"


def json_value(value):
    if isinstance(value, np.ndarray):
        return [json_value(item) for item in value]
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, np.str_):
        return str(value)
    if isinstance(value, np.float32):  # the shortest decimal that is this very float
        return float(str(value))
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.9g}")
    if isinstance(value, np.integer):
        return int(value)
    return value


def line(value):
    return json.dumps(json_value(value), separators=(",", ":"), allow_nan=False)


def write_lines(path, rows):
    Path(path).write_text("".join(line(row) + "\n" for row in rows))


def expected(name, model, says, **more):
    """What the prediction of an event has to say: the members of its only model, and members beside the models."""
    return {"id": name, "models": {model: says}, **more}


def unsure(probabilities, several=False):
    """The flags of an event under `select.confidence_below` of the pipeline file. With several labels at a time an event is
    as sure as its least certain label."""
    below = tomllib.loads(Path("pipeline.toml").read_text())["select"]["confidence_below"]
    confidence = np.maximum(probabilities, 1 - probabilities).min() if several else probabilities.max()
    return {"flags": ["uncertainty"] if confidence < below else []}


def write_golden(inputs, outputs):
    """Rows to try when the model loads. An input or output of another type than float is told by the model itself."""
    block = lambda tensors: ",\n".join(f'  {line(name)}:{line(np.asarray(t))}' for name, t in tensors.items())
    Path("golden.json").write_text(
        f'{{"format":1,"tolerance":{TOLERANCE},\n "inputs":{{\n{block(inputs)}}},\n "outputs":{{\n{block(outputs)}}}}}\n'
    )
    json.loads(Path("golden.json").read_text())


def write_score(metric, value, train, held_out, seed, packages, **more):
    score = {
        "metric": metric,
        "value": round(float(value), 6),
        "rows": {"train": int(train), "held_out": int(held_out)},
        "seed": seed,
        **json_value(more),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
    Path("score.json").write_text(json.dumps(score, indent=2) + "\n")
    print(json.dumps(score))
