"""The predictions log: what was predicted, for whom, and the true labels."""

from __future__ import annotations

import time
from datetime import datetime

import streamlit as st

from core.platform.config import Settings
from core.platform.messages import Message, _, listed, n_, number, plural, sentences
from core.platform.project import ProjectSpec
from core.predictions_log import gap_journal, predictions
from core.serving import endpoint_status
from core.stats import agreement
from pages.score import log_table, scorings
from pages.shared import aliases, elements, navigation, set_aside_list

DAY = 86_400
# texts for coded reasons of a gap
GAPS = {
    gap_journal.ENDED: Message(
        "The endpoint stopped before writing; at least this many rows are missing."
    )
}


def draw(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the state of the log, its newest predictions, and shadow against champion."""
    tallies = predictions.tallies(settings)
    log_state(settings)
    set_aside_list.draw(settings, "predictions", "labels")
    gaps(settings)
    if not tallies:
        st.info(_("There are no predictions yet. Score rows first."))
        navigation.go_to("serve")
        return
    figures(settings, spec, tallies)
    log_table.newest(settings, spec, tallies)
    side_by_side(settings)


def figures(settings: Settings, spec: ProjectSpec, tallies: list[predictions.Tally]) -> None:
    """Count the predictions, those with a label, and the newest by their source."""
    answers = [tally for tally in tallies if not tally.is_shadow]
    rows, known = sum(tally.rows for tally in answers), sum(tally.labels for tally in answers)
    shadows = sum(tally.rows for tally in tallies if tally.is_shadow)
    latest: dict[str, int] = {}
    for source, count in predictions.by_source(settings, time.time() - DAY).items():
        name = scorings.source_words(spec, source)
        latest[name] = latest.get(name, 0) + count
    since = min((tally.first_at for tally in answers), default=None)
    shown = [
        (
            _("Predictions"),
            number(rows),
            _("since {day}", day=datetime.fromtimestamp(since).date()) if since else "",
        ),
        (_("With label"), number(known), number(known / rows, ".1%") if rows else ""),
        (
            _("Last 24 hours"),
            number(sum(latest.values())),
            listed([f"{name} {number(count)}" for name, count in latest.items()], "unit"),
        ),
    ]
    made_up = sum(tally.rows for tally in answers if tally.is_sample)
    if made_up:
        shown.append(
            (
                elements.capital(elements.data_word(is_sample=True)),
                number(made_up),
                str(elements.SAMPLE),
            )
        )
    if shadows:
        shown.append(
            (_("Shadow answers"), number(shadows), _("Its answers go to the predictions log only."))
        )
    elements.figures(shown)


@st.fragment(run_every=10)
@elements.show_errors()
def log_state(settings: Settings) -> None:
    """Warn while the live endpoint cannot write the log."""
    live = next((server for server in elements.ready_servers(settings) if server.is_live), None)
    status = endpoint_status.status(live.port) if live else None
    if status is None:
        return
    state = status.log
    if not state.ok:
        behind = Message("The predictions log cannot be written.")
        waiting = plural(
            "Requests are still answered; {count:,} row waits to be written.",
            "Requests are still answered; {count:,} rows wait to be written.",
            state.waiting,
        )
        lost = plural(
            "{count:,} row did not fit and is lost.",
            "{count:,} rows did not fit and are lost.",
            state.lost,
        )
        reason = elements.fact(state.reason)
        st.warning(str(sentences(behind, reason, waiting, lost if state.lost else "")))


def gaps(settings: Settings) -> None:
    """Warn about predictions that are missing in the log."""
    log_gaps = predictions.gaps(settings)
    if not log_gaps:
        return
    lost = sum(gap.rows for gap in log_gaps)
    st.warning(
        n_(
            "**{count:,} prediction is missing from the log.** Metrics exclude it.",
            "**{count:,} predictions are missing from the log.** Metrics exclude them.",
            lost,
        )
    )
    with st.expander(elements.counted(_("Details"), len(log_gaps))):
        elements.fixed_table(
            {
                _("From"): [scorings.moment(gap.begun) for gap in log_gaps],
                _("To"): [scorings.moment(gap.ended) for gap in log_gaps],
                _("Rows"): [number(gap.rows) for gap in log_gaps],
                _("Why"): [elements.fact(GAPS.get(gap.reason, gap.reason)) for gap in log_gaps],
            }
        )


def side_by_side(settings: Settings) -> None:
    """Compare champion and challenger on the requests that both scored."""
    pairs = predictions.pairs(settings)
    if pairs.empty:
        return
    champion, challenger = pairs[["champion_version", "challenger_version"]].iloc[0]
    with st.expander(_("Do champion and challenger agree?"), icon=":material/compare:"):
        summary = agreement.agreement(pairs)
        elements.figures(
            [
                (
                    _("Mean difference"),
                    _("{value} points", value=number(100 * summary.difference, "+.2f")),
                    f"{aliases.words('challenger')} − {aliases.words('champion')}",
                ),
                (
                    _("Mean absolute difference"),
                    _("{value} points", value=number(100 * summary.distance, ".2f")),
                    "",
                ),
                (
                    _("Classes that differ"),
                    number(summary.labels_differ, ".1%"),
                    _("of {count:,} rows", count=summary.rows),
                ),
            ]
        )
        with st.container(width=elements.HALF_WIDTH):
            elements.chart(agreement.agreement_chart(pairs))
        st.caption(
            " · ".join(
                (
                    elements.named(elements.capital(aliases.words("champion")), champion),
                    elements.named(elements.capital(aliases.words("challenger")), challenger),
                    elements.named(_("Newest rows"), number(len(pairs))),
                )
            )
        )
