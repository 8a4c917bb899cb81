"""The weekly retraining job: samples out of the retraining topic into a data frame, with weights; what they say of all
events; and a new model, fitted to them and exported to ONNX.

    python retrain.py --bootstrap localhost:9092 --topic retraining --labels labels.jsonl --out model.onnx

It is written for the example in config/cancer: fields, classes and model are that pipeline's. For yours, change what is
marked with `of this model`. Labels are JSON documents {"id": …, "label": …, "time": …, "who": …}, a line each in a file or a
record each in a topic; of several labels of one event the one with the latest `time` (RFC 3339) counts.

A sample was selected with a probability that Eddy knew before it drew (header `eddy.probability`), and so stands for one
by that probability events. Weighed like this, samples give unbiased numbers for *all* events that could be selected,
although most were selected because they are odd. Every event can be, when the budget has a share for `explore`.

The table alone, without Python: `eddy samples PIPELINE --since 7d --out week.parquet`.
Before the new model goes live: `eddy replay PIPELINE --against NEW --from 7d` says what would change.
"""

import datetime
import hashlib
import json
import math
import os
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from outputs import Account, arguments, records, report, telling

# Of this model: how it is made, and how exported.
CONFIG = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CONFIG / "cancer"))
import train

sys.path.insert(0, str(CONFIG))
import example

MODEL = "cancer"


def command_line():
    words = arguments(__doc__.splitlines()[0], "retraining")
    words.add_argument("--pipeline", type=Path, default=CONFIG / "cancer/pipeline.toml", help="says where fields stand in an \
        event (default: %(default)s)")
    labels = words.add_mutually_exclusive_group(required=True)
    labels.add_argument("--labels", type=Path, help="a file with labels, one JSON document a line")
    labels.add_argument("--labels-topic", help="a topic with labels")
    words.add_argument("--out", type=Path, help="where the new model goes; without it, none is made")
    words.add_argument("--table", type=Path, help="where the table of samples goes, as CSV")
    return words.parse_args()


def at(event, pointer):
    """What stands at a JSON pointer; nothing where nothing does."""
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        event = event.get(part) if isinstance(event, dict) else None
    return event


def row_of(record, pointers):
    headers = record.headers
    selection = json.loads(headers["eddy.selection"])
    said = next((entry for entry in selection if entry["model"] == MODEL), None)
    # Only original bytes are the event. Others were masked, or did not fit into the topic; such a sample still counts in what
    # is estimated from weights alone.
    event = json.loads(record.value) if headers["eddy.body"] == "original" else {}
    return {
        "eddy_id": headers["eddy.id"],
        "eddy_source": headers["eddy.source"],
        "eddy_probability": float(headers["eddy.probability"]),
        "eddy_arms": sorted({arm for entry in selection for arm in entry["arms"]}),
        "eddy_body": headers["eddy.body"],
        "eddy_version": said["version"] if said else None,
        "eddy_label": said["prediction"]["label"] if said else None,
        **{name: at(event, pointer) for name, pointer in pointers.items()},
    }


def table_of_samples(args, account):
    """One row an event, that of its latest sample."""
    with telling(f"{args.pipeline} is not like the pipeline file of this model; check --pipeline"):
        pipeline = tomllib.loads(args.pipeline.read_text())
        # Of this model: one input, with these fields in this order.
        features = pipeline["models"][0]["inputs"]["features"]
        pointers = {name: pipeline["fields"][name].get("pointer", f"/{name}") for name in features}
    found = {}
    for record in records(args):
        if account.is_ours(record):
            with telling(f"{record.place} is no sample with a JSON event; check --topic"):
                row = row_of(record, pointers)
            account.latest(found, row["eddy_id"], record, row)
    # In a fixed order: partitions arrive in any, and sums of the same numbers should be the same.
    table = pd.DataFrame(sorted(found.values(), key=lambda row: row["eddy_id"]))
    if table.empty:
        raise SystemExit(f"there are no samples in {args.topic}; check --since, --events and the pipeline's [select]")
    table["eddy_weight"] = 1 / table["eddy_probability"]
    return table, features


def labels(args):
    """The label of each event, by its id."""
    latest = {}
    for place, rank, text in label_texts(args):
        with telling(f"{place} is no label"):
            document = json.loads(text)
            id, label, age = document["id"], document["label"], instant(document.get("time"))
        if id not in latest or (age, rank) > latest[id][0]:
            latest[id] = (age, rank), label
    return {id: label for id, (_, label) in latest.items()}


def label_texts(args):
    """Each label's place, its rank among labels of the same time, and its text."""
    if args.labels:
        with telling(f"{args.labels} cannot be read; check --labels"):
            lines = args.labels.read_text().split("\n")
        return ((f"{args.labels}, line {number}", number, line) for number, line in enumerate(lines, 1) if line.strip())
    return ((record.place, record.rank, record.value) for record in records(args, args.labels_topic) if record.value)


def instant(time):
    """When a label was given, in seconds since 1970. One that does not say when is older than all that do; one without a zone
    is in UTC."""
    if time is None:
        return -math.inf
    moment = datetime.datetime.fromisoformat(time)
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)).timestamp()


