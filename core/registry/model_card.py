"""The model card of a registered version: origin, quality, limits, and how to call it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from core.data import split_checks
from core.data.snapshots import SOURCE_LABELS
from core.platform import model_store, steps
from core.platform.messages import Message, Words, _, day, listed, number, span
from core.registry.gate import KINDS
from core.stats.metrics import TITLES, ordered

ABSENT = Message("This was not recorded.")
# metrics of a card that are in no comparison
OTHER_TITLES = {
    "base_rate": Message("Base rate"),
    "calibration_error": Message("Calibration error"),
    "mean_probability": Message("Mean predicted probability"),
    "positive_rate": Message("Share predicted as 1"),
    "brier_reliability": Message("Brier: reliability"),
    "brier_resolution": Message("Brier: resolution"),
    "brier_uncertainty": Message("Brier: uncertainty"),
    "calibration": Message("Predicted minus observed"),
    "calibration_floor": Message("Calibration error by chance, 95% limit"),
}
SPLIT = {
    "split": Message("Split"),
    "test_share": Message("Test share"),
    "test_from": Message("Test set from"),
    "seed": Message("Seed"),
}


@dataclass(frozen=True)
class Facts:
    """The facts about a version; an unknown field is empty, and the card says so.

    Parameters
    ----------
    created : float
        Seconds since 1970.
    aliases : sequence of str
        champion, challenger, previous.
    question, positive, negative : str or Message
        What is predicted, and the names of classes 1 and 0.
    run_id, train_run, prepare_run : str
        The runs with its metrics, its training and its prepared data.
    commit : str
        Of the training code.
    is_sample : bool
        Whether it was trained on the built-in sample.
    source, digest : str
        The source of the raw rows, and their SHA-256.
    sha256 : str
        Of the classifier's file.
    inputs : mapping of str to {"number", "text"}
        Raw columns of a request.
    formulas : mapping of str to str
        Formulas of engineered features.
    late : sequence of str
        Features that are known only after the predicted event.
    is_complete : bool
        Whether it refuses rows with a missing value.
    rows_name : str or Message
        Name of the training rows, e.g. `2-point shots`.
    rows_train, rows_test, rows_served : int or None
        Rows of the evaluated fit, of the test set, and of the served fit.
    split : mapping of str to str
        How training and test set were split.
    metrics : sequence of (name, value, low, high)
        On the test set; low and high are None without an interval.
    metric : str
        Name of the one that is listed first.
    slices : sequence of Message
        Flagged slices, in words.
    threshold, metrics_threshold : float or None
        Lowest probability labelled 1, and the threshold behind the metrics.
    aim : Message
        How the threshold was chosen, in sentences.
    copied_from : str
        The version that it copies with another threshold.
    allowed : sequence of str
        Features that are used despite a finding that they may reveal the label.
    weights : str
        Column of sampling weights.
    decisions : sequence of Message
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
    question: Words = ""
    positive: Words = "1"
    negative: Words = "0"
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
    allowed: Sequence[str] = ()
    is_complete: bool = True
    weights: str = ""
    rows_name: Words = ""
    rows_train: int | None = None
    rows_test: int | None = None
    rows_served: int | None = None
    split: Mapping[str, str] = field(default_factory=dict)
    metrics: Sequence[tuple[str, float, float | None, float | None]] = ()
    metric: str = "log_loss"
    slices: Sequence[Words] | None = None
    threshold: float | None = None
    metrics_threshold: float | None = None
    aim: Words = ""
    copied_from: str = ""
    decisions: Sequence[Words] = ()
    example: Mapping[str, Any] = field(default_factory=dict)
    url: str = "http://127.0.0.1:5001"


