"""A table may use Courtside's own column names: each column keeps its values and its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.data import acquire, prepare
from core.monitoring import monitor
from core.platform import model_store, own_columns, project, storage, tracking
from core.platform.config import CODE_ROOT, Settings
from core.platform.errors import InputError
from core.predictions_log import predictions
from core.scoring import label, score
from core.training import explain, train

pytestmark = pytest.mark.long

FILE = CODE_ROOT / "tests" / "own_names.toml"
ROWS, NEW = 700, 300


def claims() -> pd.DataFrame:
    """Return seeded claims; the new ones have no outcome yet."""
    rng = np.random.default_rng(5)
    count = ROWS + NEW
    theirs, value = rng.uniform(0, 1, count).round(3), rng.gamma(2, 50, count).round(1)
    holds = rng.random(count) < 1 / (1 + np.exp(-(4 * theirs - 2 + (value - 100) / 100)))
    return pd.DataFrame(
        {
            "claim": np.arange(1, count + 1),
            "day": pd.date_range("2024-01-01", periods=count).strftime("%Y-%m-%d"),
            "kind": np.where(np.arange(count) < ROWS, "old", "new"),
            "probability": theirs,
            "label": rng.integers(0, 3, count),
            "predicted": rng.integers(3, 40, count),
            "prediction_id": rng.integers(100, 200, count),
            "row": rng.integers(0, 9, count),
            "key": rng.choice(["a", "b", "c"], count),
            "row_key": rng.choice(["left", "right"], count),
            "set": rng.integers(0, 4, count),
            "index": rng.normal(100, 5, count).round(2),
            "feature": rng.normal(0, 1, count).round(3),
            "value": value,
            "source": rng.choice(["post", "mail"], count),
            "version": rng.integers(1, 4, count),
            "outcome": np.where(np.arange(count) < ROWS, holds, np.nan).astype(float),
        }
    )


FEATURES = tuple(name for name in claims() if name not in ("claim", "day", "kind", "outcome"))


@pytest.fixture(scope="module", autouse=True)
def _added(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("projects")
    (folder / "own-names.toml").write_bytes(FILE.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "FOLDER", folder)
        yield


@pytest.fixture(scope="module")
def home(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with the claims and a champion trained on them."""
    settings = module_settings.model_copy(update={"project": "own-names"})
    path = tmp_path_factory.mktemp("source") / "claims.csv"
    claims().to_csv(path, index=False)
    acquire.run(settings, acquire.Options(source="file", path=path))
    prepare.run(settings, prepare.Options())
    train.run(settings, train.Options(candidates=("lr",), folds=2, learning_seconds=0))
    return settings


def assert_unchanged(rows: pd.DataFrame, sent: pd.DataFrame) -> None:
    """Check that a result has each sent column unchanged, and Courtside's own columns."""
    returned = rows[list(FEATURES)].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        returned, sent[list(FEATURES)].reset_index(drop=True), check_dtype=False
    )
    probability = rows[own_columns.PROBABILITY]
    assert probability.between(0, 1).all()
    assert not np.allclose(probability, rows["probability"])
    assert rows[own_columns.PREDICTED].isin((0, 1)).all()
    assert rows[own_columns.PREDICTION_ID].is_unique


def uploaded(settings: Settings, frame: pd.DataFrame, name: str) -> storage.Upload:
    return storage.stage_upload(settings, name, frame.to_csv(index=False).encode())


def test_the_reference_holds_own_and_foreign_columns(home: Settings) -> None:
    version = model_store.require_version(home, "own-names", model_store.CHAMPION)
    assert version.inputs == FEATURES
    predicted = tracking.table(home, version.run_id, "test_predictions")
    rows = tracking.table(home, version.tags["courtside.train_run"], "test_rows")
    assert_unchanged(predicted.assign(**{own_columns.PREDICTION_ID: range(len(predicted))}), rows)
    assert (predicted[own_columns.LABEL] == rows["outcome"]).all()


