"""Labels: a file with the outcomes of predictions, and the result of the last one."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core.platform import storage, tables, tracking
from core.platform import table_files as export
from core.platform.config import Settings
from core.platform.csv_dialect import Given
from core.platform.messages import NOTHING, Message, _, n_, number
from core.platform.own_columns import LABEL, LABELLED_AT, PREDICTION_ID
from core.platform.project import ProjectSpec
from core.predictions_log import predictions
from core.scoring import label
from pages.shared import (
    csv_format,
    elements,
    navigation,
    set_aside_list,
    step_jobs,
    table_texts,
    uploads,
    visit,
)

OUTCOMES = {
    "new": (Message("New"), NOTHING),
    "repeated": (Message("Repeated"), NOTHING),
    "changed": (Message("Changed"), NOTHING),
    "outdated": (Message("Outdated"), Message("a newer label is kept")),
    "unmatched": (Message("Unmatched"), Message("for predictions not in the log yet; stored")),
    "rejected": (Message("Rejected"), NOTHING),
}


def draw(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the form of a file of labels, and the outcome of the last one."""
    set_aside_list.draw(settings, "labels")
    tallies = [tally for tally in predictions.tallies(settings) if not tally.is_shadow]
    if tallies:
        st.caption(
            elements.named(
                _("With label"),
                _(
                    "{shown:,} of {rows:,} rows",
                    shown=sum(tally.labels for tally in tallies),
                    rows=sum(tally.rows for tally in tallies),
                ),
            )
        )
    panel = st.container()
    names = label.fields(spec)
    files = uploads.ask(
        settings,
        _(
            "CSV or parquet file: `{id}` or `{key}`, and `{target}` or `{label}`",
            id=names[PREDICTION_ID],
            key=spec.id,
            target=spec.target,
            label=names[LABEL],
        ),
        "labels",
        types=["csv", "parquet"],
    )
    staged = files[0] if files else None
    written = preview(settings, spec, staged) if staged else {}
    data = whose_keys(spec, tallies)
    if st.button(
        _("Add labels"),
        type="primary",
        icon=":material/new_label:",
        key="take",
        disabled=written is None or step_jobs.is_locked(settings, "label"),
        help=_(
            "Labels may come in any order, even before their predictions. The newest counts, "
            "by the column `{time}` or the time of arrival.",
            time=names[LABELLED_AT],
        ),
    ):
        if staged is None:
            st.error(_("Required: {field}.", field=_("Labels")))
        else:
            values = {"upload": staged.model_dump(), "data": data, **written}
            step_jobs.submit(settings, "label", label.Options, **values)
    with panel:
        going = step_jobs.job_panel(settings, "label")
    visit.wait_for_store()
    last = tracking.last_run(settings, "label")
    # the previous file's result would be misread as that of the file being imported
    if last is not None and not going:
        outcome(settings, last)


def whose_keys(spec: ProjectSpec, tallies: list[predictions.Tally]) -> str | None:
    """Ask for the data source of a file's keys if the log holds both; None if it holds one."""
    if len({tally.is_sample for tally in tallies}) < 2:
        return None
    kinds = {
        "real": elements.capital(elements.data_word(is_sample=False)),
        "sample": elements.capital(elements.data_word(is_sample=True)),
    }
    return elements.choose(f"{_('Data')}: {spec.id}", kinds, "whose-keys", default="real")


def preview(settings: Settings, spec: ProjectSpec, staged: storage.Upload) -> dict[str, Any] | None:
    """Show how a file is read; None while a question is open."""

    def read(given: Given) -> tuple[tables.Head, pd.DataFrame]:
        known = given.knowing(spec.source_columns)
        return csv_format.inspect(settings, staged.stored, staged.name, known)

    return csv_format.preview("labels", [(staged.name, read)])


def outcome(settings: Settings, run: tracking.RunInfo) -> None:
    """Show the result of importing a file of labels."""
    st.markdown(
        " · ".join(
            (
                f"**{elements.plain(run.params['file'])}**",
                n_("{count:,} row", "{count:,} rows", int(run.metrics["rows"])),
                elements.ago(run.ended or run.started),
            )
        )
        + elements.sample_mark(run.is_sample)
    )
    elements.figures(
        [
            (title, number(run.metrics[f"labels_{name}"], ",.0f"), note)
            for name, (title, note) in OUTCOMES.items()
        ]
    )
    navigation.run_link(run.run_id, "RecepcaoRotulos")
    stored = elements.table(settings, run.run_id, "rejected")
    rejected = stored.assign(reason=stored["reason"].map(elements.words))
    if len(rejected):
        with st.expander(elements.counted(_("Rejected"), len(rejected)), expanded=True):
            st.dataframe(
                table_texts.localized(rejected),
                hide_index=True,
                column_config={"row": _("Row"), "reason": _("Why")},
            )
            elements.download(
                f"{_('Rejected')} (CSV)", lambda: export.csv(rejected), "rejected.csv"
            )
