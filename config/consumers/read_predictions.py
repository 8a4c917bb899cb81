"""Reads a predictions topic to its end and says what was predicted: how often each label, and how surely.

    python read_predictions.py --bootstrap localhost:9092 --topic predictions --since 1h

What a prediction may hold: `eddy schema PIPELINE --topic predictions`.
"""

import json
from collections import Counter

import pandas as pd
from outputs import Account, arguments, records, report, telling, unframed


def rows_of(prediction):
    """One row for each model that scored the event. Members that this program does not know may be there; it ignores them."""
    return [
        {"id": prediction["id"], "time": prediction["time"], "model": name, "version": says["version"],
         # Each type of head has its own member: see the schema.
         "label": says.get("label"), "confidence": says.get("confidence"), "value": says.get("value"),
         "selected_by": says["flags"]}
        for name, says in prediction["models"].items()
    ]


def main():
    args = arguments(__doc__.splitlines()[0], "predictions").parse_args()
    account, found = Account(args), {}
    for record in records(args):
        if account.is_ours(record):
            with telling(f"{record.place} is no prediction; check --topic"):
                prediction = json.loads(unframed(record.value))
                item = prediction["id"], rows_of(prediction)
            # By the record that the event came in as: the same record predicted again is the same prediction.
            account.latest(found, record.headers["eddy.source"], record, item)

    table = pd.DataFrame((row for _, rows in found.values() for row in rows), columns=["id", "time", "model", "version", "label", "confidence", "value", "selected_by"])
    models = {
        name: {
            "predictions": len(of_model),
            "versions": sorted(of_model["version"].unique()),
            "labels": {str(label): int(count) for label, count in of_model["label"].value_counts().items()},
            "mean_confidence": None if of_model["confidence"].isna().all() else float(of_model["confidence"].mean()),
            "selected": int((of_model["selected_by"].str.len() > 0).sum()),
        }
        for name, of_model in table.groupby("model")
    }
    sightings = Counter(id for id, _ in found.values())
    report({**account.counts, "predictions": len(found), "events": len(sightings),
            "events_that_came_twice": sum(count > 1 for count in sightings.values()),
            "models": models})


if __name__ == "__main__":
    main()