def card(facts: Mapping[str, Any]) -> str:
    """Return the card as Markdown, in the current language.

    After Mitchell et al., Model Cards for Model Reporting (2019).
    Texts from people or data are escaped: none becomes a picture, a link, a heading or HTML.

    Parameters
    ----------
    facts : mapping
        A value per field of `Facts`; all but the first three are optional.

    Examples
    --------
    >>> card({"model": "m", "version": "3", "created": 0.0}).splitlines()[:3]
    ['# m, version 3', '', '| Fact | Value |']
    """
    known = Facts(**facts)
    parts = [
        _head(known),
        (_("Purpose"), _use(known)),
        (_("Data"), _data(known)),
        (_("Features"), _features(known)),
        (_("Performance"), _figures(known)),
        (_("Slices"), _slices(known)),
        (_("Threshold"), _threshold(known)),
        (_("Limits"), _limits(known)),
        (_("Decisions"), _list([_plain(decision) for decision in known.decisions]) or _("None.")),
        (_("Call"), _call(known)),
    ]
    return "\n\n".join(
        part if isinstance(part, str) else f"## {part[0]}\n\n{part[1]}" for part in parts
    )


def _head(known: Facts) -> str:
    when = day(datetime.fromtimestamp(known.created, UTC))
    aliases = [model_store.ALIAS_LABELS.get(alias, alias) for alias in known.aliases]
    lines = ["# " + _("{name}, version {version}", name=known.model, version=known.version)]
    if known.is_sample:
        lines.append(f"**{_('Built-in sample: this says nothing about real rows.')}**")
    lines.append(
        _table(
            (_("Fact"), _("Value")),
            [
                (_("Registered"), f"{when} UTC"),
                (_("Alias"), listed(aliases) or "–"),
                (_("Classifier"), _plain(known.candidate) or str(ABSENT)),
                (_("Run"), _code(known.run_id)),
                (_run_of("train"), _code(known.train_run)),
                (_("Code"), _code(known.commit)),
                ("SHA-256 (skops)", _code(known.sha256)),
            ],
        )
    )
    return "\n\n".join(lines)


def _run_of(step: str) -> str:
    return _("{name}: {value}", name=_("Run"), value=steps.named(step).title)


def _use(known: Facts) -> str:
    about = _(
        "It gives a probability: 1 is {positive}, 0 is {negative}. Never let it be the only reason "
        "for a decision about a person.",
        positive=_plain(known.positive),
        negative=_plain(known.negative),
    )
    question = _plain(known.question)
    return f"**{question}**\n\n{about}" if question else about


def _data(known: Facts) -> str:
    rows = [
        (_("Source"), _plain(str(SOURCE_LABELS.get(known.source, known.source))) or str(ABSENT)),
        ("SHA-256", _code(known.digest)),
        (_run_of("prepare"), _code(known.prepare_run)),
        (_("Rows"), _plain(known.rows_name) or str(ABSENT)),
        (_("Training set"), _count(known.rows_train)),
        (_("Test set"), _count(known.rows_test)),
        *(
            (_plain(SPLIT.get(name, name)), _plain(split_checks.SPLITS.get(value, value)))
            for name, value in known.split.items()
        ),
        (_("Missing values are imputed"), _("no") if known.is_complete else _("yes")),
        *([(_("Sampling weight"), _code(known.weights))] if known.weights else []),
    ]
    text = _table((_("Fact"), _("Value")), rows)
    if known.rows_served is not None:
        text += "\n\n" + _(
            "Refitted for serving on all {rows:,} labelled rows; the metrics are of the "
            "fit on the training rows.",
            rows=known.rows_served,
        )
    return text


def _features(known: Facts) -> str:
    if not known.features:
        return str(ABSENT)
    rows = [
        (
            _code(name),
            _code(known.formulas[name]) if name in known.formulas else "–",
            _("yes") if name in known.late else _("no"),
        )
        for name in known.features
    ]
    text = _table((_("Feature"), _("Computed as"), _("Known only after the event")), rows)
    if known.allowed:
        text += "\n\n" + _(
            "Used by choice, although checks found that they may reveal the label: {features}.",
            features=[_code(name) for name in known.allowed],
        )
    return text


