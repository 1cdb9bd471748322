"""Tables for reading a monitoring report: drift by column, and changes since another report.

They take the checks of a report as returned by `checks.as_table`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pandas as pd

from core.platform.messages import Words, sentences
from core.platform.own_columns import shown
from core.stats.checks import Check, kind_name

WORST_FIRST = ("alert", "warning", "ok", "not_applicable")
# kinds of checks of a column, in display order
KINDS = ("psi", "ks", "js", "chi2", "missing", "unseen", "range")
# those whose value is a share of the rows
SHARES = ("missing", "unseen", "range")
# the order of a report: the most important first
GROUPS = ("performance", "support", "output", "input")
NUMBERS = (
    "value",
    "reference",
    "low",
    "high",
    "warning_low",
    "warning_high",
    "alert_low",
    "alert_high",
)


def complete(checks: pd.DataFrame) -> pd.DataFrame:
    """Return checks with a column per field of a check: NaN or an empty text if missing.

    Examples
    --------
    >>> some = pd.DataFrame([{"code": "f1", "value": None, "verdict": "ok"}])
    >>> filled = complete(some)
    >>> filled.loc[0, "todo"], bool(np.isnan(filled.loc[0, "alert_low"]))
    ('', True)
    """
    names = [field.name for field in fields(Check)]
    if list(checks.columns) == names and all(checks[name].dtype == "float64" for name in NUMBERS):
        return checks
    filled = checks.reindex(columns=names)
    for name in names:
        if name in NUMBERS:
            filled[name] = pd.to_numeric(filled[name]).astype("float64")
        else:
            filled[name] = filled[name].fillna("").astype("object")
    return filled


def by_column(checks: pd.DataFrame, group: str = "input") -> pd.DataFrame:
    """Return one row per column of the input, or of the output, the worst first.

    Parameters
    ----------
    group : {"input", "output"}
        Group of the checks `<kind>.<column>`.

    Returns
    -------
    DataFrame
        `column`, `verdict` (the worst of its checks), a column for each of KINDS (the value; NaN
        where it does not apply), `text` and `todo` of its worst checks, as messages; if all are
        ok, of the first.

    Examples
    --------
    >>> rows = [("psi.lat", 2.4, "alert", "Far."), ("ks.lat", 0.1, "warning", "Moved."),
    ...         ("psi.period", 0.0, "ok", "Stable.")]
    >>> columns = by_column(pd.DataFrame(
    ...     [{"code": code, "group": "input", "value": value, "verdict": verdict, "text": text}
    ...      for code, value, verdict, text in rows]))
    >>> columns.assign(text=columns["text"].map(str))[["column", "psi", "text"]].values.tolist()
    [['lat', 2.4, 'Far.'], ['period', 0.0, 'Stable.']]
    """
    mine = complete(checks)
    mine = mine[(mine["group"] == group) & mine["code"].str.contains(".", regex=False)]
    codes = [code.partition(".") for code in mine["code"]]
    mine = mine.assign(kind=[code[0] for code in codes], column=[code[2] for code in codes])
    table_rows = []
    for name, part in mine.groupby("column", sort=False):
        verdict = min(part["verdict"], key=_rank)
        worst = part[part["verdict"] == verdict]
        if verdict not in WORST_FIRST[:2]:
            worst = worst.head(1)
        # a share of rows stands in its own column, and says nothing beside another sentence
        others = worst[~worst["kind"].isin(SHARES)]
        worst = others if len(others) else worst
        values = dict(zip(part["kind"], part["value"], strict=True))
        table_rows.append(
            {
                "column": name,
                "verdict": verdict,
                **{kind: values.get(kind, np.nan) for kind in KINDS},
                "text": sentences(*dict.fromkeys(worst["text"])),
                "todo": sentences(*dict.fromkeys(worst["todo"])),
            }
        )
    table = pd.DataFrame(table_rows, columns=["column", "verdict", *KINDS, "text", "todo"])
    order = table.assign(rank=table["verdict"].map(_rank), size=-table["psi"].fillna(0.0))
    return table.loc[order.sort_values(["rank", "size"], kind="stable").index].reset_index(
        drop=True
    )


def beyond(checks: pd.DataFrame) -> list[tuple[str, Words, Words]]:
    """Return verdict, name and text of everything beyond its limits, the worst first.

    Several checks of one column are summarized once.

    Examples
    --------
    >>> beyond(pd.DataFrame([{"code": "f1", "title": "F1", "group": "performance",
    ...     "verdict": "alert", "text": "Gone."}]))
    [('alert', 'F1', 'Gone.')]
    >>> beyond(pd.DataFrame([{"code": "disagreement", "title": "Disagreement", "group": "output",
    ...     "verdict": "warning", "text": "Far apart."}]))
    [('warning', 'Disagreement', 'Far apart.')]
    """
    rows = complete(checks)
    bad = rows[rows["verdict"].isin(WORST_FIRST[:2])]
    is_of_column = bad["group"].isin(("input", "output")) & bad["code"].str.contains(
        ".", regex=False
    )
    bad, other = bad[is_of_column], bad[~is_of_column]
    findings = list(zip(other["verdict"], other["title"], other["text"], strict=True))
    for group in ("output", "input"):
        columns = by_column(bad, group)
        findings += zip(
            columns["verdict"], columns["column"].map(shown), columns["text"], strict=True
        )
    return sorted(findings, key=lambda finding: _rank(finding[0]))


def failed(checks: pd.DataFrame) -> pd.DataFrame:
    """Return the checks beyond their limits, the worst first; of each column the worst one.

    Returns
    -------
    DataFrame
        The fields of a check, and `others`: what else of its column is beyond its limits, as names
        of kinds of checks.

    Examples
    --------
    >>> rows = [("ks.lat", "input", "warning"), ("psi.lat", "input", "alert"),
    ...         ("f1", "performance", "alert"), ("skill", "performance", "ok")]
    >>> bad = failed(pd.DataFrame(rows, columns=["code", "group", "verdict"]))
    >>> [(code, [str(name) for name in others]) for code, others in
    ...  zip(bad["code"], bad["others"])]
    [('f1', []), ('psi.lat', ['KS distance'])]
    """
    rows = complete(checks)
    bad = rows[rows["verdict"].isin(WORST_FIRST[:2])]
    kinds = [code.partition(".")[0] for code in bad["code"]]
    columns = [
        code.partition(".")[2] if group in ("input", "output") and "." in code else code
        for code, group in zip(bad["code"], bad["group"], strict=True)
    ]
    bad = bad.assign(
        column=columns,
        rank=bad["verdict"].map(_rank),
        place=bad["group"].map(_place),
        kind=[KINDS.index(kind) if kind in KINDS else len(KINDS) for kind in kinds],
        size=-bad["value"].fillna(0.0),
    ).sort_values(["rank", "place", "kind"], kind="stable")
    parts = bad.groupby(["group", "column"], sort=False)
    others = {key: [kind_name(code) for code in part["code"][1:]] for key, part in parts}
    first = bad.drop_duplicates(["group", "column"])
    keys = zip(first["group"], first["column"], strict=True)
    first = first.assign(others=[others[key] for key in keys])
    # among columns the one that moved most comes first; the others keep the order of a report
    is_column = first["group"].eq("input")
    moved = first[is_column].sort_values(["rank", "size"], kind="stable")
    first = pd.concat([first[~is_column], moved]).sort_values(["rank", "place"], kind="stable")
    return first[[*rows.columns, "others"]].reset_index(drop=True)


def standing_out(slices: pd.DataFrame, checks: pd.DataFrame) -> pd.DataFrame:
    """Return the slices that a check warns about, or whose predictions are wrong beyond chance.

    Parameters
    ----------
    slices : DataFrame
        As returned by `slices.by_slice`.
    checks : DataFrame
        Of the report, see `complete`.

    Examples
    --------
    >>> slices = pd.DataFrame({"column": "kind", "value": ["a", "b"], "finding": ["ok", "ok"]})
    >>> checks = pd.DataFrame({"code": ["slice.kind=b", "f1"], "verdict": ["warning", "ok"]})
    >>> standing_out(slices, checks)["value"].tolist()
    ['b']
    """
    bad = set(checks.loc[checks["verdict"].isin(WORST_FIRST[:2]), "code"])
    codes = "slice." + slices["column"].astype(str) + "=" + slices["value"].astype(str)
    is_wrong = slices["finding"].isin(("biased", "no_skill"))
    return slices[is_wrong | codes.isin(bad)].reset_index(drop=True)


def changes(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    """Return two reports side by side, changed verdicts first, deteriorations before others.

    Returns
    -------
    DataFrame
        `code`, `title`, `group`, `before`, `now`, `difference` (now minus before), `verdict_before`
        and `verdict_now` (empty if that report has no such check), `is_changed`, `is_worse`: a
        missing or inapplicable check is neither better nor worse than ok.

    Examples
    --------
    >>> def report(value, verdict):
    ...     return pd.DataFrame([{"code": "f1", "title": "F1", "value": value, "verdict": verdict}])
    >>> changed = changes(report(0.5, "ok"), report(0.0, "alert"))
    >>> changed[["code", "difference", "verdict_now", "is_changed"]].values.tolist()
    [['f1', -0.5, 'alert', True]]
    """
    names = ["code", "title", "group", "value", "verdict"]
    sides = [
        complete(side)[names].drop_duplicates("code").set_index("code") for side in (before, now)
    ]
    codes = list(dict.fromkeys([*sides[1].index, *sides[0].index]))
    old, new = (side.reindex(codes) for side in sides)
    verdicts = [side["verdict"].fillna("").to_numpy() for side in (old, new)]
    table = pd.DataFrame(
        {
            "code": codes,
            "title": new["title"].fillna(old["title"]).to_numpy(),
            "group": new["group"].fillna(old["group"]).to_numpy(),
            "before": old["value"].to_numpy(),
            "now": new["value"].to_numpy(),
            "difference": (new["value"] - old["value"]).to_numpy(),
            "verdict_before": verdicts[0],
            "verdict_now": verdicts[1],
            "is_changed": verdicts[0] != verdicts[1],
            "is_worse": [
                _badness(now) > _badness(before) for before, now in zip(*verdicts, strict=True)
            ],
        }
    )
    order = ["is_worse", "is_changed"]
    return table.sort_values(order, ascending=False, kind="stable", ignore_index=True)


def over_time(reports: Sequence[tuple[str, float, str, pd.DataFrame]]) -> pd.DataFrame:
    """Return the checks of several reports stacked, the oldest report first.

    Parameters
    ----------
    reports : sequence of (run id, seconds since 1970, name, checks)

    Returns
    -------
    DataFrame
        The fields of a check, and `run_id`, `at`, `report` (its name).

    Examples
    --------
    >>> checks = pd.DataFrame([{"code": "f1", "value": 0.5, "verdict": "ok"}])
    >>> series = over_time([("b", 2.0, "second", checks), ("a", 1.0, "first", checks)])
    >>> series[["run_id", "at", "value"]].values.tolist()
    [['a', 1.0, 0.5], ['b', 2.0, 0.5]]
    """
    parts = [
        complete(checks).assign(run_id=run_id, at=at, report=name)
        for run_id, at, name, checks in sorted(reports, key=lambda report: report[1])
    ]
    if not parts:
        names = [field.name for field in fields(Check)]
        return pd.DataFrame(columns=[*names, "run_id", "at", "report"])
    return pd.concat(parts, ignore_index=True)


def _rank(verdict: str) -> int:
    return WORST_FIRST.index(verdict) if verdict in WORST_FIRST else len(WORST_FIRST)


def _place(group: str) -> int:
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _badness(verdict: str) -> int:
    return {"alert": 2, "warning": 1}.get(verdict, 0)