def test_an_upload_is_scored_labelled_and_monitored(home: Settings) -> None:
    sent = claims().tail(NEW)
    upload = uploaded(home, sent.drop(columns="outcome"), "new.csv")
    scored = score.run(
        home, score.Options(source="upload", upload=upload, way="in_process", keep="rows")
    )
    output = pd.read_parquet(scored.output)
    assert_unchanged(output, sent)
    logged = predictions.read(home, scored.scoring)
    assert_unchanged(logged, sent)
    assert logged[own_columns.ROW_KEY].tolist() == sent["claim"].astype(str).tolist()
    browsed = predictions.browse(home, limit=NEW).iloc[::-1]
    assert_unchanged(browsed, sent)
    assert set(browsed[own_columns.SOURCE]) == {"file"}
    assert set(browsed["source"]) == {"post", "mail"}

    # the result is uploaded with labels filled in: the table's own `label` is not used
    truth = np.arange(NEW) % 2
    labelled = output.assign(**{own_columns.LABEL: truth})
    done = label.run(home, label.Options(upload=uploaded(home, labelled, "told.csv")))
    assert (done.new, done.rejected) == (NEW, 0)
    assert predictions.read(home, scored.scoring)[own_columns.LABEL].tolist() == truth.tolist()
    # and by the claim's number and its outcome, though the file has `label` and `prediction_id`
    again = sent.assign(outcome=truth)
    done = label.run(home, label.Options(upload=uploaded(home, again, "again.csv")))
    assert (done.new + done.repeated + done.unmatched, done.rejected) == (NEW, 0)
    assert predictions.read(home, scored.scoring)[own_columns.LABEL].tolist() == truth.tolist()

    report = monitor.run(home, monitor.Options(scoring_run=scored.scoring))
    checks = tracking.table(home, report.run_id, "checks").set_index("code")
    assert checks.loc["psi.probability", "group"] == "input"
    assert checks.loc["psi.courtside_probability", "group"] == "output"
    assert checks.loc["psi.courtside_probability", "title"] == "PSI: predicted probability"
    assert {f"psi.{name}" for name in FEATURES} < set(checks.index)
    run = tracking.run(home, report.run_id)
    assert run is not None
    assert run.metrics["psi_probability"] != run.metrics["psi_courtside_probability"]
    assert set(tracking.table(home, report.run_id, "slices")["column"]) == {"key", "kind", "source"}


@pytest.mark.parametrize("columns", ["all", "scores"])
def test_a_path_is_scored(home: Settings, tmp_path: Path, columns: str) -> None:
    sent = claims().tail(NEW)
    sent.to_parquet(tmp_path / "new.parquet", index=False)
    scored = score.run(
        home,
        score.Options(
            source="path",
            path=str(tmp_path / "new.parquet"),
            way="in_process",
            keep="file",
            columns=columns,
            destination=str(tmp_path / "out"),
        ),
    )
    (part,) = (tmp_path / "out").glob("*.parquet")
    rows = pd.read_parquet(part)
    assert rows[own_columns.ROW].tolist() == list(range(NEW))
    if columns == "all":
        assert_unchanged(rows, sent)
    else:
        assert not set(FEATURES) & set(rows.columns)
    assert len(predictions.read(home, scored.scoring)) == NEW


def test_a_model_of_these_columns_is_explained(home: Settings) -> None:
    explained = explain.run(home, explain.Options(target="champion", rows=10, repeats=2))
    rows = tracking.table(home, explained.run_id, "shap_rows")
    assert {own_columns.ROW, own_columns.PROBABILITY, *FEATURES} <= set(rows.columns)


def test_the_prefix_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "FOLDER", tmp_path)
    extra_column = 'Courtside_x = { type = "number", about = "x" }\n'
    text = FILE.read_text(encoding="utf-8") + extra_column
    (tmp_path / "own-names.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="begin with courtside_ are Courtside's own: Courtside_x"):
        project.load("own-names")


def test_the_id_must_not_be_a_field_of_a_label(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "FOLDER", tmp_path)
    text = FILE.read_text(encoding="utf-8").replace('"prediction_id", ', "")
    text = text.replace('id = "claim"', 'id = "prediction_id"')
    (tmp_path / "own-names.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="reserved for Courtside: prediction_id"):
        project.load("own-names")
