"""Registered versions: their labels, their table, and the card of one in a drawer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import pandas as pd
import streamlit as st

from core.platform import model_store
from core.platform.config import Settings
from core.platform.messages import Message, Words, _, p_, span
from core.platform.runs import ModelVersion
from core.registry import model_card, model_facts, registry
from core.stats import metrics
from core.training import candidates as kinds
from pages.shared import aliases, elements, navigation, table_texts

# what moved the champion
MOVES = {
    "first": Message("first champion"),
    "first_real": Message("first model on real data"),
    "promote": Message("promoted"),
    "override": registry.DECISIONS["override"],
    "rollback": registry.DECISIONS["rollback"],
}
Figures = Mapping[str, Mapping[str, float]]
OWN_ROWS = Message(
    "On the version's own test set; to judge two versions on the same rows, use Compare."
)
FORMATS = {"log_loss": ".4f", "roc_auc": ".3f", "average_precision": ".3f", "threshold": ".3f"}
# the version whose card opens in this run of the page
CARD = "registry-card"


def candidate(version: ModelVersion) -> str:
    """Return the display name of a version's candidate."""
    kind = version.about.candidate
    return str(kinds.title(kind)) if kind else _("unknown")


def person(name: Words) -> str:
    """Return who decided, in words."""
    return _("unknown") if name == registry.UNKNOWN else elements.words(name)


def decided_by(name: Words) -> str:
    """Return who decided, with a label, in Markdown."""
    return elements.named(_("Decided by"), elements.plain(person(name)))


def move(decision: str, former: str) -> str:
    """Return what moved the champion, in words.

    Parameters
    ----------
    former : str
        The champion before; empty for none. A first model on real data replaces the sample's.
    """
    code = "first_real" if decision == "first" and former else decision
    return elements.capital(MOVES.get(code, Message("unknown")))


def name(version: ModelVersion) -> str:
    """Return a version's label in a selection."""
    held = f" ({aliases.listed(version.aliases)})" if version.aliases else ""
    made_up = f" · {elements.data_word(is_sample=True)}" if version.is_sample else ""
    return f"{version.version}{held} · {candidate(version)}{made_up}"


def figures(settings: Settings, listed: Sequence[ModelVersion]) -> Figures:
    """Return the metrics of the versions' runs; runs are immutable, so they are cached."""
    ids = tuple((version.version, version.run_id) for version in listed)
    return _figures(settings, listed, settings.mlflow_uri, ids)


@st.cache_data(show_spinner=False, max_entries=8)
def _figures(
    _settings: Settings,
    _listed: Sequence[ModelVersion],
    store: str,
    ids: tuple[tuple[str, str], ...],
) -> Figures:
    return model_facts.figures_of(_settings, _listed)


