"""prepare: from raw rows to a train and a test set that hold no missing value."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from pydantic import Field

from core import config, project, schema
from core.adapters import storage, tracking
from core.config import Settings
from core.errors import NotReadyError
from core.logic import data_charts, split
from core.record import SILENT, Dataset, Progress, Record


class Options(config.Options):
    """How to divide the development rows.

    Parameters
    ----------
    test_share : float
        Share of rows in the test set, above 0 and below 1.
    seed : int
        Of the random, stratified choice; 0 or more.
    """

    test_share: float = Field(0.20, gt=0, lt=1)
    seed: int = Field(42, ge=0, le=2**32 - 1)


@dataclass(frozen=True)
class Result:
    """The prepared sets that now stand; counts are rows."""

    run_id: str
    rows_filtered: int
    columns: int
    rows_train: int
    rows_test: int


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Filter and split the raw rows, as the run `PreparacaoDados`.

    Raises
    ------
    NotReadyError
        Before the first acquisition.
    InputError
        When no rows are left, or a set would lack one of the labels.
    """
    spec = project.load(settings.project)
    with tracking.step_run(settings, "prepare", options, progress) as run_id:
        progress.update(0.1, "Reading the raw rows")
        snapshot = storage.current_raw(settings)
        if snapshot is None:
            raise NotReadyError("No raw data yet. Acquire a source on the Prepare page first.")
        raw = schema.validate_source(storage.read_raw(settings, snapshot), spec).frame
        progress.update(0.4, f"Filtering {len(raw):,} rows")
        kept = split.filter_development(raw, spec)
        train, test = split.split(
            kept.frame, spec.target, test_share=options.test_share, seed=options.seed
        )
        # as the files hold them: the digest of a logged data set counts the index in
        train, test = train.reset_index(drop=True), test.reset_index(drop=True)
        balance = class_balance({"train": train, "test": test}, spec)
        tags = {tracking.TAG + "source": snapshot.source, tracking.TAG + "snapshot": snapshot.id}
        record = Record(
            params={
                "features": ",".join(spec.features),
                "rows_kept": f"{spec.rows.column} = {spec.rows.development}",
            },
            metrics={
                "rows_raw": len(raw),
                "rows_missing": kept.rows_missing,
                "rows_other": kept.rows_other,
                "rows_filtered": len(kept.frame),
                "columns_filtered": len(kept.frame.columns),
                "rows_train": len(train),
                "rows_test": len(test),
                "base_rate_train": float(train[spec.target].mean()),
                "base_rate_test": float(test[spec.target].mean()),
            },
            tags=tags,
            is_sample=snapshot.is_sample,
            tables={
                "missing": kept.missing,
                "class_balance": balance,
                **{
                    f"rate_{name}": data_charts.rate_table(train, name, spec.target)
                    for name in spec.features
                },
            },
            figures={
                "class_balance": data_charts.class_balance(
                    balance, positive=spec.positive, negative=spec.negative
                ).to_dict()
            },
            datasets=(
                Dataset("raw", raw, f"data/01_raw/{snapshot.id}", "raw", spec.target),
                Dataset("train_data", train, _place(storage.TRAIN_FILE), "training", spec.target),
                Dataset("test_data", test, _place(storage.TEST_FILE), "testing", spec.target),
            ),
        )
        progress.update(0.6, "Recording the run")
        tracking.log(settings, run_id, record)
        progress.update(0.8, "Writing the sets")
        paths = storage.save_prepared(
            settings, kept.frame, train, test,
            snapshot=snapshot, run_id=run_id,
            test_share=options.test_share, seed=options.seed,
        )  # fmt: skip
        tracking.log(settings, run_id, Record(files=paths))
        progress.update(1.0, f"{len(train):,} rows to train on, {len(test):,} to test on")
    return Result(run_id, len(kept.frame), len(kept.frame.columns), len(train), len(test))


def class_balance(sets: dict[str, pd.DataFrame], spec: project.ProjectSpec) -> pd.DataFrame:
    """Count rows by set and label: columns `set`, `label` (the project's word), `rows`."""
    return pd.DataFrame(
        [
            (name, word, int((frame[spec.target] == label).sum()))
            for name, frame in sets.items()
            for label, word in ((1, spec.positive), (0, spec.negative))
        ],
        columns=["set", "label", "rows"],
    )


def _place(name: str) -> str:
    return f"data/{storage.MODEL_INPUT}/{name}"
