"""prepare: from raw rows to the training and test sets of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import Field, field_validator, model_validator

from core.data import data_charts, leakage, snapshots, split, split_checks
from core.data.records import PreparedRun
from core.platform import config, project, schema, storage, tracking
from core.platform.config import Settings
from core.platform.errors import InputError
from core.platform.project import ProjectSpec
from core.platform.run_record import SILENT, Dataset, Progress, Record
from core.platform.storage import Prepared
from core.predictions_log import known_labels
from core.stats import checks, drift


class Options(config.Options):
    """Which rows and columns to keep, and how to split them.

    Parameters
    ----------
    features : tuple of str, optional
        Inputs of the model, columns or engineered; the project's by default.
    rows : dict of str to tuple of str, optional
        Wanted values per column, as text; the project's development rows by default, all rows
        if empty.
    missing : {"drop", "drop_inputs", "impute"}
        Drop rows with a missing value in any of the project's columns (except unused columns that
        are entirely empty); drop rows with a missing value in a column that the features need; or
        keep all for the model's own pipeline to impute.
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
    """The prepared sets that are now current; counts are rows."""

    run_id: str
    rows_filtered: int
    columns: int
    rows_train: int
    rows_test: int


@dataclass(frozen=True)
class _Sets:
    """The rows to split, and the two sets; all have all of the project's columns."""

    kept: split.Filtered
    train: pd.DataFrame
    test: pd.DataFrame
    old_keys: frozenset[Any] = frozenset()


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
    spec = project.load(settings.project)
    # resolved, so that the run records what was done and not what was left open
    features = options.features or spec.features
    rows = split.default_rows(spec) if options.rows is None else options.rows
    options = options.model_copy(update={"features": features, "rows": rows})
    with tracking.step_run(settings, "prepare", options, progress) as run_id:
        _refuse(spec, features, options)
        cut = _moment(spec, options)
        progress.update(0.1, "Reading the raw rows")
        snapshot = snapshots.require_current(settings)
        raw = snapshots.validated(settings, snapshot, spec)
        progress.update(0.4, f"Filtering and splitting {len(raw):,} rows")
        divided = (
            _divide(raw, spec, options, cut)
            if options.continues is None
            else _continue(settings, spec, options, options.continues, raw, snapshot.is_sample)
        )
        columns = [*spec.inputs_of(features), spec.target]
        sets = [
            # as the files hold them: without the previous index
            _checked(frame[columns].reset_index(drop=True), spec, options)
            for frame in (divided.kept.frame, divided.train, divided.test)
        ]
        progress.update(0.6, "Looking at the split")
        record = _record(spec, features, options, divided, len(raw))
        if options.continues is not None:
            record = _with_new_rows(record, spec, options.continues, divided)
        with storage.staged(settings, *sets, divided.train, divided.test) as ready:
            prepared = replace(
                _prepared(spec, features, options, snapshot, sets, run_id),
                digests=ready.digests,
                project=settings.project,
            )
            progress.update(0.8, "Recording the run")
            tracking.log(settings, run_id, record)
            tracking.log(
                settings, run_id, _lineage(spec, snapshot, prepared, raw, sets, ready.paths)
            )
            storage.keep_prepared(settings, ready, prepared)
        train, test = sets[1:]
        progress.update(1.0, f"{len(train):,} rows to train on, {len(test):,} to test on")
    return Result(run_id, len(sets[0]), len(columns), len(train), len(test))


def class_balance(sets: Mapping[str, pd.DataFrame], spec: ProjectSpec) -> pd.DataFrame:
    """Count rows by set and label: columns `set`, `label` (the class name), `rows`."""
    return pd.DataFrame(
        [
            (name, word, int((frame[spec.target] == label).sum()))
            for name, frame in sets.items()
            for label, word in ((1, spec.positive), (0, spec.negative))
        ],
        columns=["set", "label", "rows"],
    )


def _refuse(spec: ProjectSpec, features: tuple[str, ...], options: Options) -> None:
    if fault := spec.fault_of(features):
        raise InputError(f"These features cannot be used: {fault}. Choose others.")
    if unknown := [name for name in options.rows or {} if name not in spec.columns]:
        raise InputError(f"The project has no column {', '.join(unknown)} to filter rows by.")
    if options.split == "group" and spec.group is None:
        raise InputError(
            f"The project '{spec.name}' names no column of groups. Split at random or by time."
        )


def _moment(spec: ProjectSpec, options: Options) -> Any:
    """Return the first moment of the test set, typed like the time column; None if unset."""
    if options.test_from is None:
        return None
    typed = pd.DataFrame({spec.time: [options.test_from]})
    return schema.validate(typed, schema.chosen_columns(spec, [spec.time])).frame[spec.time].iloc[0]


