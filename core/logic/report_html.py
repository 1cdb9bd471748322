"""A monitoring report as one HTML file that stands alone: no script, and nothing that is fetched.

It is for whoever has no app: to be sent, kept or printed. All that people or data wrote is shown as
the text that it is.
"""

from __future__ import annotations

import html
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

WORDS = {
    "ok": "ok", "warning": "warning", "alert": "alert", "not_applicable": "not applicable",
}  # fmt: skip
GROUPS = {
    "performance": "Performance, with labels",
    "output": "What the model answers, without labels",
    "support": "Whether the rows lie where the model was tested",
    "input": "The columns",
    "split": "The split",
}
# what a verdict of the report looks like
LOOKS = {
    "fits": "ok", "watch": "warning", "investigate": "warning", "does_not_fit": "alert",
    "unknown": "not_applicable",
}  # fmt: skip
FIGURES = {
    "psi": "How far each column moved (PSI)",
    "probability": "Predicted probabilities",
    "reliability": "Forecast against observed",
}
MOST_ROWS = 200
ELEMENTS = {
    "svg", "g", "path", "rect", "line", "circle", "text", "tspan", "title", "desc", "defs",
    "clipPath", "linearGradient", "radialGradient", "stop",
}  # fmt: skip
_SVG = "http://www.w3.org/2000/svg"
# what a report needs of a machine: its own fonts
_STYLE = """
:root { color-scheme: light dark; --text: #14171C; --soft: #4A5260; --page: #FFFFFF;
  --card: #F3F4F8; --line: #C9CDD6; --ok: #0B6B63; --warning: #7A5600; --alert: #B02A42;
  --not_applicable: #4A5260; }
@media screen and (prefers-color-scheme: dark) { :root { --text: #E6E8EC; --soft: #B4BAC5;
  --page: #14171C; --card: #20252D; --line: #454C59; --ok: #4CC9BE; --warning: #E3B341;
  --alert: #FF8497; --not_applicable: #B4BAC5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 70rem; background: var(--page);
  color: var(--text); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0.25rem 0 0.5rem; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 0.5rem; }
p { margin: 0.25rem 0; max-width: 75ch; }
.soft, caption, figcaption, dt { color: var(--soft); }
.verdict { border-left: 0.4rem solid; padding: 0.75rem 1.25rem 1rem; background: var(--card);
  border-radius: 0.5rem; margin: 1rem 0; }
.verdict p { font-size: 1.05rem; }
.word { font-weight: 650; white-space: nowrap; }
.ok { color: var(--ok); } .warning { color: var(--warning); } .alert { color: var(--alert); }
.not_applicable { color: var(--not_applicable); }
.verdict > * { color: var(--text); } .verdict > .word { color: inherit; }
ul { padding-left: 1.25rem; margin: 0.25rem 0; } li { margin: 0.35rem 0; max-width: 80ch; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.875rem; margin: 0.5rem 0; }
caption { text-align: left; padding: 0.25rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.4rem 0.6rem;
  border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
thead th { font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.checks th:first-child { width: 44%; min-width: 13rem; }
.checks td:last-child { width: 20%; min-width: 7.5rem; }
@media (max-width: 60rem) { .checks td, .checks thead th { white-space: normal;
  padding: 0.4rem 0.35rem; }
  .checks .word { white-space: normal; } }
.means { display: block; font-weight: 400; margin-top: 0.15rem; }
.code { color: var(--soft); font: 0.8rem monospace; display: block; font-weight: 400; }
figure { margin: 1rem 0; break-inside: avoid; }
figure svg { max-width: 100%; height: auto; display: block; }
figure .role-axis-grid line { stroke: var(--line); }
figure .role-axis text, figure .role-legend text, figure .role-title text { fill: var(--text); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.25rem 1.25rem; margin: 0; }
dd { margin: 0; } dd code { font-size: 0.85rem; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: 0.5rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } .wide { overflow: visible; }
  h2, h3 { break-after: avoid; } tr, li, .verdict { break-inside: avoid; }
  thead { display: table-header-group; } table { font-size: 8pt; }
  .checks td:last-child { min-width: 0; }
  .verdict { border: 1px solid; border-left-width: 4pt; } }
"""


