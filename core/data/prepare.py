"""prepare: from raw rows to a train and a test set that a model can be built on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field, field_validator, model_validator

from core.data import division, prepare_inputs, prepare_record, split, split_checks
from core.data.division import Plan
from core.data.snapshots import Archive
from core.platform import config, project, storage, tracking
from core.platform.config import Settings
from core.platform.run_record import SILENT, Progress
from core.predictions_log.known_labels import KnownLabels


class Options(config.Options):
    """Which rows and columns to keep, and how to divide them.

    Parameters
    ----------
    features : tuple of str, optional
        What a model is to be built from, columns or engineered; the project's by default.
    rows : dict of str to tuple of str, optional
        Wanted values of a column, as text; the project's development rows by default, all rows
        where it is empty.
    missing : {"drop", "drop_inputs", "impute"}
        Drop rows without a value in any of the project's columns, but those that are empty in
        every row and not used; in any of the columns that the
        features come from; or keep them for the model's own pipeline to impute.
    split : {"random", "time", "group"}
        At random with the same share of each class in both sets; the earlier rows train and the
        later ones test; whole groups on one side each.
    test_share : float
        Share of rows in the test set, above 0 and below 1.
    test_from : str, optional
        First moment of the test set, instead of the share; for a split by time.
    seed : int
        Of the random choice; 0 or more.
    continues : str, optional
        Run id of a training: its rows stay in the sets in which they were, and rows that got a
        label since are divided into both. Besides `rows`, all rows that were scored and have a
        label are new rows, whatever their kind.
    """

    features: tuple[str, ...] | None = Field(None, min_length=1)
    rows: dict[str, tuple[str, ...]] | None = None
    missing: Literal["drop", "drop_inputs", "impute"] = "drop"
    split: split_checks.Split = "random"
    test_share: float = Field(0.20, gt=0, lt=1)
    test_from: str | None = Field(None, min_length=1, max_length=40)
    seed: int = Field(42, ge=0, le=2**32 - 1)
    continues: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")

    @field_validator("rows")
    @classmethod
    def _names_values(
        cls, value: dict[str, tuple[str, ...]] | None
    ) -> dict[str, tuple[str, ...]] | None:
        empty = [column for column, values in (value or {}).items() if not values]
        if empty:
            raise ValueError(f"no value of {', '.join(empty)} is chosen")
        return value

    @model_validator(mode="after")
    def _moment_needs_time(self) -> Options:
        if self.test_from is not None and self.split != "time":
            raise ValueError("test_from is for a split by time")
        return self


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

    The sets that stood before are replaced last, when all else is recorded.

    Raises
    ------
    NotReadyError
        Before the first acquisition.
    InputError
        When the features or rows asked for do not exist, no rows are left, or a set would lack
        one of the labels.
    """
    spec = project.load(settings.project)
    # resolved, so that the run tells what was done and not what was left open
    features = options.features or spec.features
    rows = split.default_rows(spec) if options.rows is None else options.rows
    options = options.model_copy(update={"features": features, "rows": rows})
    plan = Plan(
        spec=spec,
        features=features,
        rows=rows,
        missing=options.missing,
        split=options.split,
        test_share=options.test_share,
        test_from=options.test_from,
        seed=options.seed,
        continues=options.continues,
    )
    archive = Archive.of(settings)
    known = KnownLabels(settings)
    with tracking.open_step(settings, "prepare", options, progress) as run:
        division.refuse(plan)
        test_from = division.first_moment(plan)
        progress.update(0.1, "Reading the raw rows")
        inputs = prepare_inputs.gather(archive, run, known, spec, options.continues)
        raw = inputs.raw
        progress.update(0.4, f"Filtering and splitting {len(raw):,} rows")
        divided = division.divide(inputs, plan, test_from)
        sets = division.prepared_sets(divided, plan)
        progress.update(0.6, "Looking at the split")
        prepared = prepare_record.prepared(
            plan, options.model_dump(mode="json"), inputs.snapshot, sets, run.run_id
        )
        record = prepare_record.of_division(plan, divided, len(raw))
        with storage.staged(settings, *sets, divided.train, divided.test) as ready:
            prepared = replace(prepared, digests=ready.digests, project=settings.project)
            progress.update(0.8, "Recording the run")
            run.log(record)
            run.log(prepare_record.lineage(plan, inputs, prepared, sets, ready.paths))
            ready.keep(prepared)
        train, test = sets[1:]
        progress.update(1.0, f"{len(train):,} rows to train on, {len(test):,} to test on")
    return Result(run.run_id, len(sets[0]), len(plan.columns), len(train), len(test))