def _divide(raw: pd.DataFrame, spec: ProjectSpec, options: Options, cut: Any) -> _Sets:
    kept = split.filter_rows(
        raw, spec, options.rows, needed=_needed(spec, options), used=_used(spec, options)
    )
    share, seed = options.test_share, options.seed
    if options.split == "time":
        train, test = split.by_time(
            kept.frame, spec.target, spec.time, test_share=share, test_from=cut
        )
    elif options.split == "group":
        train, test = split.by_group(
            kept.frame, spec.target, str(spec.group), test_share=share, seed=seed
        )
    else:
        train, test = split.at_random(kept.frame, spec.target, test_share=share, seed=seed)
        return _Sets(kept, train, test)
    # cross-validation folds follow the row order: shuffled, so that no fold is a single season
    return _Sets(
        kept, train.sample(frac=1, random_state=seed), test.sample(frac=1, random_state=seed)
    )


def _continue(
    settings: Settings,
    spec: ProjectSpec,
    options: Options,
    run_id: str,
    raw: pd.DataFrame,
    is_sample: bool,
) -> _Sets:
    """Split the rows of a training as before, and the rows labelled since into both sets."""
    before = tracking.run(settings, run_id)
    if before is None or before.step != "train":
        raise InputError(f"There is no training {run_id[:8]} to continue from.")
    if before.is_sample != is_sample:
        raise InputError(
            "Only one of the raw data and the training to continue from is the built-in sample. "
            "Acquire the other data, or prepare and train anew."
        )
    train_keys = tracking.table(settings, run_id, "train_keys")[spec.id]
    test_keys = tracking.table(settings, run_id, "test_rows")[spec.id]
    old_keys = frozenset(train_keys) | frozenset(test_keys)
    known, was_scored = known_labels.of_rows(
        settings, raw[spec.id], raw[spec.target], is_sample=is_sample
    )
    wanted = pd.Series(True, index=raw.index)
    for column, values in (options.rows or {}).items():
        wanted &= split.as_text(raw[column]).isin(list(values))
    wanted |= was_scored | raw[spec.id].isin(old_keys)
    kept = split.filter_rows(
        raw.assign(**{spec.target: known})[wanted],
        spec,
        {},
        needed=_needed(spec, options),
        used=_used(spec, options),
    )
    train, test = split.continued(
        kept.frame,
        spec,
        train_keys=train_keys,
        test_keys=test_keys,
        split=options.split,
        test_share=options.test_share,
        seed=options.seed,
    )
    kept = replace(kept, rows_other=len(raw) - int(wanted.sum()))
    return _Sets(kept, train, test, old_keys)


def _with_new_rows(record: Record, spec: ProjectSpec, continues: str, divided: _Sets) -> Record:
    """Return a record that adds the new rows, by set and kind of row."""
    both = {"train": divided.train, "test": divided.test}
    rows = pd.concat(
        [
            frame[[spec.rows.column]]
            .set_axis(["kind"], axis="columns")
            .assign(set=name, is_new=~frame[spec.id].isin(divided.old_keys).to_numpy())
            for name, frame in both.items()
        ]
    )
    by = rows.groupby(["set", "kind"])["is_new"]
    kinds = pd.DataFrame({"new": by.sum(), "rows": by.size()}).reset_index()
    in_use = len(rows) - int(rows["is_new"].sum())
    return replace(
        record,
        metrics={
            **record.metrics,
            "rows_new": int(rows["is_new"].sum()),
            "rows_gone": len(divided.old_keys) - in_use,
        },
        tags={**record.tags, **PreparedRun(continues=continues).write()},
        tables={**record.tables, "new_rows": kinds},
    )


def _needed(spec: ProjectSpec, options: Options) -> list[str] | None:
    """Return the columns that a row must have; None for all columns with any value."""
    if options.missing == "drop":
        return None
    return _used(spec, options, but_inputs=options.missing == "impute")


def _used(spec: ProjectSpec, options: Options, *, but_inputs: bool = False) -> list[str]:
    """Return the columns that the model and the split use."""
    # a row without a time is neither earlier nor later
    by = {"time": spec.time, "group": spec.group}.get(options.split)
    inputs = () if but_inputs else spec.inputs_of(options.features or spec.features)
    return sorted({spec.target, *inputs, *([by] if by else [])})


def _checked(frame: pd.DataFrame, spec: ProjectSpec, options: Options) -> pd.DataFrame:
    """Return the rows of a set, validated as a training will read them."""
    complete = [spec.target] if options.missing == "impute" else list(frame.columns)
    wanted = schema.chosen_columns(spec, list(frame.columns))
    schema.validate(frame, wanted, complete=complete)
    return frame