def render(
    report: Mapping[str, Any],
    checks: pd.DataFrame,
    figures: Mapping[str, str] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> str:
    """Return a report as one HTML document, light or dark as the reader's machine is.

    From the top: the verdict in a sentence, what changed, the evidence, what to do; then all
    checks with value, interval and limits, and what the report was made of.

    Parameters
    ----------
    report : mapping
        `conclusion` (code, title, text, todo). All else may be left out: `run_id`, `scoring_run`,
        `window` (a sentence), `source`, `created` (seconds since 1970), `sample` (bool), `model`
        (name, version, run_id), `rows` (reference, current, labelled), `false_alarms` (target,
        rate, low, high: shares; windows: count).
    checks : DataFrame
        As `checks.as_table` returns it; older ones without todo or limits too.
    figures : mapping of str to str, optional
        SVG documents by what they show. What is not drawing in them is left out: scripts, links,
        pictures from elsewhere.
    tables : mapping of str to DataFrame, optional
        More evidence by what it is; the first 200 rows of each.

    Examples
    --------
    >>> found = pd.DataFrame([{"code": "f1", "title": "F1", "group": "performance", "value": 0.0,
    ...     "reference": 0.5, "threshold": "", "verdict": "alert", "text": "Gone."}])
    >>> page = render({"conclusion": {"code": "does_not_fit", "title": "It <fits> not",
    ...     "text": "", "todo": "Train."}}, found)
    >>> "It &lt;fits&gt; not" in page, "<script" in page, "://" in page
    (True, False, False)
    """
    conclusion = report["conclusion"]
    rows = [_known(row) for row in checks.to_dict("records")]
    body = [
        _head(report, conclusion),
        _section("What changed", _changed(conclusion, rows)),
        _section("Evidence", _evidence(figures or {}, tables or {})),
        _section("What to do", _todo(conclusion, rows)),
        _section("All checks", _checks(rows)),
        _section("How this report was made", _made(report)),
    ]
    title = _text(f"Monitoring report: {conclusion.get('title', '')}")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        # whatever came in, no browser fetches or runs anything for it
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"{''.join(body)}</body>\n</html>\n"
    )


def drawing(svg: str, prefix: str) -> str | None:
    """Return an SVG document as an element of a page; None where it is none.

    Ids get a prefix, so that drawings of one page do not take each other's; elements that do not
    draw, and attributes that act or point elsewhere, are left out.

    Examples
    --------
    >>> drawing('<svg xmlns="http://www.w3.org/2000/svg"><script>1</script><g id="a"/></svg>', "n-")
    '<svg xmlns="http://www.w3.org/2000/svg"><g id="n-a" /></svg>'
    >>> drawing("<b>no drawing</b>", "n-") is None
    True
    """
    # a document type may define entities that grow without end
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
        # the page has a background of its own
        if child.tag.endswith("}rect") and (child.get("width"), child.get("height")) == (
            width, height,
        ):  # fmt: skip
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
        namespace, _, name = str(child.tag).rpartition("}")
        if namespace != "{" + _SVG or name not in ELEMENTS:
            element.remove(child)
        else:
            _clean(child, prefix)


def _head(report: Mapping[str, Any], conclusion: Mapping[str, Any]) -> str:
    look = LOOKS.get(str(conclusion.get("code")), "not_applicable")
    model = report.get("model") or {}
    facts = []
    if model.get("name"):
        facts.append(f"{model['name']}, version {model.get('version', '')}")
    if report.get("window"):
        facts.append(str(report["window"]))
    if report.get("created") is not None:
        when = datetime.fromtimestamp(float(report["created"]), UTC)
        facts.append(when.strftime("%Y-%m-%d %H:%M UTC"))
    sample = (
        '<p class="word warning">The rows are of the built-in sample: this says nothing of real '
        "rows.</p>"
        if report.get("sample")
        else ""
    )
    code = str(conclusion.get("code", "unknown")).replace("_", " ")
    return (
        f'<header>\n<p class="soft">Monitoring report · {_text(" · ".join(facts))}</p>\n'
        f'<div class="verdict {look}">\n<p class="word">Verdict: {_text(code)}</p>\n'
        f"<h1>{_text(conclusion.get('title', ''))}</h1>\n"
        f"<p>{_text(conclusion.get('text', ''))}</p>\n</div>\n{sample}</header>\n"
    )