def _figures(known: Facts) -> str:
    if not known.metrics:
        return str(ABSENT)
    order = {name: place for place, name in enumerate(ordered(TITLES, known.metric))}
    # of what chance does to the calibration error, its limit says enough
    shown = [metric for metric in known.metrics if metric[0] != "calibration_floor_mean"]
    ranked = sorted(shown, key=lambda metric: (order.get(metric[0], len(order)), metric[0]))
    titles: dict[str, Words] = {**TITLES, **OTHER_TITLES}
    rows = [
        (
            str(titles.get(name, name.replace("_", " ").capitalize())),
            number(value, ".4f"),
            "–" if low is None or high is None else span(low, high),
        )
        for name, value, low, high in ranked
    ]
    text = _table((_("{metric}, test", metric=_("Metric")), _("Value"), _("95% interval")), rows)
    if known.copied_from:
        text += "\n\n" + _(
            "It is the classifier of version {copied_from} with another threshold: metrics at a "
            "threshold are for {metrics_threshold}, not for {threshold}.",
            copied_from=known.copied_from,
            metrics_threshold=_number(known.metrics_threshold),
            threshold=_number(known.threshold),
        )
    return text


def _slices(known: Facts) -> str:
    if known.slices is None:
        return str(ABSENT)
    return _list([_plain(flagged) for flagged in known.slices]) or _("None.")


def _threshold(known: Facts) -> str:
    if known.copied_from:
        aim = _("A person chose it when the version was promoted.")
    else:
        aim = _plain(known.aim) or str(ABSENT)
    labelled = _(
        "A row with a probability of at least {threshold} is labelled {positive}.",
        threshold=_number(known.threshold),
        positive=_plain(known.positive),
    )
    return f"{labelled} {aim}"


def split_limit(split: str) -> Words:
    """Return what the metrics on a test set do not cover, by how it was split; empty if unknown.

    Examples
    --------
    >>> str(split_limit("random"))
    'The rows were split at random: the test metrics say nothing about later rows.'
    """
    if split not in split_checks.SPLITS:
        return ""
    return Message(
        "The rows were split {split}: the test metrics say nothing about later rows.",
        split=split_checks.SPLITS[split],
    )


def _limits(known: Facts) -> str:
    limits = []
    if known.rows_name:
        limits.append(
            _(
                "It was trained on {rows_name} only. On other rows its probabilities are a guess.",
                rows_name=_plain(known.rows_name),
            )
        )
    if limit := split_limit(known.split.get("split", "")):
        limits.append(str(limit))
    if known.late:
        limits.append(
            _(
                "It needs {late}, recorded only after the event: it cannot predict in advance.",
                late=list(known.late),
            )
        )
    limits.append(_("It knows nothing that changed after its training: monitor it."))
    return _list(limits)


def _call(known: Facts) -> str:
    if not known.inputs:
        return str(ABSENT)
    inputs = _table(
        (_("Input"), _("Type")),
        [(_code(name), str(KINDS.get(kind, kind))) for name, kind in known.inputs.items()],
    )
    if not known.example:
        return inputs
    row = {"columns": list(known.inputs), "data": [[known.example.get(n) for n in known.inputs]]}
    # a quote would end the shell argument
    body = json.dumps({"dataframe_split": row}, ensure_ascii=False).replace("'", "'\\''")
    answer = '{"predictions": [{"probability": ..., "label": ...}, ...]}'
    parts = [
        inputs,
        f"```bash\ncurl -s {known.url}/invocations \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'\n```",
        f"`{answer}`",
    ]
    return "\n\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def _plain(words: Words) -> str:
    """Return a text on one line with all Markdown syntax escaped."""
    text = re.sub(r"([\\`*\[\]$~<>@])", r"\\\1", " ".join(str(words).split()))
    # otherwise an address becomes a link
    return text.replace("://", "\\://").replace("www.", "www\\.")


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _code(text: str) -> str:
    return f"`{text}`" if text else str(ABSENT)


def _count(rows: int | None) -> str:
    return str(ABSENT) if rows is None else number(rows)


def _number(value: float | None) -> str:
    return str(ABSENT) if value is None else number(value, "g")
