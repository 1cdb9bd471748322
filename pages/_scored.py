"""What a scoring of many rows left: its figures, whether the model fits, and its rows."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.adapters import storage, tracking
from core.config import Settings
from core.errors import NotReadyError
from core.logic import drift_charts, export, metrics, model_charts
from core.project import ProjectSpec
from core.steps import score
from pages import _parts
from pages._bilingual import st

PAGE_ROWS = 100
VERDICTS = {"fits": st.success, "does_not_fit": st.error, "unknown": st.info}
ORDERS = ("As sent", "Highest first", "Lowest first")


def show(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Show all that a finished scoring of many rows says."""
    fit(settings, run)
    figures(settings, spec, run)
    with st.container(horizontal=True):
        _parts.run_link(run.run_id, "PipelineAplicacao")
        if model_run := run.tags.get("courtside.model_run"):
            _parts.run_link(model_run, "Model from")
    left_out(settings, run)
    name = score.output_name(run.params["source"], run.run_id, is_sample=run.is_sample)
    try:
        path = tracking.artifact(settings, run.run_id, f"files/{name}.parquet")
    except NotReadyError:
        st.info("The result has more rows than a page shows. It is kept as parquet at this place:")
        st.code(run.params.get("output", "unknown"), language=None)
        return
    rows = read(str(path))
    charts(settings, spec, run, rows, str(path))
    answers(spec, run, rows, name)


@st.cache_resource(show_spinner=False, max_entries=4)
def read(path: str) -> pd.DataFrame:
    """Return the rows of a scoring, never to be changed: all visits share them."""
    return storage.read_output(Path(path))


@st.cache_resource(show_spinner=False, max_entries=16)
def density(path: str, threshold: float) -> Any:
    """Return the picture of a scoring's probabilities; its file does not change."""
    rows = read(path)[["probability"]]
    return drift_charts.probability_density(rows.assign(set="scored"), threshold=threshold)


@st.cache_data(show_spinner=False, max_entries=16)
def answer(path: str) -> dict[str, Any]:
    """Return the kept answer whether the model fits."""
    found: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return found


def fit(settings: Settings, run: tracking.RunInfo) -> None:
    """Say in a sentence whether the model fits these rows, with its numbers and what to do next."""
    if run.metrics.get("rows_labelled", 0) == 0:
        st.info(
            "No row has a label, so nobody can say yet whether the model fits. Bring labels on the "
            "Predictions page when they are known; Monitor compares the inputs meanwhile."
        )
        return
    try:
        found = answer(str(tracking.artifact(settings, run.run_id, "documents/fit.json")))
    except NotReadyError:  # of a scoring by an older app
        return
    VERDICTS.get(found["verdict"], st.warning)(_parts.plain(found["sentence"]))
    checks = pd.DataFrame(found["checks"])
    if len(checks):
        with st.expander("The numbers behind this answer, with their 95% intervals"):
            _parts.check_table(checks.rename(columns={"sentence": "text"}), limits=True)
    st.page_link(
        "pages/monitor.py", label="What to do next: look at it on Monitor",
        icon=":material/arrow_forward:",
    )  # fmt: skip


def figures(settings: Settings, spec: ProjectSpec, run: tracking.RunInfo) -> None:
    """Show the figures of a scoring beside those of the test set."""
    of, source = run.metrics, run.params["source"]
    trained = tracking.run(settings, run.tags.get("courtside.model_run", ""))
    test = trained.metrics if trained else {}
    out = of.get("rows_skipped", 0) + of.get("rows_rejected", 0)
    base_rate = of.get(f"base_rate_{source}")
    shown = [
        (
            "Rows scored",
            f"{of['rows_scored']:,.0f}",
            f"{of['rows_labelled']:,.0f} with label, {out:,.0f} left out",
        ),
        (
            "Mean probability",
            f"{of['probability_mean']:.1%}",
            f"{of['predicted_positive']:,.0f} rows labelled {spec.positive}"
            if base_rate is None
            else f"{base_rate:.1%} observed",
        ),
    ]
    if base_rate is not None:
        shown += [
            (
                title,
                _parts.metric_text(of, f"{name}_{source}", digits),
                f"{_parts.metric_text(test, f'{name}_test', digits)} on the test set",
            )
            for name, title, digits in (
                ("log_loss", "Log loss", 4),
                ("f1", "F1", 3),
                ("roc_auc", "ROC AUC", 3),
                ("skill", "Skill over base rate", 4),
            )
        ]
    if of.get("rows_per_second"):
        shown.append(("Speed", f"{of['rows_per_second']:,.0f} rows/s", "reading included"))
    _parts.figures(shown)
    if base_rate is not None:
        caution(spec, run, base_rate, test)


def caution(
    spec: ProjectSpec, run: tracking.RunInfo, base_rate: float, test: dict[str, float]
) -> None:
    """Say what log loss and F1 alone would hide."""
    of, source, told = run.metrics, run.params["source"], []
    reached = of.get("predicted_positive", 0)
    if reached == 0:
        told.append(
            f"No row reaches the threshold: every one is called {spec.negative}, so F1 is 0."
        )
    elif of.get(f"f1_{source}") == 0:
        told.append(
            f"Only {reached:,.0f} of {of['rows_scored']:,.0f} rows reach the threshold, and none "
            f"that is known was {spec.positive}, so F1 is 0."
        )
    loss, known = of[f"log_loss_{source}"], test.get("log_loss_test")
    base = metrics.base_rate_log_loss(base_rate)
    if base == base:
        told.append(f"Always saying the base rate would have a log loss of {base:.4f} here.")
    if known is not None and loss < known and base_rate < test.get("base_rate_test", 0.0):
        told.append(
            f"Log loss is lower than the {known:.4f} of the test set only because "
            f"{spec.positive} is rarer here ({base_rate:.1%} against "
            f"{test['base_rate_test']:.1%}); skill allows for that."
        )
    st.caption(" ".join(told))


