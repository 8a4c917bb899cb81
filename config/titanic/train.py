"""Who survived the Titanic, from texts, whole numbers and decimals with gaps: a scikit-learn pipeline that is exported
with one ONNX input per column, as skl2onnx does for tables of mixed types. Run it from its own folder.

The data are the 891 passengers whose fate the well-known table gives, as nannyml ships it. Names, tickets and cabins
are not used. A missing age is NaN to the model, a missing port an empty string. The two passengers without a port are
the first of the held-out rows, so the empty port is a category that training has not seen."""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pandas
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

sys.path.insert(0, "..")
import example

SEED = 20265
EVENTS = 60
TEXTS = ["sex", "embarked"]
WHOLE = ["pclass", "sibsp", "parch"]
DECIMALS = ["age", "fare"]
COLUMNS = TEXTS + WHOLE + DECIMALS


def load():
    folder = Path(find_spec("nannyml").submodule_search_locations[0]) / "datasets" / "data"
    table = pandas.read_csv(folder / "titanic_reference.csv").rename(columns=str.lower)
    fate = np.where(table.pop("survived") == 1, "survived", "died").astype(object)
    passenger = table["passengerid"].to_numpy()
    table = table[COLUMNS].astype({**{c: object for c in TEXTS}, **{c: np.float32 for c in DECIMALS}})
    table["embarked"] = table["embarked"].where(table["embarked"].notna(), "")
    return table, fate, passenger


def as_inputs(table):
    kinds = {**{c: object for c in TEXTS}, **{c: np.int64 for c in WHOLE}, **{c: np.float32 for c in DECIMALS}}
    return {c: table[c].to_numpy().astype(kinds[c]).reshape(-1, 1) for c in COLUMNS}


def event(name, row, fate):
    """What is missing is left out (age) or null (port), as it comes."""
    fields = {c: row[c] for c in COLUMNS if not (c == "age" and np.isnan(row[c]))}
    fields.update({c: np.float32(fields[c]) for c in DECIMALS if c in fields})
    fields["embarked"] = fields["embarked"] or None
    return {"id": name, **fields, "label": fate}


def main():
    table, fate, passenger = load()
    portless, rest = (np.flatnonzero((table["embarked"] == "") == missing) for missing in (True, False))
    train, held = train_test_split(rest, test_size=0.4, stratify=fate[rest], random_state=SEED)
    held = np.concatenate([portless, held])
    x_train, x_held, y_train, y_held, ids = table.iloc[train], table.iloc[held], fate[train], fate[held], passenger[held]
    origin = make_pipeline(
        ColumnTransformer(
            [
                ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), TEXTS),
                ("class", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["pclass"]),
                ("decimals", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), DECIMALS),
                ("family", StandardScaler(), ["sibsp", "parch"]),
            ]
        ),
        LogisticRegression(max_iter=1000),
    ).fit(x_train, y_train)
    shape = (
        [(c, StringTensorType([None, 1])) for c in TEXTS]
        + [(c, Int64TensorType([None, 1])) for c in WHOLE]
        + [(c, FloatTensorType([None, 1])) for c in DECIMALS]
    )
    model = example.finish(convert_sklearn(origin, "titanic", shape, target_opset=example.OPSETS))
    onnx.save(model, "model.onnx")

    label, probabilities = origin.predict(x_held), origin.predict_proba(x_held)
    outputs = {"output_label": label, "output_probability": probabilities}
    example.verify(model, as_inputs(x_held), outputs)

    names = [f"passenger-{number}" for number in ids]
    rows = x_held.to_dict("records")
    example.write_lines("events.jsonl", (event(names[i], rows[i], y_held[i]) for i in range(EVENTS)))
    example.write_lines(
        "expected.jsonl",
        (
            example.expected(
                names[i],
                "survival",
                {"label": label[i], "probabilities": probabilities[i], **example.unsure(probabilities[i])},
            )
            for i in range(EVENTS)
        ),
    )
    golden = [i for i in range(len(x_held)) if not np.isnan(rows[i]["age"])][:8]
    example.write_golden(as_inputs(x_held.iloc[golden]), {name: rows[golden] for name, rows in outputs.items()})
    example.write_score(
        "accuracy",
        accuracy_score(y_held, label),
        len(x_train),
        len(x_held),
        SEED,
        ["nannyml", "numpy", "onnx", "pandas", "scikit-learn", "skl2onnx"],
        roc_auc=round(roc_auc_score(y_held == "survived", probabilities[:, 1]), 4),
        classes=list(origin.classes_),
    )


if __name__ == "__main__":
    main()