def select(
    names: Mapping[str, str],
    label: str,
    key: str,
    options: Sequence[str],
    usual: str,
    width: int | Literal["stretch"] = "stretch",
) -> str:
    """Draw the selection of a version, which persists while possible."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = usual
    return st.selectbox(label, options, format_func=names.__getitem__, key=key, width=width)


def read_address(numbers: Sequence[str]) -> bool:
    """Open the card of the version that the address names, once; return whether it names one."""
    linked = st.query_params.get("version", "")
    if linked not in numbers:
        return False
    if st.session_state.get("registry-address") != linked:
        st.session_state["registry-address"] = linked
        st.session_state["version"] = linked
        open_card(linked)
    return True


def draw(listed: Sequence[ModelVersion], measured: Figures, metric: str) -> None:
    """Show all versions as a table, a metric first; a selected row opens its card."""
    numbers = [version.version for version in listed]
    if st.session_state.get("version") not in numbers:
        champion = next(
            (version.version for version in listed if model_store.CHAMPION in version.aliases), ""
        )
        st.session_state["version"] = champion or numbers[0]
    # a table of another key has no row selected: the same row can be clicked again
    place = st.session_state.setdefault("registry-clicks", 0)
    key = f"versions-{place}"

    def take() -> None:
        if rows := st.session_state[key]["selection"]["rows"]:
            st.session_state["version"] = numbers[rows[0]]
            st.session_state["registry-clicks"] = place + 1
            open_card(numbers[rows[0]])

    column = st.column_config.NumberColumn
    everything = st.session_state.get("registry-all-columns", False)
    st.dataframe(
        table_texts.localized(
            pd.DataFrame(
                [_row(version, measured.get(version.version, {}), metric) for version in listed]
            ),
            FORMATS,
        ),
        hide_index=True,
        height="auto" if len(listed) <= 8 else 318,
        on_select=take,
        selection_mode="single-row",
        key=key,
        column_order=None if everything else _columns(metric),
        column_config={
            "version": column(_("Version"), width=70),
            "aliases": _("Alias"),
            "candidate": _("Candidate"),
            "log_loss": column(_("{metric}, test", metric=_("Log loss")), help=str(OWN_ROWS)),
            "interval": _("95% interval"),
            "roc_auc": _("{metric}, test", metric="ROC AUC"),
            "average_precision": column(
                _("{metric}, test", metric=str(metrics.TITLES["average_precision"])),
                help=str(OWN_ROWS),
            ),
            "threshold": _("Threshold"),
            "features": _("Features"),
            "data": _("Data"),
            "copied_from": _("Copy of"),
            "made": _("When"),
            "run": st.column_config.LinkColumn(_("Run"), display_text=p_("link", "open")),
        },
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        names = dict(zip(numbers, map(name, listed), strict=True))
        chosen = select(names, _("Version"), "version", numbers, numbers[0], width=330)
        st.button(
            _("Model card"),
            icon=":material/description:",
            key="open-card",
            on_click=open_card,
            args=(chosen,),
        )
        st.toggle(_("All columns"), key="registry-all-columns")


def _columns(metric: str) -> tuple[str, ...]:
    """Return the columns of the table: a metric with its interval, and the log loss."""
    return tuple(
        dict.fromkeys(("version", "aliases", "candidate", metric, "interval", "log_loss", "data"))
    )


def _row(version: ModelVersion, measured: Mapping[str, float], metric: str) -> dict[str, object]:
    copied = version.about.copied_from
    shown = metrics.ordered(("log_loss", "roc_auc", "average_precision"), metric)
    return {
        "version": int(version.version),
        "aliases": aliases.listed(version.aliases),
        "candidate": candidate(version),
        shown[0]: measured.get(f"{shown[0]}_test"),
        "interval": interval(measured, f"{metric}_test"),
        **{name: measured.get(f"{name}_test") for name in shown[1:]},
        "threshold": version.about.threshold,
        "features": len(version.about.features) or None,
        "data": elements.data_word(version.is_sample),
        "copied_from": _("version {version}", version=copied) if copied else "",
        "made": elements.when(version.created),
        "run": f"/runs?run={version.run_id}",
    }


def interval(measured: Mapping[str, float], metric: str = "log_loss_test") -> str:
    """Return a metric's 95% interval as text; empty if it has none."""
    ends = [measured.get(f"{metric}_{end}") for end in ("low", "high")]
    return "" if None in ends else span(ends[0], ends[1])


def open_card(number: str) -> None:
    """Request a version's card; `cards` opens it at the end of the page."""
    st.session_state[CARD] = number


def cards(settings: Settings, listed: Sequence[ModelVersion]) -> None:
    """Open the requested card in a drawer."""
    number = st.session_state.pop(CARD, None)
    version = next((version for version in listed if version.version == number), None)
    if version is not None:
        title = f"{_('Model card')}: {_('version {version}', version=version.version)}"
        st.dialog(title, width="large", position="right")(_card)(settings, version)


@elements.show_errors()
def _card(settings: Settings, version: ModelVersion) -> None:
    text = model_card.card(model_facts.card_facts(settings, version))
    with st.container(horizontal=True, vertical_alignment="center"):
        if version.is_sample:
            elements.sample_badge()
        elements.download(
            "Markdown", text, f"{version.name}-version-{version.version}.md", mime="text/markdown"
        )
        navigation.run_link(version.run_id)
    # its first line is the drawer's title
    st.markdown(re.sub(r"(?m)^(#+) ", r"#\1 ", text.partition("\n\n")[2]))
