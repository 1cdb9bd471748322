"""prepare: from raw rows to the training and test sets of a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field, field_validator, model_validator

from core.data import division, prepare_inputs, prepare_record, split, split_checks
from core.data.division import Plan
from core.data.snapshots import Archive
from core.platform import config, project, storage, tracking
from core.platform.config import Settings, needs
from core.platform.messages import Message
from core.platform.run_record import SILENT, Progress
from core.predictions_log.known_labels import KnownLabels


class Options(config.Options):
    """Which rows and columns to keep, and how to split them.

    Parameters
    ----------
    features : tuple of str, optional
        Inputs of the model, columns or engineered; the project's by default.
    rows : dict of str to tuple of str, optional
        Wanted values per column, as text; the project's development rows by default, all rows
        if empty.
    missing : {"drop", "drop_inputs", "impute"}, optional
        Drop rows with a missing value in any of the project's columns (except those that are left
        out, and unused ones that are entirely empty); drop rows with a missing value in a column
        that the features need; or keep all for the model's own pipeline to impute. The project's
        own choice by default.
    split : {"random", "time", "group"}
        Stratified at random; earlier rows train and later rows test; whole groups on one side.
    test_share : float
        Share of rows in the test set, above 0 and below 1.
    test_from : str, optional
        First moment of the test set, instead of the share; for a split by time.
    seed : int
        Random seed.
    continues : str, optional
        Run id of a training: its rows stay in their sets, and rows labelled since are split into
        both. All scored rows with a label count as new rows, of any kind, besides `rows`.
    """

    features: tuple[str, ...] | None = Field(None, min_length=1)
    rows: dict[str, tuple[str, ...]] | None = None
    missing: Literal["drop", "drop_inputs", "impute"] | None = None
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
            raise ValueError(Message("no value is chosen"))
        return value

    @model_validator(mode="after")
    def _moment_needs_time(self) -> Options:
        if self.test_from is not None and self.split != "time":
            raise needs("test_from", "split = time")
        return self


@dataclass(frozen=True)
class Result:
    """The prepared sets that are now current; counts are rows."""

    run_id: str
    rows_filtered: int
    columns: int
    rows_train: int
    rows_test: int


def run(settings: Settings, options: Options, progress: Progress = SILENT) -> Result:
    """Filter and split the raw rows, as the run `PreparacaoDados`.

    The previous sets are replaced last, once everything else is recorded.

    Raises
    ------
    NotReadyError
        Before the first acquisition.
    InputError
        When the requested features or rows do not exist, no rows are left, or a set would lack
        one of the labels.
    """
    spec = project.of(settings)
    # resolved, so that the run records what was done and not what was left open
    features = options.features or spec.features
    rows = split.default_rows(spec) if options.rows is None else options.rows
    missing = options.missing or spec.missing
    options = options.model_copy(update={"features": features, "rows": rows, "missing": missing})
    plan = Plan(
        spec=spec,
        features=features,
        rows=rows,
        missing=missing,
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
        progress.update(0.1, Message("Reading the rows"))
        inputs = prepare_inputs.gather(archive, run, known, spec, options.continues)
        raw = inputs.raw
        divided = division.divide(inputs, plan, test_from)
        sets = division.prepared_sets(divided, plan)
        progress.update(0.6, Message("Running the checks"))
        prepared = prepare_record.prepared(
            plan, options.model_dump(mode="json"), inputs.snapshot, sets, run.run_id
        )
        record = prepare_record.of_division(plan, divided, len(raw))
        with storage.staged(settings, *sets, divided.train, divided.test) as ready:
            prepared = replace(prepared, digests=ready.digests, project=settings.project)
            progress.update(0.8, Message("Writing the results"))
            run.log(record)
            run.log(prepare_record.lineage(plan, inputs, prepared, sets, ready.paths))
            ready.keep(prepared)
        train, test = sets[1:]
        progress.update(
            1.0,
            Message(
                "{train:,} rows to train on, {test:,} to test on", train=len(train), test=len(test)
            ),
        )
    return Result(run.run_id, len(sets[0]), len(plan.columns), len(train), len(test))
