"""The view Explore: what the data looks like, drawn from the profile of its acquisition."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from core.data import data_charts, profile, snapshots
from core.platform import project, tracking
from core.platform.config import Settings
from core.platform.messages import Message, _, loads, n_, number
from core.platform.plugins import part
from core.platform.project import ProjectSpec
from core.platform.project_parts import TYPE_LABELS
from core.stats import places
from core.stats.charts import places as place_charts
from core.stats.charts import style
from pages.shared import elements, navigation, report_view, step_jobs, table_texts

VIEWS = {
    "glance": Message("Overview"),
    "columns": Message("Columns"),
    "slices": Message("Slices"),
    "places": Message("Place"),
    "correlation": Message("Correlation"),
    "leakage": Message("Leakage"),
}
DRAWN = ("hexagons", "points")

# the option for a project's time among its slices
TIME = "courtside_time"
SHOWN_POINTS = 1500
# histograms at a glance; the others are under Columns
MOST_HISTOGRAMS = 6
HISTOGRAM_WIDTH = 312
FEW_COLUMNS = ("column", "missing", "positive", "negative", "auc_alone", "range")
TABLE_HEIGHT = 460


def draw(settings: Settings, spec: ProjectSpec) -> None:
    """Draw the selected view of the current raw data."""
    snapshot = snapshots.current(settings)
    running = step_jobs.job_panel(settings, "acquire")
    if snapshot is None and running:
        return
    if snapshot is None:
        st.info(_("No raw data yet. Acquire it first."))
        navigation.go_to("acquire")
        return
    run = tracking.finished_run(settings, snapshot.run_id)
    if run is None:
        st.info(navigation.run_again("acquire"))
        navigation.go_to("acquire")
        return
    if snapshot.rules != spec.digest:
        st.warning(navigation.changed("acquire", _("Project file")))
        navigation.go_to("acquire")
        return
    has_part = {"slices": spec.slices or spec.time, "places": spec.place}
    offered = [view for view in VIEWS if has_part.get(view, True)]
    view = st.pills(
        _("View"),
        offered,
        format_func=lambda view: str(VIEWS[view]),
        default="glance",
        required=True,
        key="view",
        label_visibility="collapsed",
    )

    def table(name: str) -> pd.DataFrame:
        return elements.table(settings, run.run_id, name)

    if view == "leakage":
        _leakage(table("leakage"))
        return
    if view == "places":
        _places(spec, table("places"))
        return
    by = _by(spec) if view == "slices" else ""
    if by == TIME:
        _over_time(spec, table("over_time"))
        return
    if view == "glance" and spec.court is not None and part(spec.name, "court") is not None:
        below = _of(table("bins"), st.session_state.get("kind") or "development")
        counted = below.loc[below["column"] == spec.id, ["positive", "negative", "unlabelled"]]
        _court(spec, table("court_cells"), table("court_points"), int(counted.to_numpy().sum()))
    with st.container(horizontal=True, vertical_alignment="center"):
        if view == "glance":
            _ask_difference(spec)
        kind = _kind(spec)
    if not _of(table("columns"), kind)["rows"].any():
        st.info(_("Nothing to show for these rows."))
    elif view == "glance":
        _glance(spec, _of(table("bins"), kind), run.run_id, kind)
    elif view == "columns":
        _columns(spec, _of(table("columns"), kind), _of(table("bins"), kind))
    elif view == "slices":
        _slices(spec, _of(table("bins"), kind), by)
    else:
        _correlation(_of(table("correlation"), kind))


def _ask_difference(spec: ProjectSpec) -> None:
    st.markdown(
        _(
            "**How do {positive} and {negative} differ?**",
            positive=project.words(spec.positive),
            negative=project.words(spec.negative),
        ),
        width="content",
    )


def _glance(spec: ProjectSpec, bins: pd.DataFrame, *key: str) -> None:
    """Draw the class balance, and a histogram by class of each of the project's features."""
    positive, negative = elements.classes(spec)
    _balance(spec, bins[bins["column"] == spec.id])
    marks = " &nbsp; ".join(
        f'<span style="color:{style.PALETTE[role]}">■</span> {word}'
        for word, role in ((positive, "made"), (negative, "missed"))
    )
    st.html(f"<small>{marks}</small>")
    known = [name for name in spec.features if name in spec.columns][:MOST_HISTOGRAMS]
    with st.container(horizontal=True):
        for name in known:
            with st.container(width=HISTOGRAM_WIDTH):
                about = str(project.words(spec.columns[name].about))
                build = partial(
                    data_charts.class_density,
                    bins[bins["column"] == name],
                    positive=positive,
                    negative=negative,
                    axis_title=about,
                    is_small=True,
                )
                report_view.draw(build, *key, name, positive, negative, about)


