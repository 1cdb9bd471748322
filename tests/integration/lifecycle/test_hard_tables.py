"""Tables of each difficulty reach a verdict, with nothing but a file and the target's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import any_table
from core.monitoring.records import ReportRun
from core.platform import project, storage, tracking
from core.platform.config import Settings
from core.training.preprocessing import MOST_NAMES, with_many_names

Rng = np.random.Generator


def drawn(rng: Rng, score: np.ndarray) -> np.ndarray:
    return (rng.random(len(score)) < 1 / (1 + np.exp(-score))).astype(int)


def many_names(rng: Rng, rows: int = 4000) -> pd.DataFrame:
    """A text of hundreds of names, most of them rare, some in a handful of rows only."""
    place = np.minimum(rng.geometric(0.012, rows), 900)
    effect = rng.normal(size=901)
    amount = rng.gamma(2, 50, rows).round(2)
    names = np.array([f'Place "{number}", north' for number in range(901)], dtype=object)
    return pd.DataFrame(
        {"place": names[place], "amount": amount, "sold": drawn(rng, effect[place] * 1.5)}
    )


def holes(rng: Rng, rows: int = 2000) -> pd.DataFrame:
    """Missing numbers, texts and labels; that one number is missing says something."""
    income = rng.normal(50, 10, rows).round(1)
    is_missing = rng.random(rows) < 0.4
    kind = rng.choice(["a", "b", None], rows, p=[0.5, 0.3, 0.2])
    label = drawn(rng, 2 * is_missing - 1.5 + 1.5 * (kind == "a")).astype(object)
    label[::50] = None
    income[is_missing] = np.nan
    return pd.DataFrame({"income": income, "kind": kind, "nothing": np.nan, "left": label})


def wide(rng: Rng, rows: int = 400) -> pd.DataFrame:
    values = rng.normal(size=(rows, 120)).round(3)
    frame = pd.DataFrame(values, columns=[f"x {number}" for number in range(120)])
    return frame.assign(hit=np.where(drawn(rng, 2 * values[:, 3]) == 1, "Yes", "No"))


def rare(rng: Rng, rows: int = 3000) -> pd.DataFrame:
    """4% of positive rows, and words for booleans."""
    risk = rng.normal(size=rows).round(3)
    return pd.DataFrame(
        {
            "risk": risk,
            "insured": rng.choice(["sim", "não"], rows),
            "default": np.where(drawn(rng, 1.5 * risk - 4.2) == 1, "bad", "good"),
        }
    )


TABLES = {
    "holes": (holes, "left"),
    "many_names": (many_names, "sold"),
    "wide": (wide, "hit"),
    "rare": (rare, "default"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", TABLES)
def test_a_hard_table_reaches_a_verdict(
    name: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate, target = TABLES[name]
    path = tmp_path / f"{name}.csv"
    generate(np.random.default_rng(5)).to_csv(path, index=False)
    monkeypatch.setitem(any_table.TARGETS, name, (path.name, target, None))
    options = {"candidates": ["lr", "lightgbm"], "folds": 2}
    *_, (step, own) = any_table.chain(settings, name, path, options, {})
    assert step == "monitor"
    report = tracking.last_run(own, "monitor")
    assert report is not None
    # the current rows are a random part of the table
    assert ReportRun.of(report).verdict == "fits"
    scored = tracking.last_run(own, "score")
    assert scored is not None
    assert scored.metrics["rows_rejected"] == 0

    _best, skill = any_table.compared(own)
    assert skill.holds
    assert skill.log_loss < skill.log_loss_base_rate
    spec = project.of(own)
    _prepared, train, _test = storage.read_prepared(own)
    if name == "many_names":
        assert with_many_names(train, ["place"]) == ("place",)
        assert train["place"].nunique() > 2 * MOST_NAMES
        assert scored.metrics["rows_new_levels"] > 0
    if name == "holes":
        assert "nothing" not in spec.features
        assert train["income"].isna().any()