def _changed(conclusion: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    told = [row for verdict in ("alert", "warning") for row in rows if row["verdict"] == verdict]
    if not told:
        return "<p>No check is beyond its limits.</p>"
    # what several checks say of one column is said once
    columns = dict.fromkeys(
        row["code"].partition(".")[2] or row["code"] for row in told if row["group"] == "input"
    )
    found = [
        (row["verdict"], row["title"], f"{_numbers(row)} {_text(row['text'])}")
        for row in told
        if row["group"] != "input"
    ]
    for column in columns:
        mine = [
            row
            for row in told
            if row["group"] == "input" and column in (row["code"].partition(".")[2], row["code"])
        ]
        values = ", ".join(f"{_text(row['title'])} {_number(row['value'])}" for row in mine)
        texts = " ".join(dict.fromkeys(_text(row["text"]) for row in mine))
        found.append((mine[0]["verdict"], column, f"{values}. {texts}"))
    items = "".join(
        f"<li>{_word(verdict)} <strong>{_text(name)}</strong>: {said}</li>\n"
        for verdict, name, said in sorted(found, key=lambda one: one[0] != "alert")
    )
    return f"<ul>\n{items}</ul>"


def _evidence(figures: Mapping[str, str], tables: Mapping[str, pd.DataFrame]) -> str:
    parts = []
    for place, (name, svg) in enumerate(figures.items()):
        title = _text(FIGURES.get(name) or _named(name))
        drawn = drawing(svg, f"f{place}-")
        inside = drawn or '<p class="soft">This chart cannot be shown.</p>'
        parts.append(f"<figure>\n<figcaption>{title}</figcaption>\n{inside}\n</figure>\n")
    parts += [_table(_named(name), frame) for name, frame in tables.items()]
    return "".join(parts) or "<p>The checks below are all that was kept.</p>"


def _todo(conclusion: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    told = [str(conclusion.get("todo") or "Nothing to do.")]
    for verdict in ("alert", "warning"):
        told += [row["todo"] for row in rows if row["verdict"] == verdict and row["todo"]]
    first, *rest = dict.fromkeys(told)
    items = "".join(f"<li>{_text(one)}</li>\n" for one in rest)
    return f"<p><strong>{_text(first)}</strong></p>" + (f"\n<ul>\n{items}</ul>" if rest else "")


def _checks(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ("Check", "Verdict", "Value", "95% interval", "Reference", "Limits")
    numbers = {"Value", "95% interval", "Reference"}
    head = "".join(
        f'<th scope="col"{" class=number" if name in numbers else ""}>{name}</th>' for name in heads
    )
    parts = []
    groups = dict.fromkeys([*GROUPS, *(row["group"] for row in rows)])
    for group in groups:
        mine = [row for row in rows if row["group"] == group]
        if not mine:
            continue
        lines = "".join(
            f'<tr><th scope="row">{_text(row["title"])}<span class="code">{_text(row["code"])}'
            f'</span><span class="means">{_text(row["text"])}</span></th>'
            f'<td>{_word(row["verdict"])}</td><td class="number">{_number(row["value"])}</td>'
            f'<td class="number">{_interval(row)}</td>'
            f'<td class="number">{_number(row["reference"])}</td>'
            f"<td>{_limits(row)}</td></tr>\n"
            for row in mine
        )
        parts.append(
            f"<h3>{_text(GROUPS.get(group, group))}</h3>\n"
            f'<div class="wide"><table class="checks">\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{lines}</tbody>\n</table></div>\n"
        )
    return "".join(parts) or "<p>No check was made.</p>"


def _made(report: Mapping[str, Any]) -> str:
    model, rows = report.get("model") or {}, report.get("rows") or {}
    counts = ", ".join(
        f"{int(rows[name]):,} {name}" for name in ("current", "labelled", "reference")
        if rows.get(name) is not None
    )  # fmt: skip
    facts = [
        ("Run of this report", _code(report.get("run_id"))),
        ("Run that scored the rows", _code(report.get("scoring_run"))),
        ("Model", _text(f"{model['name']}, version {model.get('version', '')}" if model else "")),
        ("Run of the model", _code(model.get("run_id"))),
        ("Rows", _text(counts)),
        ("Source of the rows", _text(report.get("source") or "")),
        ("Window", _text(report.get("window") or "")),
        ("False alarms", _text(_promise(report.get("false_alarms") or {}))),
    ]
    items = "".join(f"<dt>{name}</dt><dd>{value}</dd>\n" for name, value in facts if value)
    return (
        f"<dl>\n{items}</dl>\n"
        '<p class="soft">A check is judged by the better end of its interval where it has one, so '
        "that few rows alone raise no alarm. A check that is not applicable says why; it is "
        "neither good nor bad news.</p>"
    )


def _promise(told: Mapping[str, Any]) -> str:
    if not told or told.get("rate") is None:
        return ""
    text = f"{float(told['rate']):.2%} of windows like the reference raise an alert"
    if told.get("low") is not None and told.get("high") is not None:
        text += f" (95% interval {float(told['low']):.2%} to {float(told['high']):.2%}"
        text += f", from {int(told['windows']):,} drawn windows)" if told.get("windows") else ")"
    if told.get("target") is not None:
        text += f"; the limits were set for {float(told['target']):.2%} at most"
    return f"{text}."


def _section(title: str, inside: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n{inside}\n</section>\n"


def _table(title: str, frame: pd.DataFrame) -> str:
    shown = frame.head(MOST_ROWS)
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame]
    classes = [' class="number"' if is_number else "" for is_number in numeric]
    head = "".join(
        f'<th scope="col"{css}>{_text(str(name).replace("_", " "))}</th>'
        for name, css in zip(frame, classes, strict=True)
    )
    lines = "".join(
        "<tr>"
        + "".join(
            f"<td{css}>{_number(value) if is_number else _text(value)}</td>"
            for value, css, is_number in zip(row, classes, numeric, strict=True)
        )
        + "</tr>\n"
        for row in shown.itertuples(index=False, name=None)
    )
    left = len(frame) - len(shown)
    note = f" (the first {MOST_ROWS:,} of {len(frame):,} rows)" if left else ""
    return (
        f'<div class="wide"><table>\n<caption>{_text(title)}{note}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}</tbody>\n</table></div>\n"
    )


def _known(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a check's fields; texts as texts, and None where a number is missing."""
    texts = ("code", "title", "group", "threshold", "verdict", "text", "todo")
    found: dict[str, Any] = {name: _plain(row.get(name)) for name in texts}
    for name in ("value", "reference", "low", "high", "warning_low", "warning_high", "alert_low",
                 "alert_high"):  # fmt: skip
        value = row.get(name)
        found[name] = None if value is None or pd.isna(value) else float(value)
    return found


def _plain(value: object) -> str:
    return value if isinstance(value, str) else ""


def _numbers(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return ""
    between = f" ({_interval(row)})" if row["low"] is not None else ""
    before = (
        f", {_number(row['reference'])} on the reference" if row["reference"] is not None else ""
    )
    return f"{_number(row['value'])}{between}{before}."


def _interval(row: Mapping[str, Any]) -> str:
    if row["low"] is None or row["high"] is None:
        return "–"
    return f"{_number(row['low'])} to {_number(row['high'])}"


def _limits(row: Mapping[str, Any]) -> str:
    if row["threshold"]:
        return _text(row["threshold"])
    said = [
        f"{name} {side} {_number(row[f'{name}_{end}'])}"
        for name in ("warning", "alert")
        for end, side in (("low", "below"), ("high", "above"))
        if row[f"{name}_{end}"] is not None
    ]
    return ", ".join(said) or "–"


def _number(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float) or pd.isna(value):
        return "–"
    number = float(value)
    if number.is_integer() and (abs(number) >= 1 or not number):
        return f"{int(number):,}"
    return f"{number:.2g}" if abs(number) < 5e-5 else f"{number:,.4f}"


def _word(verdict: str) -> str:
    css = verdict if verdict in WORDS else "not_applicable"
    return f'<span class="word {css}">{_text(WORDS.get(verdict, verdict))}</span>'


def _named(name: str) -> str:
    return name if " " in name else name.replace("_", " ").capitalize()


def _code(value: object) -> str:
    return f"<code>{_text(value)}</code>" if value else ""


def _text(value: object) -> str:
    return html.escape("" if value is None else str(value), quote=True)
