"""The texts of tags: those that stores hold already are read, and written the same again."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from core.data.records import AcquiredRun, PreparedRun
from core.monitoring.records import ReportRun
from core.platform.run_tags import TAG_CHARACTERS, Listed, RunTags
from core.platform.runs import ChampionMove, EveryRun, ModelVersion, VersionTags
from core.registry.records import PromotionRun
from core.retraining.records import DecisionRun, ReplayRun
from core.scoring.records import ScoringRun
from core.training.records import ExplanationRun, TrainingRun

STORED: list[tuple[RunTags, dict[str, str]]] = [
    (EveryRun(step="train", sample=True), {"step": "train", "sample": "true"}),
    (AcquiredRun(source="folder", csv_dialect=None), {"source": "folder"}),
    (
        PreparedRun(snapshot="a", sha256={"train_data.parquet": "9f", "test_data.parquet": "0a"}),
        {"snapshot": "a", "sha256.train_data.parquet": "9f", "sha256.test_data.parquet": "0a"},
    ),
    (
        TrainingRun(
            inputs=("lat", "day"),
            formulas={"month": ("day.str.slice(5, 7)", "text")},
            missing="drop",
            best_run="f",
        ),
        {
            "inputs": "lat,day",
            "formulas": '{"month": ["day.str.slice(5, 7)", "text"]}',
            "missing": "drop",
            "best_run": "f",
        },
    ),
    (
        VersionTags(formulas={}, threshold=0.5, rows_served=16228),
        {"formulas": "{}", "threshold": "0.5", "rows_served": "16228"},
    ),
    (ExplanationRun(model_run="f", version=None), {"model_run": "f"}),
    (
        ChampionMove(champion_from="", champion_at=1.7e9 + 0.12),
        {"champion_from": "", "champion_at": "1700000000.120"},
    ),
    (PromotionRun(against="", dry_run=False), {"against": "", "dry_run": "false"}),
    (
        ScoringRun(scoring="f", staging=("/out", "/out.part")),
        {"scoring": "f", "staging": '["/out", "/out.part"]'},
    ),
    (
        ReportRun(window_begin=1.7e9, window_end=1.7e9 + 1 / 3, alerts=("f1", "psi.lat"), labels=0),
        {
            "window_begin": "1700000000.0",
            "window_end": "1700000000.3333333",
            "alerts": "f1,psi.lat",
            "labels": "0",
        },
    ),
    (
        DecisionRun(evidence=(), decided_at=1.7e9, windows_until=0, report=None),
        {"evidence": "", "decided_at": "1700000000.000", "windows_until": "0"},
    ),
    (DecisionRun(windows_until=1.7e9), {"windows_until": "1700000000.0"}),
    (ReplayRun(drift_begin=1.7e9), {"drift_begin": "1700000000.0"}),
    (ReplayRun(answer="None.", drift_begin=None), {"answer": "None.", "drift_begin": ""}),
]


@pytest.mark.parametrize(("record", "texts"), STORED)
def test_texts_are_written_and_read_as_stores_hold_them(
    record: RunTags, texts: dict[str, str]
) -> None:
    tags = {f"courtside.{name}": text for name, text in texts.items()}
    assert record.write() == tags
    assert type(record).read({**tags, "mlflow.user": "ann", "courtside.unheard": "x"}) == record


@pytest.mark.parametrize("text", ["", "soon", "1.5.2"])
def test_a_text_that_cannot_be_read_hides_no_other(text: str) -> None:
    tags = {"courtside.window_end": text, "courtside.verdict": "fits"}
    assert ReportRun.read(tags) == ReportRun(verdict="fits")


def test_a_field_that_does_not_exist_is_refused() -> None:
    wrong: dict[str, Any] = {"verdcit": "fits"}
    with pytest.raises(ValidationError, match="verdcit"):
        ReportRun(**wrong)
    with pytest.raises(ValidationError, match="verdcit"):
        ReportRun.where(**wrong)


def test_a_version_of_somebody_else_has_no_threshold_and_was_trained_by_its_own_run() -> None:
    version = ModelVersion("m", "1", "f", (), {}, 0.0)
    assert (version.about.threshold, version.trained_by) == (None, "f")
    assert not version.is_sample


def test_a_list_of_any_names_and_of_any_length_is_read_as_written() -> None:
    class Listing(RunTags):
        columns: Listed = ()

    for names in (
        ("a", "b"),
        ("a, b", "c"),
        ("[a", "b]"),
        ("é[1]",),
        tuple(f"column {number}" for number in range(900)),
        tuple(f"column, {number}" for number in range(900)),
    ):
        tags = Listing(columns=names).write()
        assert all(len(text) <= TAG_CHARACTERS for text in tags.values())
        assert Listing.read(tags).columns == names