def _capitalized(text: str) -> str:
    return elements.capital(project.words(text))


def _kind(spec: ProjectSpec) -> profile.Kind:
    names: dict[profile.Kind, str] = {
        "development": _capitalized(spec.rows.reference_rows),
        "production": _capitalized(spec.rows.current_rows),
        "all": _("All"),
    }
    return elements.choose(_("Rows"), names, "kind", default="development", is_bare=True)


def _of(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    return table[table["kind"] == kind]


def _columns(spec: ProjectSpec, columns: pd.DataFrame, bins: pd.DataFrame) -> None:
    """Draw one column by class, and below it the table of all columns."""
    positive, negative = elements.classes(spec)
    names = [name for name in columns["column"] if name != spec.target]
    first = names.index(spec.features[0]) if spec.features[0] in names else 0
    chosen = st.selectbox(_("Column"), names, index=first, key="look")
    about = str(project.words(spec.columns[chosen].about))
    column_bins = bins[bins["column"] == chosen]
    left, right = elements.side_by_side()
    with left:
        st.markdown(
            _("**How do {positive} and {negative} differ?**", positive=positive, negative=negative)
        )
        elements.chart(
            data_charts.class_density(
                column_bins, positive=positive, negative=negative, axis_title=about
            )
        )
    with right:
        _rate(spec, column_bins, about)
    _column_table(spec, columns, bins)


def _column_table(spec: ProjectSpec, columns: pd.DataFrame, bins: pd.DataFrame) -> None:
    positive, negative = elements.classes(spec)
    shape = bins.sort_values("place").groupby("column", sort=False)[["positive", "negative"]]
    shares = shape.agg(lambda counts: (counts / max(int(counts.sum()), 1)).tolist())
    known = columns["rows"] - columns["missing"]
    shown = pd.DataFrame(
        {
            "column": columns["column"],
            "type": [elements.capital(TYPE_LABELS.get(name, name)) for name in columns["type"]],
            "missing": columns["missing"],
            "distinct": columns["distinct"],
            "positive": columns["column"].map(shares["positive"]),
            "negative": columns["column"].map(shares["negative"]),
            "auc_alone": columns["auc_alone"],
            "range": columns["low"].str.cat(columns["high"], sep=" … ").where(known > 0, "–"),
            "mean": columns["mean"].map(lambda mean: number(mean, ".5g") if mean == mean else "–"),
            "usual": columns["usual"].str.cat(
                columns["usual_share"].map(
                    lambda share: f" ({number(share, '.0%')})" if share > 0 else "–"
                )
            ),
            "about": [str(project.words(about)) for about in columns["about"]],
        }
    )

    every = st.toggle(_("All columns"), key="all-columns")
    config = st.column_config
    st.dataframe(
        table_texts.localized(shown, {"missing": ",", "distinct": ",", "auc_alone": ".3f"}),
        hide_index=True,
        height=TABLE_HEIGHT,
        column_order=None if every else FEW_COLUMNS,
        column_config={
            "column": config.TextColumn(_("Column"), pinned=True),
            "type": _("Type"),
            "missing": _("Missing"),
            "distinct": _("Distinct values"),
            "positive": config.BarChartColumn(elements.capital(positive), width="small", y_min=0),
            "negative": config.BarChartColumn(elements.capital(negative), width="small", y_min=0),
            "auc_alone": config.NumberColumn(
                _("AUC alone"),
                help=_(
                    "How well the column alone separates the classes: 0.5 is not at all, 1 is "
                    "perfectly. Empty with fewer than 100 labelled rows."
                ),
            ),
            "range": _("Range"),
            "mean": _("Mean"),
            "usual": _("Most frequent"),
            "about": _("Meaning"),
        },
    )


def _balance(spec: ProjectSpec, bins: pd.DataFrame) -> None:
    """Show the number of rows, the class balance, and the number of unlabelled rows."""
    positive, negative, unlabelled = (
        int(bins[name].sum()) for name in ("positive", "negative", "unlabelled")
    )
    known, rows = positive + negative, positive + negative + unlabelled
    figures = [(_("Rows"), number(rows), elements.named(_("With label"), number(known)))]
    for name, count in ((spec.positive, positive), (spec.negative, negative)):
        note = f"{number(count)} / {number(known)}"
        figures.append((_capitalized(name), number(count / max(known, 1), ".1%"), note))
    share = unlabelled / max(rows, 1)
    figures.append((_("Without label"), number(unlabelled), number(share, ".1%")))
    elements.figures(figures)


def _few() -> str:
    return _(
        "With 95% intervals; values with fewer than {min_rows} labelled rows are left out.",
        min_rows=profile.MIN_ROWS,
    )


def _rate(spec: ProjectSpec, column_bins: pd.DataFrame, about: str) -> None:
    rates = profile.rates(column_bins)
    if rates.empty:
        st.caption(_few())
        return
    name = str(column_bins["column"].iloc[0])
    is_number = spec.columns[name].type in ("integer", "number") and len(rates) > 10
    rows = column_bins["positive"].sum() + column_bins["negative"].sum()
    positive = project.words(spec.positive)
    st.markdown(
        f"**{_('How does the share of {positive} vary?', positive=positive)}**", help=_few()
    )
    elements.chart(
        data_charts.rate_by(
            rates,
            "middle" if is_number else "label",
            axis_title=about,
            average=float(column_bins["positive"].sum() / rows),
            rate_title=_("Share of {positive}", positive=positive),
        )
    )


def _by(spec: ProjectSpec) -> str:
    """Ask how rows are compared: by a slice, or by time if current rows are later."""
    timed = [TIME] if spec.time else []
    offered = [*timed, *spec.slices] if spec.rows.by == "date" else [*spec.slices, *timed]
    return st.segmented_control(
        _("By"),
        offered,
        format_func=lambda name: _("Time") if name == TIME else name,
        default=offered[0],
        required=True,
        key="slice",
    )


def _over_time(spec: ProjectSpec, counts: pd.DataFrame) -> None:
    if counts.empty:
        st.info(_("Nothing to show for these rows."))
        return
    positive = project.words(spec.positive)
    left, right = elements.side_by_side()
    with left:
        elements.question(_("How does the share of {positive} vary?", positive=positive))
        title = _("Share of {positive}", positive=positive)
        elements.chart(data_charts.rate_over_time(counts, rate_title=title))
    with right:
        elements.question(_("How many rows?"))
        elements.chart(data_charts.rows_over_time(counts))


def _places(spec: ProjectSpec, cells: pd.DataFrame) -> None:
    """Draw the share of the positive class by place, reference and current side by side."""
    assert spec.place is not None
    positive = project.words(spec.positive)
    drawn = places.with_rates(cells)
    if drawn.empty:
        st.info(_("Nothing to show for these rows."))
        return
    reference = drawn[drawn["set"] == "reference"]
    labelled = int(reference["labelled"].sum())
    average = float(reference["positive"].sum() / labelled) if labelled else None
    reach = place_charts.span(drawn["rate"], average or 0.0, place_charts.MOST_RATE)
    asked = _("How does the share of {positive} vary?", positive=positive)
    elements.question(str(project.words(spec.place.title)) if spec.place.title else asked)
    columns = elements.side_by_side()
    named = {"reference": spec.rows.reference_rows, "current": spec.rows.current_rows}
    for column, name in zip(columns, named, strict=True):
        mine = drawn[drawn["set"] == name]
        with column:
            if mine.empty:
                continue
            st.markdown(_capitalized(named[name]))
            elements.chart(
                place_charts.rates(
                    mine,
                    average=average,
                    reach=reach,
                    axes=(spec.place.x, spec.place.y),
                    ends=drawn,
                    rate_title=_("Share of {positive}", positive=positive),
                )
            )
    if lost := places.without_place(cells):
        st.caption(
            n_(
                "{count:,} row has no place, or one far from all others.",
                "{count:,} rows have no place, or one far from all others.",
                lost,
            )
        )


def _slices(spec: ProjectSpec, bins: pd.DataFrame, chosen: str) -> None:
    positive, negative = elements.classes(spec)
    about = str(project.words(spec.columns[chosen].about))
    column_bins = bins[bins["column"] == chosen]
    column_bins = column_bins[column_bins[["positive", "negative", "unlabelled"]].sum(axis=1) > 0]
    _balance(spec, column_bins)
    left, right = elements.side_by_side()
    with left:
        elements.question(_("How many rows?"))
        elements.chart(
            data_charts.slice_bars(
                column_bins, positive=positive, negative=negative, axis_title=about
            )
        )
    with right:
        _rate(spec, column_bins, about)


def _correlation(table: pd.DataFrame) -> None:
    if table.empty:
        st.caption(_("Nothing to show for these rows."))
        return
    st.markdown(
        _("**Which columns carry the same information?**"),
        help=_("Pearson's correlation, -1 to 1; values below 0.1 are not shown."),
    )
    elements.chart(data_charts.correlation_map(table))


def _leakage(suspects: pd.DataFrame) -> None:
    st.markdown(
        _("**Which columns leak the target, or only identify rows?**"),
        help=_(
            "How well the column alone separates the classes: 0.5 is not at all, 1 is "
            "perfectly. Empty with fewer than 100 labelled rows."
        ),
    )
    if suspects.empty:
        st.success(_("No column looks suspicious."), icon=":material/verified:")
        return
    elements.fixed_table(
        {
            _("Column"): suspects["feature"].to_list(),
            _("AUC alone"): [number(auc, ".3f") for auc in suspects["auc_alone"]],
            _("Finding"): [elements.plain(str(loads(text))) for text in suspects["text"]],
        }
    )


def _court(spec: ProjectSpec, cells: pd.DataFrame, points: pd.DataFrame, rows_below: int) -> None:
    """Draw the court, with the number of its rows if it is not the one below it."""
    court = part(spec.name, "court")
    positive = str(project.words(spec.positive))
    left, right = elements.side_by_side()
    with right:
        drawn = st.segmented_control(
            _("View"),
            DRAWN,
            default="hexagons",
            required=True,
            key="court-draw",
            format_func=lambda kind: (
                _("Rows") if kind == "points" else _("Share of {positive}", positive=positive)
            ),
        )
        only = {}
        for name in spec.slices:
            values = sorted(cells[name].unique())
            usual = [spec.rows.development] if name == spec.rows.column else []
            chosen = st.multiselect(
                name,
                values,
                key=f"court-{name}",
                placeholder=_("All"),
                default=[value for value in usual if value in values],
                help=str(project.words(spec.columns[name].about)),
            )
            if chosen:
                only[name] = chosen
    gathered = court.gather(cells, only)
    rows, labelled, average = court.totals(gathered)
    with left:
        if spec.court is not None:
            st.markdown(f"**{project.words(spec.court.title)}**")
        if gathered.empty:
            st.info(_("Nothing to show for these rows."))
        elif drawn == "hexagons":
            shots = elements.localized(court.shot_chart(gathered, average))
            st.altair_chart(shots, width="content")
        else:
            _points(spec, points, only, labelled)
    if rows == rows_below:
        return
    with right:
        rate = f"{number(average, '.1%')} {positive}" if average is not None else "–"
        note = f"{elements.named(_('With label'), number(labelled))} · {rate}"
        elements.figures([(_("Rows"), number(rows), note)])


def _points(spec: ProjectSpec, points: pd.DataFrame, only: dict, labelled: int) -> None:
    for name, values in only.items():
        points = points[points[name].isin(values)]
    court = part(spec.name, "court")
    shown = points.sample(min(len(points), SHOWN_POINTS), random_state=0)
    positive, negative = elements.classes(spec)
    drawn = court.point_chart(shown, positive=positive, negative=negative)
    st.altair_chart(elements.localized(drawn), width="content")
    st.caption(_("{shown:,} of {rows:,} rows", shown=len(shown), rows=labelled))