def left_out(settings: Settings, run: tracking.RunInfo) -> None:
    """List the rows that could not be scored, by row, column, value and reason."""
    count = run.metrics.get("rows_rejected", 0)
    if not count:
        return
    st.warning(f"{count:,.0f} rows hold a value that cannot be used. They were left out.")
    with suppress(NotReadyError):
        found = _parts.table(settings, settings.mlflow_uri, run.run_id, "rejected")
        st.dataframe(found.head(1000), hide_index=True, height=240)
        more = " The first 1,000 are shown; the file has them all." if len(found) > 1000 else ""
        st.caption(f"Rows are counted from 0, as in the file below its header.{more}")
        st.download_button(
            "Rows left out (CSV)", lambda: export.csv(found), on_click="ignore",
            file_name=f"left_out_{run.run_id[:12]}.csv", icon=":material/download:",
        )  # fmt: skip
    with st.expander("What the check of all rows found"):
        _parts.validation(settings, run.run_id)


def charts(
    settings: Settings, spec: ProjectSpec, run: tracking.RunInfo, rows: pd.DataFrame, path: str
) -> None:
    """Draw the probabilities and, with labels, what was called what."""
    version = tracking.require_version(settings, run.params["model"], run.params["version"])
    left, right = _parts.side_by_side()
    with left:
        st.markdown("**Probabilities**")
        _parts.chart(density(path, version.threshold))
    known = rows["label"].notna().to_numpy()
    if known.any():
        with right:
            st.markdown(f"**The {known.sum():,} rows with label**")
            table = metrics.confusion(
                rows["label"].to_numpy()[known].astype(int),
                rows["probability"].to_numpy()[known],
                version.threshold,
            )
            _parts.chart(
                model_charts.confusion(table, positive=spec.positive, negative=spec.negative)
            )


def answers(spec: ProjectSpec, run: tracking.RunInfo, rows: pd.DataFrame, name: str) -> None:
    """Show the rows that pass the filters, a page of them at a time, and offer them as files."""
    st.markdown("**What the model answered**")
    chosen = rows_chosen(spec, rows, run.run_id)
    pages = max(1, -(-len(chosen) // PAGE_ROWS))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # named by what is filtered: another choice starts on its own first page
        seen = hashlib.sha256(chosen.tobytes()).hexdigest()[:12]
        page = st.number_input(
            f"Page, 1 to {pages:,}", 1, pages, 1, key=f"page-{run.run_id}-{seen}", width=170
        )
        st.markdown(f"{len(chosen):,} of {len(rows):,} rows", width="content")
    part = rows.iloc[chosen[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]]
    words = {1: spec.positive, 0: spec.negative}
    inputs = [one for one in rows.columns if one in spec.columns and one != "label"]
    st.dataframe(
        part.assign(predicted=part["predicted"].map(words), label=part["label"].map(words)),
        hide_index=True,
        column_order=["row_key", "probability", "predicted", "label", *inputs, "prediction_id"],
        column_config={
            "row_key": spec.id,
            "probability": st.column_config.ProgressColumn(
                f"Probability of {spec.positive}", min_value=0, max_value=1, format="percent"
            ),
            "predicted": "Predicted label",
            "label": "Actual label",
            "prediction_id": "Prediction id",
        },
    )
    every = len(chosen) == len(rows)
    kept = rows if every else rows.iloc[chosen]
    with st.container(horizontal=True):
        st.download_button(
            "CSV", lambda: export.csv(kept), file_name=f"{name}.csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Parquet", lambda: kept.to_parquet(index=False), file_name=f"{name}.parquet",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    if not every:
        st.caption("The files hold the rows that pass the filters.")


def rows_chosen(spec: ProjectSpec, rows: pd.DataFrame, run_id: str) -> np.ndarray:
    """Draw the filters, and return the places of the rows that pass them, in the chosen order."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        low, high = st.slider(
            "Probability (%)", 0, 100, (0, 100), key=f"between-{run_id}", width=230
        )
        called = st.pills(
            "Predicted", [spec.positive, spec.negative], key=f"called-{run_id}", width="content"
        )
        known = st.pills(
            "Label", ["known", "unknown", "called wrong"], key=f"known-{run_id}", width="content"
        )
        order = st.selectbox("Order", ORDERS, key=f"order-{run_id}", width=150)
        sought = st.text_input(
            f"{spec.id} or prediction id holds", key=f"sought-{run_id}", width=230
        ).strip()
    probability = rows["probability"].to_numpy(dtype=float)
    predicted, label = rows["predicted"].to_numpy(), rows["label"].to_numpy(dtype=float)
    keep = (probability >= low / 100) & (probability <= high / 100)
    if called:
        keep &= predicted == (called == spec.positive)
    if known:
        there = ~np.isnan(label)
        wrong = there & (label != predicted)
        keep &= {"known": there, "unknown": ~there, "called wrong": wrong}[known]
    if sought:
        holds = np.zeros(len(rows), dtype=bool)
        for name in ("row_key", "prediction_id"):
            if name in rows:
                holds |= (
                    rows[name].astype("object").str.contains(sought, regex=False, na=False)
                ).to_numpy(dtype=bool)
        keep &= holds
    places = np.flatnonzero(keep)
    if order != ORDERS[0]:
        sign = -1 if order == ORDERS[1] else 1
        places = places[np.argsort(sign * probability[places], kind="stable")]
    return places