def mean(values, table):
    """The mean over all events that have a value, and its standard error (Hájek's estimator: the sum of weights stands for
    their number)."""
    values = np.asarray(values, dtype=float)
    there = ~np.isnan(values)
    if not there.any():
        return None
    values, table = values[there], table[there]
    weights, probabilities = table["eddy_weight"].to_numpy(), table["eddy_probability"].to_numpy()
    estimate = np.average(values, weights=weights)
    variance = np.sum((1 - probabilities) * (weights * (values - estimate)) ** 2) / weights.sum() ** 2
    return {"estimate": float(estimate), "standard_error": float(np.sqrt(variance))}


def total(table):
    """How many events the samples stand for (Horvitz and Thompson's estimator), and its standard error."""
    probabilities = table["eddy_probability"].to_numpy()
    return {"estimate": float(table["eddy_weight"].sum()),
            "standard_error": float(np.sqrt(np.sum((1 - probabilities) / probabilities**2)))}


def wilson(right, count, z=1.96):
    """A share with its 95 % interval, for a plain sample such as that of the control arm."""
    if not count:
        return None
    share, room = right / count, z * z / count
    middle, half = share + room / 2, z * np.sqrt(share * (1 - share) / count + room / (4 * count))
    return {"estimate": share, "low": float((middle - half) / (1 + room)), "high": float((middle + half) / (1 + room)),
            "labels": int(count)}


def estimates(table, labelled, features):
    """What the samples say of all events."""
    whole = table[table["eddy_body"] == "original"]
    right = labelled["label"] == labelled["eddy_label"]
    control = labelled["eddy_arms"].map(lambda arms: "explore" in arms)
    return {
        "events": total(table),
        "means": {name: mean(whole[name], whole) for name in features},
        "accuracy": mean(right, labelled),
        # The control arm is a uniform draw: a plain mean over it needs no weights, and little trust in anything.
        "accuracy_by_control_arm": wilson(int(right[control].sum()), int(control.sum())),
        # What one would believe without weights: samples are selected because the model was unsure of them.
        "accuracy_without_weights": float(right.mean()),
    }


def is_held_out(id):
    """A quarter of the events, the same whenever they are met."""
    return hashlib.sha256(id.encode()).digest()[0] < 64


def refit(labelled, features, out):
    """A new model, and how it compares with the one that made the predictions, on events that it was not fitted to."""
    # Of this model: the classes as they were in training.
    classes = list(train.load_breast_cancer().target_names)
    usable = labelled[(labelled["eddy_body"] == "original") & labelled["label"].isin(classes)]
    held = usable["eddy_id"].map(is_held_out)
    x, y = usable[features].to_numpy(np.float32), usable["label"].map(classes.index).to_numpy()
    weights = usable["eddy_weight"].to_numpy()
    if len(np.unique(y[~held])) < len(classes) or not held.any():
        raise SystemExit(f"{len(usable)} labelled samples are too few to fit {len(classes)} classes; read more with --since")
    # Each step of a scikit-learn pipeline takes its own weights.
    by_step = {f"{step}__sample_weight": weights[~held] for step in ("standardscaler", "logisticregression")}
    fitted = train.origin().fit(x[~held], y[~held], **by_step)
    model = train.export(fitted, len(features))
    example.verify(model, {"features": x}, {"output_label": fitted.predict(x), "output_probability": fitted.predict_proba(x)})
    written(out, lambda path: onnx.save(model, path))
    new = mean(fitted.predict(x[held]) == y[held], usable[held])
    old = mean(usable["label"][held] == usable["eddy_label"][held], usable[held])
    return {"fitted_to": int((~held).sum()), "held_out": int(held.sum()), "accuracy": new, "accuracy_of_the_old": old}


def written(path, write):
    """Writes a file whole or not at all: a service may be about to load what it replaces."""
    unfinished = path.with_name(f".{os.getpid()}.{path.name}")
    with telling(f"{path} cannot be written"):
        try:
            write(unfinished)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


def main():
    args = command_line()
    account = Account(args)
    table, features = table_of_samples(args, account)
    table["label"] = table["eddy_id"].map(labels(args))
    labelled = table.dropna(subset=["label", "eddy_label"])
    document = {
        **account.counts,
        "samples": len(table),
        "without_body": int((table["eddy_body"] != "original").sum()),
        # Labels that never come bias whatever they would have said: look at these numbers first.
        "labelled": len(labelled),
        "by_arm": {arm: int(count) for arm, count in table["eddy_arms"].explode().value_counts().items()},
        "versions": sorted(table["eddy_version"].dropna().unique()),
    }
    if args.table:
        texts = table.assign(eddy_arms=table["eddy_arms"].str.join("|"))
        written(args.table, lambda path: texts.to_csv(path, index=False))
    if len(labelled):
        document["estimates"] = estimates(table, labelled, features)
    elif args.out:
        raise SystemExit(f"none of {len(table)} samples has a label, so no model is made; are ids in the labels those of "
                         "`eddy.id`?")
    if args.out:
        document["new_model"] = refit(labelled, features, args.out)
    report(document)


if __name__ == "__main__":
    main()