def _record(
    spec: ProjectSpec, features: tuple[str, ...], options: Options, divided: _Sets, rows_raw: int
) -> Record:
    from core.platform import served_model

    inputs = list(spec.inputs_of(features))
    engineered = spec.formulas_of(features)
    # as a model sees them: a date never repeats, but its month does
    kinds = spec.kinds_of(inputs)
    train, test = (
        served_model.with_features(
            served_model.checked(frame, kinds, is_complete=False), features, engineered
        )
        for frame in (divided.train, divided.test)
    )
    _refuse_empty(spec, train, test, is_complete=options.missing != "impute")
    moved = drift.by_feature(train, test, features)
    judged = split_checks.judge(
        divided.train,
        divided.test,
        moved,
        split=options.split,
        target=spec.target,
        positive=spec.positive,
        time=spec.time,
        group=spec.group,
        test_share=None if options.test_from or options.continues else options.test_share,
    )
    leaks = leakage.inspect(train, leakage.alone(train, divided.train[spec.target]), spec)
    balance = class_balance({"train": divided.train, "test": divided.test}, spec)
    values = {check.code: check.value for check in judged if check.value is not None}
    return Record(
        params={"inputs": ",".join(inputs), "rows_kept": split.filter_text(options.rows or {})},
        metrics={
            "rows_raw": rows_raw,
            "rows_other": divided.kept.rows_other,
            "rows_unlabelled": divided.kept.rows_unlabelled,
            "rows_missing": divided.kept.rows_missing,
            "values_imputed": int(divided.kept.frame[inputs].isna().sum().sum()),
            "rows_filtered": len(divided.kept.frame),
            "columns_filtered": len(inputs) + 1,
            "rows_train": len(divided.train),
            "rows_test": len(divided.test),
            "base_rate_train": float(divided.train[spec.target].mean()),
            "base_rate_test": float(divided.test[spec.target].mean()),
            "psi_max_split": values["drift"],
            **{code: values[code] for code in ("groups_shared", "time_shared") if code in values},
        },
        tables={
            "missing": divided.kept.missing,
            "class_balance": balance,
            "split_checks": checks.as_table(judged),
            "split_drift": moved,
            "leakage": leaks,
        },
        figures={
            "class_balance": data_charts.class_balance(
                balance, positive=spec.positive, negative=spec.negative
            ).to_dict()
        },
    )


def _refuse_empty(
    spec: ProjectSpec, train: pd.DataFrame, test: pd.DataFrame, *, is_complete: bool
) -> None:
    """Refuse features without any value, and computed ones that are empty in complete rows."""
    if empty := train.columns[train.isna().all()].tolist():
        raise InputError(
            f"{', '.join(empty)}: no row of the training set has a value. Choose other features."
        )
    rows = train.isna().sum() + test.isna().sum()
    if is_complete and rows.any():
        name = str(rows.idxmax())
        formula = spec.engineered[name].formula
        raise InputError(
            f"'{name}' ({formula}) has no value in {int(rows[name]):,} complete rows. Have missing "
            "values imputed, or leave it out."
        )


def _prepared(
    spec: ProjectSpec,
    features: tuple[str, ...],
    options: Options,
    snapshot: snapshots.Snapshot,
    sets: list[pd.DataFrame],
    run_id: str,
) -> Prepared:
    return Prepared(
        snapshot=snapshot.id,
        digest=snapshot.digest,
        source=snapshot.source,
        run_id=run_id,
        commit=tracking.git_commit(),
        options=options.model_dump(mode="json"),
        features=features,
        inputs=spec.inputs_of(features),
        is_complete=options.missing != "impute",
        is_default_rows=options.rows == split.default_rows(spec) and options.continues is None,
        rows_filtered=len(sets[0]),
        rows_train=len(sets[1]),
        rows_test=len(sets[2]),
        digests={},
        project="",
        rules=spec.digest,
        sample=snapshot.is_sample,
    )


def _lineage(
    spec: ProjectSpec,
    snapshot: snapshots.Snapshot,
    prepared: Prepared,
    raw: pd.DataFrame,
    sets: list[pd.DataFrame],
    paths: tuple[Path, ...],
) -> Record:
    """Return the lineage of the sets: files, data sets with their digests, and a document."""
    place = f"data/{storage.MODEL_INPUT}"
    named = (
        ("train_data", storage.TRAIN_FILE, "training"),
        ("test_data", storage.TEST_FILE, "testing"),
    )
    return Record(
        tags=PreparedRun(
            source=snapshot.source, snapshot=snapshot.id, sha256=prepared.digests
        ).write(),
        is_sample=snapshot.is_sample,
        files=paths,
        documents={"lineage": asdict(prepared)},
        datasets=(
            Dataset(
                "raw", raw, f"data/{storage.RAW}/{snapshot.id}", "raw", spec.target, snapshot.digest
            ),
            *(
                Dataset(
                    name, frame, f"{place}/{file}", context, spec.target, prepared.digests[file]
                )
                for (name, file, context), frame in zip(named, sets[1:], strict=True)
            ),
        ),
    )
