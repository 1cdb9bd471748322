"""Two small tables as people have them, with their project files: no id, no time, no rows named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.platform.project import ProjectSpec

PLAIN = """
name = "plain"
title = "Loans"
question = "Is it paid back?"
model = "plain"
target = "paid"
positive = "paid"
negative = "not paid"
features = ["amount", "owner"]

[rows]
by = "random"
share = 0.4

[columns]
amount = { type = "number" }
owner = { type = "boolean" }
paid = { type = "label" }
"""

# three classes, missing labels, names as people write them, holes, a new level, weights
ODD = """
name = "odd"
title = "Penguins"
question = "Is it an Adélie?"
model = "odd"
target = "espécie [nome]"
positive = "Adélie"
negative = "another"
weights = "weight"
missing = "impute"
threshold_by = "f1"
features = ["comprimento do bico, em mm (°)", "year", "ilha", "tagged?", "a/b:c", ".."]

[rows]
by = "date"
column = "seen at"
start = 2009-01-01

[left_out]
"comment" = "free_text"

[columns]
"espécie [nome]" = { type = "label", positive_values = ["Adélie"] }
"comprimento do bico, em mm (°)" = { type = "number", about = "length of the bill" }
"year" = { type = "integer" }
"ilha" = { type = "text" }
"tagged?" = { type = "boolean" }
"a/b:c" = { type = "number" }
".." = { type = "number" }
"seen at" = { type = "date" }
"weight" = { type = "number" }
"""


def smallest(**more: Any) -> ProjectSpec:
    """Return a project that predicts `y` from the number `x`, with the given keys added."""
    columns = {"x": {"type": "number"}, "y": {"type": "label"}, **more.pop("columns", {})}
    return ProjectSpec(
        name="x",
        title="X",
        question="?",
        model="x",
        target="y",
        positive="yes",
        negative="no",
        features=("x",),
        columns=columns,
        **more,
    )


def loans(rows: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    amount = rng.gamma(2, 500, rows).round(0)
    owner = rng.random(rows) < 0.5
    paid = rng.random(rows) < 1 / (1 + np.exp(amount / 500 - 2 - owner))
    words = np.where(owner, "Yes", "no").astype(object)
    return pd.DataFrame({"amount": amount, "owner": words, "paid": paid.astype(int)})


def penguins(rows: int = 700) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    species = rng.choice(["Adélie", "Gentoo", "Chinstrap"], rows).astype(object)
    bill = rng.normal(np.where(species == "Adélie", 39, 46), 4, rows).round(1)
    year = rng.integers(1, 9, rows).astype(float)
    year[::7] = np.nan
    island = rng.choice(["Torgersen", "Dream"], rows).astype(object)
    moments = pd.date_range("2007-01-01T06:30:00", "2010-01-01", periods=rows)
    island[-40:] = "Biscoe"  # only after all others
    species[5::50] = None
    return pd.DataFrame(
        {
            "espécie [nome]": species,
            "comprimento do bico, em mm (°)": bill,
            "year": year,
            "ilha": island,
            "tagged?": rng.choice(["sim", "Não", None], rows),
            "a/b:c": rng.normal(size=rows).round(2),
            "..": rng.normal(size=rows).round(2),
            "seen at": moments.strftime("%Y-%m-%dT%H:%M:%S-03:00"),
            "weight": rng.uniform(0.5, 2, rows).round(2),
            "comment": "",
        }
    )


def write(folder: Path) -> None:
    """Write the project files `plain`, `odd` and `alone`, which is `plain` without current rows."""
    rows = '[rows]\nby = "random"\nshare = 0.4\n'
    alone = PLAIN.replace('"plain"', '"alone"').replace(rows, "")
    for name, text in (("plain", PLAIN), ("odd", ODD), ("alone", alone)):
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
