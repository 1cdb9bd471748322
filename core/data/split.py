"""Filtering of rows and the split into training and test set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from core.platform.errors import InputError
from core.platform.messages import Message, Words, in_context
from core.platform.project import ProjectSpec, words


@dataclass(frozen=True)
class Filtered:
    """The rows to split, and counts of the dropped ones.

    Parameters
    ----------
    frame : DataFrame
        All of the project's columns, the target as integers 0 and 1.
    missing : DataFrame
        Columns `column`, `missing`: missing values per column of the raw rows.
    rows_other : int
        Raw rows that the filter excludes.
    rows_unlabelled : int
        Filtered rows without a label.
    rows_missing : int
        Filtered rows with a label that lack another required value, or whose weight is 0.
    """

    frame: pd.DataFrame
    missing: pd.DataFrame
    rows_other: int
    rows_unlabelled: int
    rows_missing: int


def filter_text(rows: Mapping[str, Sequence[str]]) -> Words:
    """Return a row filter in words.

    Examples
    --------
    >>> filter_text({"period": ["1", "4"], "playoffs": ["0"]}), str(filter_text({}))
    ('period = 1, 4; playoffs = 0', 'all')
    """
    parts = (f"{column} = {', '.join(values)}" for column, values in rows.items())
    return "; ".join(parts) or in_context("rows", "all")


def rows_name(spec: ProjectSpec, rows: Mapping[str, Sequence[str]]) -> Words:
    """Return what the project calls the rows of a filter; empty if it has no name for them.

    Examples
    --------
    >>> from core.platform import project
    >>> kobe = project.load("kobe")
    >>> str(rows_name(kobe, {"shot_type": ["3PT Field Goal", "2PT Field Goal"]}))
    '2-point shots and 3-point shots'
    >>> rows_name(kobe, {"shot_type": ["2PT Field Goal"], "playoffs": ["1"]})
    ''
    """
    names = {
        spec.rows.development: spec.rows.reference_rows,
        spec.rows.production: spec.rows.current_rows,
    }
    wanted = rows.get(spec.rows.column, ())
    if set(rows) != {spec.rows.column} or not wanted or not set(wanted) <= set(names):
        return ""
    called = [name for value, name in names.items() if value in wanted]
    if len(called) == 1:
        return called[0]
    return Message("{first} and {second}", first=called[0], second=called[1])


def default_rows(spec: ProjectSpec) -> dict[str, tuple[str, ...]]:
    """Return the filter of the project's development rows."""
    return {spec.rows.column: (spec.rows.development,)}


def filter_rows(
    raw: pd.DataFrame,
    spec: ProjectSpec,
    only: Mapping[str, Sequence[str]] | None = None,
    *,
    needed: Sequence[str] | None = None,
    used: Sequence[str] = (),
) -> Filtered:
    """Keep the rows of the filter that have a label and all required values.

    Parameters
    ----------
    raw : DataFrame
        Rows ordered by id.
    only : mapping of str to sequence of str, optional
        Wanted values per column, as text; the project's development rows by default.
    needed : sequence of str, optional
        Required columns; by default all except those that are left out, and unused columns that
        are entirely empty.
    used : sequence of str
        Columns that the model or the split uses.

    Raises
    ------
    InputError
        When no row is left, or all remaining rows have the same label.
    """
    missing = raw.isna().sum().rename_axis("column").reset_index(name="missing")
    # masks, because each frame of kept rows would be another copy
    chosen = np.ones(len(raw), dtype=bool)
    for column, values in (default_rows(spec) if only is None else only).items():
        texts = as_text(raw[column][chosen])
        wanted = texts.isin(list(values)).to_numpy()
        if not wanted.any():
            raise InputError(
                Message(
                    "No row has {column} = {wanted}. Its values are: {present}.",
                    column=column,
                    wanted=", ".join(f"'{value}'" for value in values) or "''",
                    present=", ".join(sorted(texts.dropna().unique())[:5]) or "–",
                )
            )
        chosen[np.flatnonzero(chosen)] = wanted
    labelled = chosen & raw[spec.target].notna().to_numpy()
    if not labelled.any():
        raise InputError(
            Message(
                "No row has a label ('{target}'): a model cannot be trained on these rows alone.",
                target=spec.target,
            )
        )
    if needed is None:
        needed = [
            str(name)
            for name in raw
            if name in used or (name not in spec.left_out and raw[name][labelled].notna().any())
        ]
    complete = labelled.copy()
    for name in needed:
        complete &= raw[name].notna().to_numpy()
    if not complete.any():
        holes = raw.loc[labelled, list(needed)].isna().sum()
        raise InputError(no_value(str(holes.idxmax()), int(holes.max()), int(labelled.sum())))
    if spec.weights:
        weights = raw[spec.weights]
        of_complete = weights[complete]
        if (of_complete < 0).any() or not of_complete.any():
            raise InputError(
                Message(
                    "'{column}' cannot be the sampling weight: weights must not be "
                    "negative, and not all 0 (rows with 0 or less: {rows:,}). Correct "
                    "them, or name another column.",
                    column=spec.weights,
                    rows=int((of_complete <= 0).sum()),
                )
            )
        # a row of weight 0 represents none
        complete &= (weights > 0).to_numpy()
    frame = raw.take(np.flatnonzero(complete))  # type: ignore[arg-type]  # the stubs want a list
    frame.index = pd.RangeIndex(len(frame))
    frame[spec.target] = frame[spec.target].astype("int64")
    labels = frame[spec.target].unique()
    if len(labels) < 2:
        name = spec.positive if labels[0] == 1 else spec.negative
        raise InputError(
            Message(
                "All labels are '{label}'. A classifier needs rows of both classes.",
                label=words(name),
            )
        )
    return Filtered(
        frame,
        missing,
        rows_other=len(raw) - int(chosen.sum()),
        rows_unlabelled=int(chosen.sum() - labelled.sum()),
        rows_missing=int(labelled.sum()) - len(frame),
    )


