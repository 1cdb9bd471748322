"""What the run of a preparation records: how the split is judged, and where the sets come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from core.data import data_charts, leakage, split, split_checks
from core.data.division import Division, Plan
from core.data.prepare_inputs import Inputs
from core.data.records import PreparedRun
from core.data.snapshots import Snapshot
from core.platform import storage, tracking
from core.platform.errors import InputError
from core.platform.project import ProjectSpec
from core.platform.run_record import Dataset, Record
from core.platform.storage import Prepared
from core.stats import checks, drift


def of_division(plan: Plan, divided: Division, rows_raw: int) -> Record:
    """Return the record of the two sets.

    Raises
    ------
    InputError
        When a feature has no value.
    """
    from core.platform import served_model

    spec, features = plan.spec, plan.features
    balance = class_balance({"train": divided.train, "test": divided.test}, spec)
    news = Record() if plan.continues is None else _new_rows(spec, plan.continues, divided)
    inputs = list(plan.inputs)
    engineered = spec.formulas_of(features)
    # as a model sees them: a day is never the same twice, but its month is
    kinds = spec.kinds_of(inputs)
    train, test = (
        served_model.with_features(
            served_model.checked(frame, kinds, is_complete=False), features, engineered
        )
        for frame in (divided.train, divided.test)
    )
    _refuse_empty(spec, train, test, is_complete=plan.missing != "impute")
    moved = drift.by_feature(train, test, features)
    judged = split_checks.judge(
        divided.train,
        divided.test,
        moved,
        split=plan.split,
        target=spec.target,
        positive=spec.positive,
        time=spec.time,
        group=spec.group,
        test_share=None if plan.test_from or plan.continues else plan.test_share,
    )
    leaks = leakage.inspect(train, leakage.alone(train, divided.train[spec.target]), spec)
    values = {check.code: check.value for check in judged if check.value is not None}
    return Record(
        params={"inputs": ",".join(inputs), "rows_kept": str(split.filter_text(plan.rows))},
        metrics={
            "rows_raw": rows_raw,
            "rows_other": divided.kept.rows_other,
            "rows_unlabelled": divided.kept.rows_unlabelled,
            "rows_missing": divided.kept.rows_missing,
            "values_imputed": sum(_missing(divided.kept.frame, inputs).values()),
            "rows_filtered": len(divided.kept.frame),
            "columns_filtered": len(inputs) + 1,
            "rows_train": len(divided.train),
            "rows_test": len(divided.test),
            "base_rate_train": float(divided.train[spec.target].mean()),
            "base_rate_test": float(divided.test[spec.target].mean()),
            "psi_max_split": values["drift"],
            **{code: values[code] for code in ("groups_shared", "time_shared") if code in values},
            **news.metrics,
        },
        tags=news.tags,
        tables={
            "missing": divided.kept.missing,
            "class_balance": balance,
            "split_checks": checks.as_table(judged),
            "split_drift": moved,
            "leakage": leaks,
            **news.tables,
        },
        figures={
            "class_balance": data_charts.class_balance(
                balance, positive=spec.positive, negative=spec.negative
            ).to_dict()
        },
    )


def prepared(
    plan: Plan,
    options: Mapping[str, Any],
    snapshot: Snapshot,
    sets: list[pd.DataFrame],
    run_id: str,
) -> Prepared:
    """Return what the sets are and come from, without their files' digests and the project."""
    return Prepared(
        snapshot=snapshot.id,
        digest=snapshot.digest,
        source=snapshot.source,
        run_id=run_id,
        commit=tracking.git_commit(),
        options=options,
        features=plan.features,
        inputs=plan.inputs,
        is_complete=plan.missing != "impute",
        is_default_rows=plan.rows == split.default_rows(plan.spec) and plan.continues is None,
        rows_filtered=len(sets[0]),
        rows_train=len(sets[1]),
        rows_test=len(sets[2]),
        digests={},
        project="",
        rules=plan.spec.digest,
        sample=snapshot.is_sample,
    )


def lineage(
    plan: Plan,
    inputs: Inputs,
    prepared: Prepared,
    sets: list[pd.DataFrame],
    paths: tuple[Path, ...],
) -> Record:
    """Return where the sets come from: files, data sets with their digests, and a document."""
    snapshot, target = inputs.snapshot, plan.spec.target
    raw_place, place = f"data/{storage.RAW}/{snapshot.id}", f"data/{storage.MODEL_INPUT}"
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
            Dataset("raw", inputs.raw, raw_place, "raw", target, snapshot.digest),
            *(
                Dataset(name, frame, f"{place}/{file}", context, target, prepared.digests[file])
                for (name, file, context), frame in zip(named, sets[1:], strict=True)
            ),
        ),
    )


def class_balance(sets: Mapping[str, pd.DataFrame], spec: ProjectSpec) -> pd.DataFrame:
    """Count rows by set and label: columns `set`, `label` (the project's word), `rows`."""
    return pd.DataFrame(
        [
            (name, word, int((frame[spec.target] == label).sum()))
            for name, frame in sets.items()
            for label, word in ((1, spec.positive), (0, spec.negative))
        ],
        columns=["set", "label", "rows"],
    )


def _refuse_empty(
    spec: ProjectSpec, train: pd.DataFrame, test: pd.DataFrame, *, is_complete: bool
) -> None:
    """Refuse features without any value, and computed ones without a value in complete rows."""
    missing = _missing(train, train.columns)
    if empty := [name for name, rows in missing.items() if rows == len(train)]:
        raise InputError(split.no_value(empty[0], len(train), len(train)))
    if not is_complete:
        return
    rows = {name: missing[name] + more for name, more in _missing(test, test.columns).items()}
    name = max(rows, key=rows.__getitem__)
    if rows[name]:
        raise InputError(split.no_value(name, rows[name], len(train) + len(test)))


def _missing(frame: pd.DataFrame, names: Iterable[str]) -> dict[str, int]:
    """Return the number of missing values of columns; `isna` of a wide frame copies it twice."""
    return {name: int(pd.isna(frame[name].to_numpy()).sum()) for name in names}


def _new_rows(spec: ProjectSpec, continues: str, divided: Division) -> Record:
    """Return the record of the new rows, by set and kind of row."""
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
    return Record(
        metrics={
            "rows_new": int(rows["is_new"].sum()),
            "rows_gone": len(divided.old_keys) - in_use,
        },
        tags=PreparedRun(continues=continues).write(),
        tables={"new_rows": kinds},
    )
