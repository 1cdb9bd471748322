"""A monitoring report as one self-contained HTML file: no script, no external resources.

It is for readers without the app: to send, store or print. All text from people or data is escaped.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from core.monitoring import report_tables
from core.platform import steps, templates
from core.platform.messages import Message, Words, _, current, day, from_data, number, sentences
from core.platform.own_columns import shown
from core.stats.charts.style import SET_LABELS
from core.stats.check import CONCLUSION_LABELS, GROUP_LABELS, VERDICT_LABELS, Limit

# appearance of each verdict of the report
LOOKS = {
    "fits": "ok",
    "watch": "warning",
    "investigate": "warning",
    "does_not_fit": "alert",
    "no_skill": "alert",
    "cannot_tell": "not_applicable",
    "unknown": "not_applicable",
}
FIGURES: dict[str, Words] = {
    "psi": "PSI",
    "probability": Message("Predicted probability"),
    "reliability": Message("Calibration"),
}
MOST_ROWS = 200
ELEMENTS = {
    "svg",
    "g",
    "path",
    "rect",
    "line",
    "circle",
    "text",
    "tspan",
    "title",
    "desc",
    "defs",
    "clipPath",
    "linearGradient",
    "radialGradient",
    "stop",
}
_SVG = "http://www.w3.org/2000/svg"
# fixed texts of a report, and the heads of its table of checks, with whether they are numbers
TEXTS = {
    "kind": Message("Monitoring Report"),
    "verdict": Message("Verdict"),
    "sample": Message("Built-in sample: this says nothing about real rows."),
    "changed": Message("What changed"),
    "unchanged": Message("No check is beyond its limits."),
    "evidence": Message("Evidence"),
    "absent": Message("This was not recorded."),
    "todo": Message("What to do"),
    "checks": Message("All checks"),
    "made": Message("About this report"),
    "judged": Message(
        "A check with an interval is judged by its more favorable end: a small sample alone "
        "raises no alarm."
    ),
}
HEADS = (
    (Message("Check"), False),
    (Message("Verdict"), False),
    (Message("Value"), True),
    (Message("95% interval"), True),
    (Message("Reference"), True),
    (Message("Limits"), False),
)


def render(
    report: Mapping[str, Any],
    checks: pd.DataFrame,
    figures: Mapping[str, str] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """Return a report as one HTML document in the current language, light or dark as read.

    From the top: the verdict in a sentence, what changed, the evidence, what to do; then all
    checks with value, interval and limits, and facts about the report.

    Parameters
    ----------
    report : mapping
        As stored, or with its messages.
        `conclusion` (code; title, text, todo, each a message or a text). Optional: `run_id`,
        `scoring_run`, `window` (a message or a text), `source`, `created` (seconds since 1970),
        `sample` (bool), `model` (name, version, run_id), `rows` (reference, current, labelled),
        `false_alarms` (target, rate: shares).
    checks : DataFrame
        As returned by `checks.as_table`; older ones without todo or limits too.
    figures : mapping of str to str, optional
        SVG documents by caption. Anything but drawing elements is removed: scripts, links, external
        pictures.
    tables : mapping of str to DataFrame, optional
        More evidence by caption; the first 200 rows of each.

    Examples
    --------
    >>> checks = pd.DataFrame([{"code": "f1", "title": "F1", "group": "performance", "value": 0.0,
    ...     "reference": 0.5, "threshold": "", "verdict": "alert", "text": "Gone."}])
    >>> page = render({"conclusion": {"code": "does_not_fit", "title": "It <fits> not",
    ...     "text": "", "todo": "Train."}}, checks)
    >>> "It &lt;fits&gt; not" in page, "<script" in page, "://" in page
    (True, False, False)
    """
    report = from_data(report)
    conclusion = report["conclusion"]
    rows = [_known(row) for row in checks.to_dict("records")]
    return templates.render(
        "monitoring/report.html",
        texts=TEXTS,
        language=current().replace("pt", "pt-BR"),
        words=VERDICT_LABELS,
        heads=HEADS,
        title=_("{name}: {value}", name=TEXTS["kind"], value=conclusion.get("title", "")),
        head=_head(report),
        conclusion=conclusion,
        verdict=CONCLUSION_LABELS.get(str(conclusion.get("code")), conclusion.get("code", "")),
        look=LOOKS.get(str(conclusion.get("code")), "not_applicable"),
        is_sample=bool(report.get("sample")),
        changed=_changed(rows),
        figures=_figures(figures or {}),
        tables=[_table(_named(name), frame) for name, frame in (tables or {}).items()],
        todo=_steps(conclusion, rows),
        groups=_groups(rows),
        facts=_facts(report),
        number=_number,
        interval=_interval,
        limits=_limits,
    )


def drawing(svg: str, prefix: str) -> str | None:
    """Return an SVG document as an element of a page; None if it is invalid.

    Ids get a prefix, so that drawings on one page do not clash; elements that do not draw, and
    attributes that act or refer elsewhere, are removed.

    Examples
    --------
    >>> drawing('<svg xmlns="http://www.w3.org/2000/svg"><script>1</script><g id="a"/></svg>', "n-")
    '<svg xmlns="http://www.w3.org/2000/svg"><g id="n-a" /></svg>'
    >>> drawing("<b>no drawing</b>", "n-") is None
    True
    """
    # a document type may define entities that expand without limit
    if "<!" in svg:
        return None
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError:
        return None
    if root.tag != f"{{{_SVG}}}svg":
        return None
    width, height = root.get("width"), root.get("height")
    for child in list(root):
        # the page has its own background
        if child.tag.endswith("}rect") and (child.get("width"), child.get("height")) == (
            width,
            height,
        ):
            root.remove(child)
    _clean(root, prefix)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element, prefix: str) -> None:
    for name, value in list(element.attrib.items()):
        acts = name.lower().startswith("on") or name.startswith("{") or name == "href"
        points = "url(" in value.replace("url(#", "") or "://" in value or "javascript:" in value
        if acts or points or name == "style":
            del element.attrib[name]
        elif name == "id":
            element.set(name, prefix + value)
        elif "url(#" in value:
            element.set(name, value.replace("url(#", f"url(#{prefix}"))
    for child in list(element):
        namespace, _unused, name = str(child.tag).rpartition("}")
        if namespace != "{" + _SVG or name not in ELEMENTS:
            element.remove(child)
        else:
            _clean(child, prefix)


def _head(report: Mapping[str, Any]) -> str:
    """Return model, rows and time in a line."""
    model = report.get("model") or {}
    facts = [_model(model), str(report.get("window") or "")]
    if report.get("created") is not None:
        when = datetime.fromtimestamp(float(report["created"]), UTC)
        facts.append(f"{day(when)} UTC")
    return " · ".join([str(TEXTS["kind"]), *(fact for fact in facts if fact)])


def _model(model: Mapping[str, Any]) -> str:
    return (
        _("{name}, version {version}", name=model["name"], version=model.get("version", ""))
        if model.get("name")
        else ""
    )


def _changed(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, Words, str]]:
    """Return verdict, name and text of everything beyond its limits, alerts first."""
    beyond = [row for verdict in ("alert", "warning") for row in rows if row["verdict"] == verdict]
    # several checks of one column are summarized once
    columns = dict.fromkeys(
        row["code"].partition(".")[2] or row["code"] for row in beyond if row["group"] == "input"
    )
    changed = [
        (row["verdict"], row["title"], f"{_numbers(row)} {row['text']}")
        for row in beyond
        if row["group"] != "input"
    ]
    for column in columns:
        mine = [
            row
            for row in beyond
            if row["group"] == "input" and column in (row["code"].partition(".")[2], row["code"])
        ]
        values = ", ".join(f"{row['title']} {_number(row['value'])}" for row in mine)
        texts = sentences(*dict.fromkeys(row["text"] for row in mine))
        changed.append((mine[0]["verdict"], shown(column), f"{values}. {texts}"))
    return sorted(changed, key=lambda change: change[0] != "alert")


def _figures(figures: Mapping[str, str]) -> list[tuple[Words, str | None]]:
    return [
        (FIGURES.get(name) or _named(name), drawing(svg, f"f{place}-"))
        for place, (name, svg) in enumerate(figures.items())
    ]


def _steps(conclusion: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Words]:
    """Return what to do, the conclusion's own advice first."""
    todo = [conclusion.get("todo") or Message("Nothing to do.")]
    for verdict in ("alert", "warning"):
        todo += [row["todo"] for row in rows if row["verdict"] == verdict and row["todo"]]
    return list(dict.fromkeys(todo))


