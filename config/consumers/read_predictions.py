"""Reads a predictions topic to its end and says what was predicted: how often each label, and how surely.

    python read_predictions.py --bootstrap localhost:9092 --topic predictions --since 1h

What a prediction may hold: `eddy schema PIPELINE --topic predictions`.
"""

import json
from collections import Counter

import pandas as pd
from outputs import Account, arguments, records, report, unframed


def main():
    args = arguments(__doc__.splitlines()[0], "predictions").parse_args()
    account, found = Account(args), {}
    for value, headers, place in records(args):
        if account.is_ours(headers, place):
            # By the record that the event came in as: the same record predicted again is the same prediction.
            account.latest(found, headers["eddy.source"], json.loads(unframed(value)))

    # One row for each model that scored an event. Members that this program does not know may be there; it ignores them.
    rows = [
        {"id": prediction["id"], "time": prediction["time"], "model": name, "version": says["version"],
         # Each type of head has its own member: see the schema.
         "label": says.get("label"), "confidence": says.get("confidence"), "value": says.get("value"),
         "selected_by": says["flags"]}
        for prediction in found.values()
        for name, says in prediction["models"].items()
    ]
    table = pd.DataFrame(rows, columns=["id", "time", "model", "version", "label", "confidence", "value", "selected_by"])
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
    report({**account.counts, "predictions": len(found), "events": int(table["id"].nunique()),
            "events_that_came_twice": sum(count > 1 for count in Counter(p["id"] for p in found.values()).values()),
            "models": models})


if __name__ == "__main__":
    main()
