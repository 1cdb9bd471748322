"""The model card of a registered version: origin, quality, limits, and how to call it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from core.stats.metrics import TITLES

ABSENT = "not recorded"
# metrics of a card that are in no comparison
OTHER_TITLES = {
    "brier_reliability": "Brier: reliability",
    "brier_resolution": "Brier: resolution",
    "brier_uncertainty": "Brier: uncertainty",
    "calibration": "Mean forecast minus observed",
    "calibration_floor": "Calibration error that chance stays below in 95% of cases",
    "calibration_floor_mean": "Calibration error by chance alone, mean",
}


@dataclass(frozen=True)
class Facts:
    """The facts about a version; an unknown field is empty, and the card says so.

    Parameters
    ----------
    model, version : str
        Registered name and number.
    created : float
        Seconds since 1970.
    aliases : sequence of str
        champion, challenger, previous.
    question, positive, negative : str
        What is predicted, and the names of classes 1 and 0.
    candidate : str
        Kind of classifier.
    run_id, train_run, prepare_run : str
        The runs that hold the metrics, trained it and prepared its data.
    commit : str
        Of the training code.
    is_sample : bool
        Whether it was trained on the built-in sample.
    source, digest : str
        The source of the raw rows, and their SHA-256.
    sha256 : str
        Of the classifier's file.
    features : sequence of str
        Inputs of the classifier.
    inputs : mapping of str to {"number", "text"}
        Raw columns of a request.
    formulas : mapping of str to str
        Formulas of engineered features.
    late : sequence of str
        Features that are known only after the predicted event.
    is_complete : bool
        Whether it refuses rows with a missing value.
    rows_name : str
        Name of the training rows, e.g. `2-point shots`.
    rows_train, rows_test, rows_served : int or None
        Rows of the evaluated fit, of the test set, and of the served fit.
    split : mapping of str to str
        How training and test set were split.
    metrics : sequence of (name, value, low, high)
        On the test set; low and high are None without an interval.
    slices : sequence of str
        Flagged slices, in words.
    threshold, metrics_threshold : float or None
        Lowest probability labelled 1, and the threshold behind the metrics.
    aim : str
        How the threshold was chosen, in sentences.
    copied_from : str
        The version that it copies with another threshold.
    decisions : sequence of str
        Decisions of the gate, or of a person, about it.
    example : mapping of str to value
        The inputs of one row.
    url : str
        Address of the endpoint.
    """

    model: str
    version: str
    created: float
    aliases: Sequence[str] = ()
    question: str = ""
    positive: str = "1"
    negative: str = "0"
    candidate: str = ""
    run_id: str = ""
    train_run: str = ""
    prepare_run: str = ""
    commit: str = ""
    is_sample: bool = False
    source: str = ""
    digest: str = ""
    sha256: str = ""
    features: Sequence[str] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    formulas: Mapping[str, str] = field(default_factory=dict)
    late: Sequence[str] = ()
    is_complete: bool = True
    rows_name: str = ""
    rows_train: int | None = None
    rows_test: int | None = None
    rows_served: int | None = None
    split: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[tuple[str, float, float | None, float | None]] = ()
    slices: Sequence[str] | None = None
    threshold: float | None = None
    metrics_threshold: float | None = None
    aim: str = ""
    copied_from: str = ""
    decisions: Sequence[str] = ()
    example: Mapping[str, Any] = field(default_factory=dict)
    url: str = "http://127.0.0.1:5001"


def card(facts: Mapping[str, Any]) -> str:
    """Return the card as Markdown, after Mitchell et al., Model Cards for Model Reporting (2019).

    Texts from people or data are escaped: none becomes a picture, a link, a heading or HTML.

    Parameters
    ----------
    facts : mapping
        A value per field of `Facts`; all but the first three are optional.

    Examples
    --------
    >>> card({"model": "m", "version": "3", "created": 0.0}).splitlines()[:3]
    ['# m, version 3', '', 'Registered 1970-01-01 00:00 UTC.']
    """
    known = Facts(**facts)
    parts = [
        _head(known),
        ("What it is for", _use(known)),
        ("Data", _data(known)),
        ("Features", _features(known)),
        ("How good it is", _figures(known)),
        ("Where it is weak", _slices(known)),
        ("Threshold", _threshold(known)),
        ("Limits", _limits(known)),
        ("Decisions", _list([_plain(decision) for decision in known.decisions]) or "None yet."),
        ("How to call it", _call(known)),
    ]
    return "\n\n".join(
        part if isinstance(part, str) else f"## {part[0]}\n\n{part[1]}" for part in parts
    )


def _head(known: Facts) -> str:
    when = datetime.fromtimestamp(known.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
    aliases = f", now {' and '.join(known.aliases)}" if known.aliases else ""
    lines = [f"# {known.model}, version {known.version}", f"Registered {when}{aliases}."]
    if known.is_sample:
        lines.append(
            "**It learned from the built-in sample: its figures say nothing of real rows.**"
        )
    lines.append(
        _table(
            ("Fact", "Value"),
            [
                ("Classifier", _plain(known.candidate) or ABSENT),
                ("Run of the figures", _code(known.run_id)),
                ("Run of the training", _code(known.train_run)),
                ("Code", _code(known.commit)),
                ("SHA-256 of its file", _code(known.sha256)),
                (
                    "Format of its file",
                    "skops: it names the types it is made of and runs no code when it is read, as "
                    "a pickle would",
                ),
            ],
        )
    )
    return "\n\n".join(lines)


def _use(known: Facts) -> str:
    asked = f" of **{_plain(known.question)}**" if known.question else ""
    rows = f" for {_plain(known.rows_name)}" if known.rows_name else ""
    return (
        f"It answers with the probability{asked}{rows}: 1 is {_plain(known.positive)}, 0 is "
        f"{_plain(known.negative)}. It is meant for forecasts of many rows of that kind, and for "
        "people who read the probability beside the label. It is not meant for rows of another "
        "kind, nor as the only reason for a decision about a person."
    )


def _data(known: Facts) -> str:
    rows = [
        ("Source", _plain(known.source) or ABSENT),
        ("SHA-256 of the raw data", _code(known.digest)),
        ("Run of the preparation", _code(known.prepare_run)),
        ("Rows", _plain(known.rows_name) or ABSENT),
        ("Rows to train on", _count(known.rows_train)),
        ("Rows to test on", _count(known.rows_test)),
        *((f"Split: {name}", _plain(value)) for name, value in known.split.items()),
        ("Missing values", "refused" if known.is_complete else "imputed"),
    ]
    text = _table(("Fact", "Value"), rows)
    if known.rows_served is not None:
        text += (
            f"\n\nThe served classifier was fitted again on all {known.rows_served:,} labelled "
            "rows, with the same settings. The figures below are of the one that was fitted on the "
            f"{_count(known.rows_train)} rows to train on: no row is left to measure the served "
            "one with."
        )
    return text


def _features(known: Facts) -> str:
    if not known.features:
        return f"{ABSENT[0].upper()}{ABSENT[1:]}."
    rows = [
        (
            _code(name),
            _code(known.formulas[name]) if name in known.formulas else "as it is sent",
            "after" if name in known.late else "before",
        )
        for name in known.features
    ]
    return _table(("Feature", "Computed as", "Known before or after"), rows)


def _figures(known: Facts) -> str:
    if not known.metrics:
        return f"{ABSENT[0].upper()}{ABSENT[1:]}."
    order = {name: place for place, name in enumerate(TITLES)}
    ranked = sorted(known.metrics, key=lambda metric: (order.get(metric[0], len(order)), metric[0]))
    rows = [
        (
            {**TITLES, **OTHER_TITLES}.get(name, name.replace("_", " ").capitalize()),
            f"{value:.4f}",
            "–" if low is None or high is None else f"{low:.4f} to {high:.4f}",
        )
        for name, value, low, high in ranked
    ]
    text = _table(("Figure on the test set", "Value", "95% interval"), rows)
    if known.copied_from:
        text += (
            f"\n\nIt is the classifier of version {known.copied_from} with another threshold. "
            "Figures that need a threshold (F1, precision, recall, accuracy) were computed with "
            f"{_number(known.metrics_threshold)}, not with {_number(known.threshold)}."
        )
    return text


def _slices(known: Facts) -> str:
    if known.slices is None:
        return f"Errors by slice: {ABSENT}."
    return _list([_plain(flagged) for flagged in known.slices]) or "No slice is flagged."


def _threshold(known: Facts) -> str:
    aim = " How it was chosen is not recorded."
    if known.copied_from:
        aim = " A person chose it when the version was promoted."
    elif known.aim:
        aim = f" How it was chosen, without a look at the test set: {_plain(known.aim)}"
    return (
        f"From a probability of {_number(known.threshold)} on, a row is labelled "
        f"{_plain(known.positive)}.{aim}"
    )


def _limits(known: Facts) -> str:
    limits = []
    if known.rows_name:
        limits.append(
            f"It has seen {_plain(known.rows_name)} only. On other rows its probabilities are a "
            "guess."
        )
    if known.split.get("split") == "random":
        limits.append(
            "Train and test set were cut at random: the figures say how it does on rows of the "
            "same time, not on those to come."
        )
    if known.late:
        limits.append(
            f"It needs {', '.join(known.late)}, noted only after what is predicted: it cannot "
            "forecast."
        )
    if known.is_complete:
        limits.append("A row with a missing value gets no answer.")
    if known.is_sample:
        limits.append("It learned from the built-in sample. Train on real rows before you use it.")
    limits.append("What changes after the training it does not know. Watch it by the monitoring.")
    return _list(limits)


def _call(known: Facts) -> str:
    if not known.inputs:
        return f"Its inputs are {ABSENT}."
    inputs = _table(("Input", "Type"), [(_code(name), kind) for name, kind in known.inputs.items()])
    if not known.example:
        return inputs
    row = {"columns": list(known.inputs), "data": [[known.example.get(n) for n in known.inputs]]}
    # a quote would end the shell argument
    body = json.dumps({"dataframe_split": row}).replace("'", "'\\''")
    answer = '{"predictions": [{"probability": ..., "label": ...}]}'
    parts = [
        inputs,
        "Once it is served:",
        f"```bash\ncurl -s {known.url}/invocations \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'\n```",
        f"The answer is `{answer}`, an entry per row.",
    ]
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def _plain(text: str) -> str:
    """Return a text on one line with all Markdown syntax escaped."""
    text = re.sub(r"([\\`*\[\]$~<>@])", r"\\\1", " ".join(text.split()))
    # otherwise an address becomes a link
    return text.replace("://", "\\://").replace("www.", "www\\.")


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _code(text: str) -> str:
    return f"`{text}`" if text else ABSENT


def _count(rows: int | None) -> str:
    return ABSENT if rows is None else f"{rows:,}"


def _number(value: float | None) -> str:
    return ABSENT if value is None else f"{value:g}"
