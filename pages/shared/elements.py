"""Elements that pages share."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st
from altair.utils import schemapi
from streamlit.delta_generator import DeltaGenerator

from core.data import snapshots
from core.platform import messages, project, storage, store_faults, tracking
from core.platform.config import Settings
from core.platform.errors import CourtsideError
from core.platform.messages import Message, Words, _, n_, number, span
from core.platform.own_columns import LABEL, PREDICTED, PROBABILITY
from core.platform.project import ProjectSpec
from core.serving import server
from core.stats.check import VERDICT_LABELS

# the tests validate each chart; a page does not, neither its parts nor the whole
schemapi.disable_debug_mode()
HALF_WIDTH = 470
# four side by side at 1440 px, two at 800
FIGURE_WIDTH = 222
INNER_FIGURE_WIDTH = 208
# key of a page's menu
MENU = "page-menu"
# usual columns of a table of checks
COMPARED = (Message("Current"), Message("Reference"))
SAMPLE = Message("built-in sample, not real data")
COLOURS = {
    "ok": "green",
    "warning": "orange",
    "alert": "red",
    "not_applicable": "gray",
    "error": "red",
}


def badge(label: Words, colour: str) -> str:
    """Return a label as a badge, in Markdown."""
    return f":{colour}-badge[{label}]"


def verdict_badge(code: str) -> str:
    """Return the verdict of a check, or how bad a finding is, as a badge."""
    label = _("error") if code == "error" else str(VERDICT_LABELS[code])
    return badge(label, COLOURS[code])


def capital(label: Words) -> str:
    """Return a label with a capital letter, for the start of a line."""
    text = str(label)
    return text[:1].upper() + text[1:]


def with_remark(label: Words, remark: Words) -> str:
    """Return a label with another in brackets, where it does not begin with a capital letter.

    Examples
    --------
    >>> with_remark("Atual", "Intervalo de 95%")
    'Atual (intervalo de 95%)'
    """
    text = str(remark)
    return f"{label} ({text[:1].lower()}{text[1:]})"


def counted(title: Words, count: int) -> str:
    """Return the title of a section with the number of things in it."""
    return f"{title} ({number(count)})"


def named(name: Words, value: Words | int) -> str:
    """Return a value with its name."""
    return _("{name}: {value}", name=name, value=value)


def without_skill(base: float, digits: str = ".4f") -> str:
    """Return the metric of a model without skill."""
    return named(_("no skill"), number(base, digits))


def question(text: str) -> None:
    """Draw the question that a chart or a table answers."""
    st.markdown(f"**{text}**")


def words(value: object) -> str:
    """Return a fact in words: a message, or one that was stored as a text; empty for none."""
    if value is None or value != value:
        return ""
    return str(messages.loads(value) if isinstance(value, str) else value)


def plain(text: str) -> str:
    """Return a text from a file with all Markdown escaped.

    A cell of a source can contain Markdown: an image in it would be loaded from anywhere.
    """
    text = re.sub(r"([\\`*\[\]$~<@])", r"\\\1", text)
    # otherwise an address becomes a link
    return text.replace("://", "\\://").replace("www.", "www\\.")


def fact(value: object) -> str:
    """Return a fact in words, as `words` does, with all Markdown escaped."""
    return plain(words(value))


def when(moment: float) -> datetime:
    """Return a moment to the second."""
    return datetime.fromtimestamp(moment).replace(microsecond=0)


@contextmanager
def show_errors() -> Iterator[None]:
    """Show an error in the body as a sentence, and continue with the page."""
    try:
        yield
    except CourtsideError as error:
        st.error(plain(str(error)), icon=":material/error:")
    except OSError as error:
        if (known := store_faults.of_disk(error)) is None:
            raise
        st.error(plain(str(known)), icon=":material/error:")


def header(
    title: Words,
    about: Words = "",
    *,
    is_sample: bool = False,
    menu: Callable[[], object] | None = None,
) -> None:
    """Draw a page's title, its purpose in a line, and its menu.

    Parameters
    ----------
    is_sample : bool
        Whether the page's figures are of the built-in sample.
    menu : function, optional
        Draws what is seldom needed, in a popover at the right: the code, downloads, runs.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.title(str(title), width="content", anchor=False)
            if is_sample:
                sample_badge()
        if menu is not None:
            # its state is kept, so that what opens a drawer can close it
            with st.popover(
                _("More"),
                icon=":material/more_vert:",
                type="tertiary",
                width="content",
                key=MENU,
                on_change=_nothing,
            ):
                menu()
    if about:
        st.caption(str(about))