def _groups(rows: Sequence[Mapping[str, Any]]) -> list[tuple[Words, list[Mapping[str, Any]]]]:
    """Return the checks of each nonempty group, by title."""
    groups = dict.fromkeys([*GROUP_LABELS, *(row["group"] for row in rows)])
    grouped = [(group, [row for row in rows if row["group"] == group]) for group in groups]
    return [(GROUP_LABELS.get(group, group), mine) for group, mine in grouped if mine]


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """Return name and value of facts about the report, and whether the value is an id."""
    model, rows = report.get("model") or {}, report.get("rows") or {}
    of_rows = {name: int(count) for name, count in rows.items() if count is not None}
    names = {
        "current": SET_LABELS["current"],
        "labelled": Message("Labels"),
        "reference": SET_LABELS["reference"],
    }
    counts = [
        _("{name}: {value}", name=words, value=number(of_rows[name]))
        for name, words in names.items()
        if name in of_rows
    ]
    facts = [
        (_("Run"), report.get("run_id"), True),
        (_run_of("score"), report.get("scoring_run"), True),
        (_("Model"), _model(model), False),
        (_run_of("train"), model.get("run_id"), True),
        (_("Rows"), ", ".join(counts), False),
        (_("Source"), report.get("source"), False),
        (_("Window"), report.get("window"), False),
        (_("False alarms"), _promise(report.get("false_alarms") or {}), False),
    ]
    return [(name, str(value), is_id) for name, value, is_id in facts if value]


