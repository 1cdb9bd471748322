"""The confirmation of a table: each line a guess with its reason and alternatives."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import streamlit as st

from core.data.guess import Guesses
from core.data.guess_columns import Profile
from core.data.guess_roles import Cut, Guess
from core.data.guess_target import classes
from core.platform.messages import NOTHING, Message, Words, _, day, number
from core.stats import metrics, thresholds
from pages.projects import table_source
from pages.projects.draft import Draft, confirmed
from pages.projects.table_source import Table
from pages.shared import elements, language

VALUE, FILE = "value", "file"
# number of values of a column that can select rows
MOST_VALUES = 50
# role -> its label, and the kinds of column allowed besides the proposed ones
ROLES: dict[str, tuple[Message, tuple[str, ...]]] = {
    "id": (Message("Id"), ("identifier",)),
    "time": (Message("Time"), ("date", "timestamp", "integer")),
    "group": (Message("Group"), ("identifier", "text", "category", "integer")),
    "weights": (Message("Sampling weight"), ("number", "integer")),
}


def draw(base: Guesses, draft: Draft) -> Guesses:
    """Draw the lines of target and roles, and return the guesses after the choices."""
    guesses = confirmed(base, draft)
    if not guesses.target.value:
        st.warning(str(guesses.target.reason), icon=":material/help:")
    with st.container(horizontal=True):
        _target(guesses, draft)
        if guesses.target.value:
            _line(_("Positive class"), "positive", guesses.positive, draft)
    return guesses


def roles(guesses: Guesses, draft: Draft) -> None:
    """Draw the lines of id, time, group, weights, and of a place if names suggest one."""
    with st.container(horizontal=True):
        for role, (label, kinds) in ROLES.items():
            more = [
                column.name
                for column in guesses.columns
                if column.kind in kinds and column.name != guesses.target.value
            ]
            line = getattr(guesses, role)
            _line(str(label), role, line, draft, more=["", *more], nothing=_("none"))
        if guesses.place.value or guesses.place.alternatives:
            _line(
                _("Place"),
                "place",
                guesses.place,
                draft,
                named=lambda axes: ", ".join(axes) or _("none"),
            )


def threshold(guesses: Guesses, draft: Draft) -> None:
    """Draw how the threshold is chosen, and which metric comes first."""
    _line(
        _("Threshold"),
        "threshold_by",
        guesses.threshold_by,
        draft,
        named=lambda code: str(thresholds.AIM_LABELS.get(code, number(0.5, ".1f"))),
    )
    if guesses.threshold_by.value == "cost":
        with st.container(horizontal=True):
            for name, label in (
                ("cost_false_positive", _("Cost of a false positive")),
                ("cost_false_negative", _("Cost of a false negative")),
            ):
                key = f"new-{name}"
                st.session_state[key] = draft.texts.get(name, 1.0)
                st.number_input(
                    label, 0.0, key=key, width=215, on_change=_typed, args=(draft, name)
                )


def rare_class(guesses: Guesses, draft: Draft) -> None:
    """Draw the options for a rare class: the metric shown first, and class weights."""
    with st.container(horizontal=True):
        _line(
            _("Metric"),
            "metric",
            guesses.metric,
            draft,
            named=lambda code: str(metrics.TITLES[code]),
        )
        key = "new-balanced"
        st.session_state[key] = guesses.balanced.value
        with st.container(width=elements.HALF_WIDTH, gap="xsmall"):
            st.checkbox(
                _("Balance the class weights"),
                key=key,
                on_change=lambda: draft.choose("balanced", st.session_state[key]),
            )
            _reason(guesses.balanced.reason)


def current_rows(
    guesses: Guesses, draft: Draft, settings: Any, table: Table
) -> tuple[Guesses, Table | None]:
    """Draw which rows are current; return the guesses, and the second file if there is one."""
    cut = guesses.current.value
    cuts: dict[str, Cut] = {}
    for each in (cut, *guesses.current.alternatives):
        if each.by != "file":
            cuts.setdefault(_code(each), each)
    options = [*cuts, VALUE, FILE]
    now = draft.way or _code(cut)
    key = "new-rows"
    st.session_state[key] = now if now in options else _code(cut)

    def chosen() -> None:
        code = st.session_state[key]
        draft.way = code if code in (VALUE, FILE) else ""
        draft.choices.pop("rows", None)
        if code in cuts:
            draft.choose("rows", cuts[code])

    def named(code: str) -> str:
        if code == VALUE:
            return _("Rows with a value of a column")
        return _("File of the current rows") if code == FILE else cut_words(cuts[code])

    st.selectbox(_("Current rows"), options, format_func=named, key=key, on_change=chosen)
    second = None
    if draft.way == VALUE:
        guesses = _by_value(guesses, draft)
    elif draft.way == FILE:
        guesses, second = _by_file(guesses, draft, settings, table)
    else:
        if cut.by == "date" and cut.start:
            _start(guesses, draft, cut)
        _reason(guesses.current.reason)
    return guesses, second


def cut_words(cut: Cut) -> str:
    """Return which rows are current, in words."""
    if cut.by == "value":
        words = Message("rows with {column} = {value}", column=cut.column, value=cut.production)
    elif cut.by == "date":
        words = Message("rows from {start}", start=day(str(cut.start)))
    elif cut.by == "labels":
        words = Message("rows without a label")
    elif cut.by == "random":
        words = Message("randomly sampled rows ({share:.0%})", share=cut.share or 0.0)
    else:
        words = Message("current: rows sent to the endpoint")
    return elements.capital(words)


def _target(guesses: Guesses, draft: Draft) -> None:
    able = [column.name for column in guesses.columns if 2 <= len(classes(column)) <= MOST_VALUES]
    line = guesses.target if guesses.target.value else replace(guesses.target, reason=NOTHING)
    _line(_("Target"), "target", line, draft, more=able)


def _line(
    label: str,
    name: str,
    line: Guess,
    draft: Draft,
    *,
    more: Sequence[Any] = (),
    named: Callable[[Any], str] = str,
    nothing: str = "",
) -> None:
    """Draw a guess: its value, the alternatives, and a short reason."""
    options = list(dict.fromkeys([line.value, *line.alternatives, *more]))
    key = f"new-{name}"
    # the choices are the truth: a guess that follows from another choice changes the widget
    st.session_state[key] = line.value

    def chosen() -> None:
        draft.choose(name, st.session_state[key])

    with st.container(width=elements.HALF_WIDTH, gap="xsmall", key=f"guess-{name}"):
        st.selectbox(
            label,
            options,
            key=key,
            format_func=lambda value: named(value) if value != "" else nothing or "–",
            on_change=chosen,
        )
        _reason(line.reason)


def _reason(reason: Words) -> None:
    st.caption(elements.plain(str(reason)))


def _typed(draft: Draft, name: str) -> None:
    draft.texts[name] = st.session_state[f"new-{name}"]


def _code(cut: Cut) -> str:
    # a day that was moved is still the same way
    keys = {name: value for name, value in cut.keys.items() if name not in ("start", "seed")}
    return json.dumps(keys, sort_keys=True, default=str)


def _start(guesses: Guesses, draft: Draft, cut: Cut) -> None:
    column = next(each for each in guesses.columns if each.name == cut.column)
    key = "new-start"
    st.session_state[key] = date.fromisoformat(str(cut.start)[:10])

    def moved() -> None:
        start = st.session_state[key]
        if start is not None:
            draft.choose("rows", Cut("date", column=cut.column, start=start.isoformat()))

    bounds = [
        date.fromisoformat(bound[:10]) if isinstance(bound, str) else None
        for bound in (column.low, column.high)
    ]
    st.date_input(
        _("From"),
        min_value=bounds[0],
        max_value=bounds[1],
        key=key,
        format=language.day_format(),
        width=200,
        on_change=moved,
    )


def _by_value(guesses: Guesses, draft: Draft) -> Guesses:
    able: dict[str, Profile] = {
        column.name: column
        for column in guesses.columns
        if column.name != guesses.target.value
        and 2 <= column.distinct <= min(MOST_VALUES, len(column.values))
    }
    if not able:
        st.caption(elements.named(_("Column"), _("none")))
        return guesses
    with st.container(horizontal=True):
        column = _kept(_("Column"), "cut-column", list(able), draft)
        value = _kept(_("Value"), "cut-value", [text for text, _n in able[column].values], draft)
    return guesses.with_(rows=guesses.by_value(column, value))


def _kept(label: str, name: str, options: list[str], draft: Draft) -> str:
    key = f"new-{name}"
    chosen = draft.texts.get(name)
    st.session_state[key] = chosen if chosen in options else options[0]
    return str(
        st.selectbox(label, options, key=key, width=215, on_change=_typed, args=(draft, name))
    )


def _by_file(
    guesses: Guesses, draft: Draft, settings: Any, table: Table
) -> tuple[Guesses, Table | None]:
    second = None
    with elements.show_errors():
        chosen = table_source.ask_second(settings, table)
        if chosen is not None:
            table_source.require_fit(guesses, chosen)
            second = chosen
    if second is None:
        return guesses, None
    return guesses.with_(rows=Cut("file", file=second.name)), second