def at_random(
    frame: pd.DataFrame, target: str, *, test_share: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the rows at random into training and test set, stratified by label.

    The result depends on the order of the rows and on the seed.

    Parameters
    ----------
    test_share : float
        Share of rows in the test set, above 0 and below 1.

    Raises
    ------
    InputError
        When a set would have too few rows to hold both labels.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": range(10), "y": [0, 1] * 5})
    >>> [len(part) for part in at_random(frame, "y", test_share=0.2, seed=42)]
    [8, 2]
    """
    from sklearn.model_selection import train_test_split

    try:
        train, test = train_test_split(
            frame, test_size=test_share, random_state=seed, stratify=frame[target]
        )
    except ValueError as error:
        raise _too_few(len(frame), test_share) from error
    return _with_both_labels(train, test, target, test_share)


def by_time(
    frame: pd.DataFrame, target: str, time: str, *, test_share: float, test_from: Any = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split the rows by time: the earlier ones train, the later ones test.

    Rows of the same moment stay together, so the share is approximate.

    Parameters
    ----------
    time : str
        Sortable column without missing values.
    test_from : optional
        First moment of the test set, with the column's type; the share is then ignored.

    Raises
    ------
    InputError
        When a set would lack rows of one label.

    Examples
    --------
    >>> frame = pd.DataFrame({"day": list("aabbccdd"), "y": [0, 1] * 4})
    >>> train, test = by_time(frame, "y", "day", test_share=0.3)
    >>> train["day"].max(), test["day"].tolist()
    ('c', ['d', 'd'])
    >>> by_time(frame, "y", "day", test_share=0.3, test_from="b")[0]["day"].tolist()
    ['a', 'a']
    """
    moments = frame[time]
    if test_from is not None:
        later = (moments >= test_from).to_numpy()
        if later.all() or not later.any():
            raise InputError(
                Message(
                    "{moment} leaves no rows on one side: they are from {first} to {last}. Choose "
                    "a moment in between.",
                    moment=str(test_from),
                    first=str(moments.min()),
                    last=str(moments.max()),
                )
            )
    else:
        counts = moments.value_counts().sort_index(ascending=False).cumsum()
        # the earliest moment would leave nothing for training
        shares = (counts.iloc[:-1] / len(frame) - test_share).abs()
        if shares.empty:
            raise _too_few(len(frame), test_share)
        later = (moments >= shares.idxmin()).to_numpy()
    return _with_both_labels(frame[~later], frame[later], target, test_share)


def by_group(
    frame: pd.DataFrame, target: str, group: str, *, test_share: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split whole groups at random: no group has rows in both sets.

    Parameters
    ----------
    group : str
        Column of the group, without missing values.
    test_share : float
        Share of groups, and so roughly of rows, in the test set.

    Raises
    ------
    InputError
        When a set would lack rows of one label, or there is only one group.

    Examples
    --------
    >>> frame = pd.DataFrame({"game": np.repeat(range(10), 4), "y": [0, 1] * 20})
    >>> train, test = by_group(frame, "y", "game", test_share=0.2, seed=1)
    >>> len(test), set(train["game"]) & set(test["game"])
    (8, set())
    """
    from sklearn.model_selection import GroupShuffleSplit

    cut = GroupShuffleSplit(n_splits=1, test_size=test_share, random_state=seed)
    try:
        first, second = next(cut.split(frame, groups=frame[group]))
    except ValueError as error:
        raise _too_few(len(frame), test_share) from error
    return _with_both_labels(
        frame.iloc[np.sort(first)], frame.iloc[np.sort(second)], target, test_share
    )


def continued(
    frame: pd.DataFrame,
    spec: ProjectSpec,
    *,
    train_keys: Collection[Any],
    test_keys: Collection[Any],
    split: str,
    test_share: float,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split rows so that earlier ones stay in their set, and new ones go to both sets.

    So two models, the second trained on more rows, can be compared on test rows that neither has
    seen, of the original and of the new kinds of row.

    Parameters
    ----------
    frame : DataFrame
        All of the project's columns, ordered by id.
    train_keys, test_keys : collection
        Ids of the rows of each set; a row in both is kept out of the test set.
    split : {"random", "time", "group"}
        How new rows are split, each kind of `spec.rows` separately: stratified at random, the
        later ones to the test set, or by whole groups; a group from an earlier set stays there.
    test_share : float
        Share of the new rows, above 0 and below 1.

    Raises
    ------
    InputError
        When there are no new rows, or a set would lack rows of one label.
    """
    ids = frame[spec.id]
    to_train = ids.isin(set(train_keys)).to_numpy()
    to_test = ids.isin(set(test_keys)).to_numpy() & ~to_train
    fresh = ~(to_train | to_test)
    if not fresh.any():
        raise InputError(
            Message(
                "No rows have been labelled since the champion was trained. Add labels, or "
                "acquire newer data."
            )
        )
    if split == "group":
        groups = frame[spec.group]
        to_train |= fresh & groups.isin(set(groups[to_train])).to_numpy()
        to_test |= fresh & groups.isin(set(groups[to_test])).to_numpy() & ~to_train
        fresh = ~(to_train | to_test)
    chosen = _chosen_for_test(frame[fresh], spec, split, test_share, np.random.default_rng(seed))
    to_test[np.flatnonzero(fresh)[chosen]] = True
    train, test = (
        # cross-validation folds follow the row order
        frame[mask].sample(frac=1, random_state=seed)
        for mask in (~to_test, to_test)
    )
    return _with_both_labels(train, test, spec.target, test_share)


def _chosen_for_test(
    fresh: pd.DataFrame, spec: ProjectSpec, split: str, share: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Return a mask of the new rows for the test set."""
    chosen = np.zeros(len(fresh), dtype=bool)
    if split == "group":
        groups = np.sort(fresh[spec.group].unique())
        some = rng.permutation(groups)[: round(share * len(groups))]
        return fresh[spec.group].isin(set(some)).to_numpy()
    kinds = fresh[spec.rows.column].to_numpy()
    for kind in sorted(set(kinds)):
        mine = np.flatnonzero(kinds == kind)
        moments = fresh[spec.time].iloc[mine] if split == "time" else fresh[spec.id].iloc[:0]
        if moments.nunique() > 1:
            counts = moments.value_counts().sort_index(ascending=False).cumsum()
            shares = (counts.iloc[:-1] / len(mine) - share).abs()
            chosen[mine] = (moments >= shares.idxmin()).to_numpy()
            continue
        for label in (0, 1):
            of_label = mine[fresh[spec.target].to_numpy()[mine] == label]
            chosen[rng.permutation(of_label)[: round(share * len(of_label))]] = True
    return chosen


def _with_both_labels(
    train: pd.DataFrame, test: pd.DataFrame, target: str, test_share: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    # a stratified draw may still round a rare label to zero
    if train[target].nunique() < 2 or test[target].nunique() < 2:
        raise _too_few(len(train) + len(test), test_share)
    return train, test


def no_value(column: str, missing: int, rows: int) -> Message:
    """Return why rows cannot be used where a column has no value in so many of them."""
    return Message(
        "'{column}' has no value in {missing:,} of {rows:,} rows. Impute missing values, or choose "
        "other features or another split.",
        column=column,
        missing=missing,
        rows=rows,
    )


def _too_few(rows: int, test_share: float) -> InputError:
    return InputError(
        Message(
            "A test share of {share:g} of {rows:,} rows leaves a set empty, or with one class "
            "only. Choose another share or split, or acquire more rows.",
            share=test_share,
            rows=rows,
        )
    )


def as_text(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return values as a person writes them: whole numbers without a fraction.

    Examples
    --------
    >>> as_text(pd.Series([1.0, 2.5, None])).tolist(), as_text(pd.Series([1000010])).tolist()
    (['1', '2.5', None], ['1000010'])
    """
    codes, distinct = pd.factorize(values)
    names = [
        f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
        for value in distinct
    ]
    texts = np.array([*names, None], dtype="object")
    return pd.Series(list(texts[codes]), index=values.index, dtype="object")