def _run_of(step: str) -> str:
    return _("{name}: {value}", name=_("Run"), value=steps.named(step).title)


def _promise(false_alarms: Mapping[str, Any]) -> str:
    if not false_alarms or false_alarms.get("rate") is None:
        return ""
    rate = float(false_alarms["rate"])
    return _(
        "At most {rate:.2%} of windows without a change raise an alert of performance or of a "
        "column.",
        rate=rate,
    )


def _table(title: str, frame: pd.DataFrame) -> dict[str, Any]:
    """Return a table's title, note, heads and rows, and whether each column is numeric."""
    first = frame.head(MOST_ROWS)
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame]
    return {
        "title": title,
        "note": _("{shown:,} of {rows:,} rows", shown=MOST_ROWS, rows=len(frame))
        if len(frame) > len(first)
        else "",
        "heads": [
            (str(name).replace("_", " "), is_number)
            for name, is_number in zip(frame, numeric, strict=True)
        ],
        "rows": [
            [
                (_number(value) if is_number else "" if value is None else str(value), is_number)
                for value, is_number in zip(row, numeric, strict=True)
            ]
            for row in first.itertuples(index=False, name=None)
        ],
    }


def _known(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a check's fields; messages or texts, None for missing numbers."""
    texts = ("code", "title", "group", "threshold", "verdict", "text", "todo")
    values: dict[str, Any] = {name: _words(row.get(name)) for name in texts}
    for name in report_tables.NUMBERS:
        value = row.get(name)
        values[name] = None if value is None or pd.isna(value) else float(value)
    return values


def _words(value: object) -> Words:
    return value if isinstance(value, str | Message) else ""


def _numbers(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return ""
    value = _number(row["value"])
    if row["low"] is not None:
        value += f" ({_interval(row)})"
    if row["reference"] is None:
        return f"{value}."
    reference = _number(row["reference"])
    return _("{value}, {reference} on the reference.", value=value, reference=reference)


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return "–"
    return _("{low} to {high}", low=_number(row["low"]), high=_number(row["high"]))


def _limits(row: Mapping[str, Any]) -> str:
    if row["threshold"]:
        return str(row["threshold"])
    ends = ("warning_low", "warning_high", "alert_low", "alert_high")
    return str(Limit(**{end: row[end] for end in ends}).words()) or "–"


def _number(value: object) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if not isinstance(value, int | float) or pd.isna(value):
        return "–"
    size = abs(float(value))
    if float(value).is_integer() and (size >= 1 or not size):
        return number(int(value))
    return number(float(value), ".2g" if size < 5e-5 else ",.4f")


def _named(name: str) -> str:
    return name if " " in name else name.replace("_", " ").capitalize()
