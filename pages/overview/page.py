"""Overview: the verdict with the next action, and a tile for each step."""

import streamlit as st

from core.jobs import jobs
from core.platform.errors import CourtsideError
from core.platform.messages import Message, _
from pages.overview import reset_form, situation, tiles, verdict_card
from pages.shared import code_snippets, elements, set_aside_list, step_jobs, visit

# seconds between updates; another page or a schedule may start a job
BUSY_SECONDS, IDLE_SECONDS = 2, 10

settings, spec = visit.open_app()


def menu() -> None:
    """Draw the page's menu."""
    code_snippets.button(settings, "lifecycle")
    if not settings.is_nested:
        reset_form.button()


def is_busy() -> bool:
    """Return whether a job waits or runs, or a chain of them."""
    return bool(jobs.active(settings)) or step_jobs.running_chain(settings) is not None


@elements.show_errors()
def life_cycle(was_busy: bool) -> None:
    """Draw the card and the tiles, and keep them up to date."""
    visit.wait_for_store()
    seen = situation.gather(settings, spec)
    verdict_card.draw(settings, spec, seen)
    if seen.is_empty and seen.chain is None and not any(tile.run for tile in seen.tiles):
        with st.expander(_("Details")):
            tiles.draw(settings, spec, seen)
    else:
        tiles.draw(settings, spec, seen)
    # not before: a press of a button above would be lost
    if is_busy() != was_busy:
        st.rerun()


elements.header(
    Message("Overview"),
    Message(
        "Development: {development}; operation: {production}.",
        development=spec.rows.reference_rows,
        production=spec.rows.current_rows,
    ),
    menu=menu,
)
reset_form.draw(settings)
set_aside_list.draw(settings)
try:
    busy = is_busy()
except CourtsideError:
    busy = False  # the fragment reports it
st.fragment(life_cycle, run_every=BUSY_SECONDS if busy else IDLE_SECONDS)(busy)
