"""The division of the raw rows: which are kept, and the set of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from core.data import split
from core.data.prepare_inputs import Earlier, Inputs
from core.data.split_checks import Split
from core.platform import schema
from core.platform.errors import InputError
from core.platform.messages import Message
from core.platform.project import ProjectSpec
from core.platform.schema import no_columns


@dataclass(frozen=True)
class Plan:
    """The project's rules, and the options of `core.data.prepare` with nothing left open."""

    spec: ProjectSpec
    features: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]
    missing: Literal["drop", "drop_inputs", "impute"]
    split: Split
    test_share: float
    test_from: str | None
    seed: int
    continues: str | None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The raw columns that the features come from."""
        return self.spec.inputs_of(self.features)

    @property
    def columns(self) -> list[str]:
        """The columns of the prepared sets."""
        return [*self.inputs, self.spec.target]

    @property
    def needed(self) -> list[str] | None:
        """The columns without which a row is dropped; None for all that have values."""
        if self.missing == "drop":
            return None
        return self._used_with(() if self.missing == "impute" else self.inputs)

    @property
    def used(self) -> list[str]:
        """The columns that the model and the split work by."""
        return self._used_with(self.inputs)

    def _used_with(self, inputs: tuple[str, ...]) -> list[str]:
        # a row without a date is neither earlier nor later
        by = {"time": self.spec.time, "group": self.spec.group}.get(self.split)
        by_weight = (self.spec.weights,) if self.spec.weights else ()
        return sorted({self.spec.target, *inputs, *by_weight, *([by] if by else [])})


@dataclass(frozen=True)
class Division:
    """The rows to divide, and the resulting sets; all have all of the project's columns."""

    kept: split.Filtered
    train: pd.DataFrame
    test: pd.DataFrame
    old_keys: frozenset[Any] = frozenset()


def refuse(plan: Plan) -> None:
    """Refuse features, rows and a split that the project does not have.

    Raises
    ------
    InputError
        With what is not there.
    """
    spec = plan.spec
    if fault := spec.fault_of(plan.features):
        raise InputError(
            Message("These features cannot be used: {fault}. Choose others.", fault=fault)
        )
    if unknown := [name for name in plan.rows if name not in spec.columns]:
        raise InputError(no_columns(unknown))
    if plan.split in ("time", "group") and getattr(spec, plan.split) is None:
        raise InputError(
            Message(
                "The project file names no column as `{key}`. Name one, or choose another split.",
                key=plan.split,
            )
        )


def first_moment(plan: Plan) -> Any:
    """Return the first moment of the test set as the column of time has it, None without one.

    Raises
    ------
    InputError
        When it is no value of that column.
    """
    if plan.test_from is None:
        return None
    time = str(plan.spec.time)
    typed = pd.DataFrame({time: [plan.test_from]})
    return schema.validate(typed, schema.chosen_columns(plan.spec, [time])).frame[time].iloc[0]


def divide(inputs: Inputs, plan: Plan, test_from: Any) -> Division:
    """Apply the row filter, and divide the rows into train and test.

    If a training is continued, its rows stay in their sets.

    Parameters
    ----------
    test_from
        As `first_moment` returns it.

    Raises
    ------
    InputError
        When no row is left, or a set would lack one of the labels.
    """
    raw, earlier, spec = inputs.raw, inputs.earlier, plan.spec
    rows, only = (
        (raw, plan.rows) if earlier is None else (_rows_to_continue(raw, earlier, plan), {})
    )
    kept = split.filter_rows(rows, spec, only, needed=plan.needed, used=plan.used)
    share, seed = plan.test_share, plan.seed
    if earlier is not None:
        train, test = split.continued(
            kept.frame,
            spec,
            train_keys=earlier.train_keys,
            test_keys=earlier.test_keys,
            split=plan.split,
            test_share=share,
            seed=seed,
        )
        kept = replace(kept, rows_other=len(raw) - len(rows))
        return Division(kept, train, test, earlier.keys)
    if plan.split == "time":
        train, test = split.by_time(
            kept.frame, spec.target, str(spec.time), test_share=share, test_from=test_from
        )
    elif plan.split == "group":
        train, test = split.by_group(
            kept.frame, spec.target, str(spec.group), test_share=share, seed=seed
        )
    else:
        train, test = split.at_random(kept.frame, spec.target, test_share=share, seed=seed)
        return Division(kept, train, test)
    # cross-validation cuts folds in row order: no fold must be one season
    return Division(
        kept, train.sample(frac=1, random_state=seed), test.sample(frac=1, random_state=seed)
    )


def prepared_sets(divided: Division, plan: Plan) -> list[pd.DataFrame]:
    """Return the filtered, train and test set after validation.

    Raises
    ------
    InputError
        When a value breaks the rules of its column, or is missing where none may be.
    """
    # as the files store them: without the previous row positions; the values are shared
    sets = [
        pd.DataFrame({name: frame[name].to_numpy() for name in plan.columns}, copy=False)
        for frame in (divided.kept.frame, divided.train, divided.test)
    ]
    complete = [plan.spec.target] if plan.missing == "impute" else plan.columns
    wanted = schema.settled_columns(plan.spec, plan.columns)
    # the others hold rows of the first one
    schema.validate(sets[0], wanted, complete=complete)
    return sets


def _rows_to_continue(raw: pd.DataFrame, earlier: Earlier, plan: Plan) -> pd.DataFrame:
    """Return the filtered rows with the labels known so far, and those of the training."""
    wanted = pd.Series(True, index=raw.index)
    for column, values in plan.rows.items():
        wanted &= split.as_text(raw[column]).isin(list(values))
    wanted |= earlier.was_scored | raw[plan.spec.id].isin(earlier.keys)
    return raw.assign(**{plan.spec.target: earlier.labels})[wanted]