def close_menu() -> None:
    """Close the page's menu, which would stay open above a drawer; call it in a callback."""
    if MENU in st.session_state:
        st.session_state[MENU] = False


def _nothing() -> None:
    """Let Streamlit keep the state of the menu."""


def sample_badge() -> None:
    """Mark the element at its left as sample data."""
    st.badge(str(SAMPLE), icon=":material/science:", color="orange")


def sample_mark(is_sample: bool) -> str:
    """Return the same mark, short, as the end of a line of text; empty for real data."""
    return f" :orange[:material/science: {_('sample')}]" if is_sample else ""


def mark_sample(settings: Settings, run: tracking.RunInfo) -> None:
    """Mark the element at its left if only its run, and not the page, is of the sample."""
    if run.is_sample and not current_is_sample(settings):
        sample_badge()


def data_word(is_sample: bool) -> str:
    """Return the data source of rows, in words for a table cell."""
    return _("sample") if is_sample else _("real")


def current_is_sample(settings: Settings) -> bool:
    """Return whether the current raw data, or the current sets, are of the sample."""
    data_sets: list[snapshots.Snapshot | storage.Prepared | None] = []
    with suppress(CourtsideError):  # the page reports it where it needs them
        data_sets = [snapshots.current(settings), storage.current_prepared(settings)]
    return any(data_set is not None and data_set.is_sample for data_set in data_sets)


def figures(rows: Sequence[tuple[Words, Words, Words]], *, width: int = FIGURE_WIDTH) -> None:
    """Draw metrics in an even grid: a label, a value with its unit, and a comparison.

    Parameters
    ----------
    width : int
        Of each, in pixels; within a container with a border use `INNER_FIGURE_WIDTH`.
    """
    with st.container(horizontal=True, gap="small"):
        for label, value, note in rows:
            st.metric(
                str(label),
                str(value),
                delta=str(note) or None,
                delta_color="off",
                delta_arrow="off",
                border=True,
                height="stretch",
                width=width,
            )


def choose(
    label: str,
    options: Mapping[Any, Words],
    key: str,
    *,
    is_bare: bool = False,
    place: Any = st,
    **more: Any,
) -> Any:
    """Draw the choice of one of several codes by their names, and return it.

    Parameters
    ----------
    is_bare : bool
        Whether its label is left to screen readers.
    place : DeltaGenerator, optional
        Where it is drawn.
    **more
        Options of `st.segmented_control`.
    """
    return place.segmented_control(
        label,
        list(options),
        format_func=lambda code: str(options[code]),
        required=True,
        key=key,
        label_visibility="collapsed" if is_bare else "visible",
        **more,
    )


def download(label: str, content: Any, name: str, **more: Any) -> None:
    """Draw a button that downloads a file, which a function may create on the click."""
    st.download_button(
        label, content, file_name=name, icon=":material/download:", on_click="ignore", **more
    )


def fact_table(facts: Sequence[tuple[str, str]]) -> None:
    """Draw facts, each with its name."""
    fixed_table(
        {
            _("What"): [name for name, _fact in facts],
            _("Value"): [plain(fact) for _name, fact in facts],
        }
    )


def known_too_late(features: Sequence[str]) -> str:
    """Return the sentence on features that are recorded after the outcome."""
    return _(
        "Recorded only after the outcome: {features}. A model that uses such features "
        "cannot predict.",
        features=features,
    )


def classes(spec: ProjectSpec) -> tuple[str, str]:
    """Return the names of the positive and of the negative class."""
    return str(project.words(spec.positive)), str(project.words(spec.negative))


def fixed_table(columns: Mapping[str, Any]) -> None:
    """Draw a table of texts, in Markdown, by column."""
    st.table(pd.DataFrame(columns), hide_index=True)


def side_by_side() -> tuple[DeltaGenerator, DeltaGenerator]:
    """Return two columns, or one above the other in a narrow window."""
    row = st.container(horizontal=True)
    return row.container(width=HALF_WIDTH), row.container(width=HALF_WIDTH)


def chart(drawn: Any) -> None:
    """Draw an Altair chart as wide as its column, in the form of the language."""
    st.altair_chart(localized(drawn), width="stretch")


def localized(drawn: Any) -> Any:
    """Return a chart, or its specification, with numbers and days in the form of the language."""
    locale = messages.d3_locale(messages.current())
    if isinstance(drawn, Mapping):
        kept = drawn.get("config", {})
        return {**drawn, "config": {**kept, "locale": locale}}
    # in place, since a copy goes through all layers: a chart is drawn in one language alone
    drawn.config.locale = locale
    return drawn


def table(settings: Settings, run_id: str, name: str) -> pd.DataFrame:
    """Return a table of a run; runs are immutable, so it is cached."""
    return _table(settings, settings.mlflow_uri, run_id, name)


@st.cache_data(show_spinner=False, max_entries=64)
def _table(_settings: Settings, store: str, run_id: str, name: str) -> pd.DataFrame:
    return tracking.table(_settings, run_id, name)


def example_row(settings: Settings, run_id: str) -> dict[str, float | str | None]:
    """Return the inputs of the first test row of a model's run."""
    rows = table(settings, run_id, "test_predictions")
    inputs = rows.drop(columns=[PROBABILITY, PREDICTED, LABEL]).head(1)
    return {
        name: None if pd.isna(value) else value if isinstance(value, str) else float(value)
        for name, value in inputs.iloc[0].items()
    }


def known_texts(settings: Settings, run_id: str) -> dict[str, list[str]]:
    """Return the texts of each text input in the test rows of a model's run."""
    rows = table(settings, run_id, "test_predictions")
    return {
        str(name): sorted(rows[name].dropna().unique())
        for name in rows.columns
        if not pd.api.types.is_numeric_dtype(rows[name])
    }


def without_weights(spec: ProjectSpec) -> None:
    """State that what follows counts each row once, if the project has sampling weights."""
    if spec.weights is not None:
        text = _(
            "Counts each row once, without the sampling weight '{column}'.", column=spec.weights
        )
        st.caption(plain(text))


def length(seconds: float) -> str:
    """Return a duration in words, rounded down to its largest unit."""
    if seconds >= 86400:
        return n_("{count:,} day", "{count:,} days", int(seconds // 86400))
    if seconds >= 3600:
        return n_("{count} hour", "{count} hours", int(seconds // 3600))
    if seconds >= 60:
        return n_("{count} minute", "{count} minutes", int(seconds // 60))
    return _("less than a minute")


def ago(moment: float) -> str:
    """Return the time since then, in words."""
    return _("{length} ago", length=length(max(0.0, time.time() - moment)))


def ready_servers(settings: Settings) -> list[server.Server]:
    """Return the servers that answer: the live endpoint, then the newest first."""
    ready = [served for served in server.servers(settings) if served.state == "ready"]
    return sorted(ready, key=lambda served: (not served.is_live, -served.started))


def check_table(
    checks: pd.DataFrame, *, columns: tuple[Words, Words] = COMPARED, limits: bool = False
) -> None:
    """Show checks with their verdicts, from `core.stats.checks.as_table`."""

    def value_text(value: float) -> str:
        count = value == value and float(value).is_integer() and value != 1
        return "–" if pd.isna(value) else number(value, ",.0f" if count else ".4f")

    def between(value: float, low: float, high: float) -> str:
        if pd.isna(low):
            return value_text(value)
        return value_text(value) + small(span(low, high))

    def meaning(text: object, limit: object) -> str:
        limit = words(limit) if limits else ""
        note = small(named(_("Limits"), plain(limit))) if limit else ""
        return fact(text) + note

    fixed_table(
        {
            _("Check"): [words(title) for title in checks["title"]],
            _("Verdict"): list(map(verdict_badge, checks["verdict"])),
            str(columns[0]): [
                between(*row) for row in checks[["value", "low", "high"]].itertuples(index=False)
            ],
            str(columns[1]): checks["reference"].map(value_text),
            _("What it means"): list(map(meaning, checks["text"], checks["threshold"])),
        }
    )


def small(text: str) -> str:
    """Return a note for a line of its own in a table cell, small and grey."""
    return f"  \n:small[:gray[{text}]]"


def count_text(values: Mapping[str, float], name: str) -> str:
    """Return a count as text, a dash for none."""
    return number(values[name], ",.0f") if name in values else "–"


def metric_text(values: Mapping[str, float], name: str, digits: int = 4) -> str:
    """Return a metric as text, a dash for none."""
    return number(values[name], f".{digits}f") if name in values else "–"
