"""The diagram of the life cycle, from acquisition to operation, drawn from `core.platform.steps`.

One picture in three formats: Mermaid text, Graphviz text, and a Vega-Lite chart for pages, HTML,
PDF and pictures.
"""

from __future__ import annotations

import textwrap
from copy import deepcopy
from functools import lru_cache
from typing import Any

import pandas as pd

from core.documents.dossier import Figure
from core.platform.messages import LANGUAGES, Message, _, current, n_, speaking
from core.platform.steps import STEPS, Artifact, Step
from core.stats.charts import style

# in pixels of a picture file; a page scales it to its own width
WIDTH, BOX_LEFT, BOX_WIDTH, GAP, LINE = 640, 86, 152, 14, 14
TEXT_CHARACTERS, TEXT_SIZE = 52, 11
LANE = 13
PHASES = {"development": Message("Development"), "operation": Message("Operation")}


def places(stage: Step) -> list[str]:
    """Return what a stage writes outside its run, one line per folder.

    Examples
    --------
    >>> from core.platform.steps import named
    >>> places(named("prepare"))[0]
    'data/03_primary: data_filtered.parquet'
    >>> places(named("promote"))
    ['registry: @champion']
    """
    folders: dict[str, list[str]] = {}
    for artifact in stage.outputs:
        if artifact.room in ("run", "candidate"):
            continue
        folder, _unused, name = (
            artifact.name.rpartition("/") if artifact.room == "home" else (artifact.room, "", "")
        )
        folders.setdefault(folder, []).append(name or artifact.name)
    return [f"{folder}: {', '.join(names)}" for folder, names in folders.items()]


def kept_in_run(stage: Step) -> list[Artifact]:
    """Return what a stage writes to its run, or to runs nested in it."""
    return [artifact for artifact in stage.outputs if artifact.room in ("run", "candidate")]


def _lines(stage: Step) -> list[str]:
    lines = [part for place in places(stage) for part in textwrap.wrap(place, TEXT_CHARACTERS)]
    if left := len(kept_in_run(stage)):
        lines.append(n_("{count} artifact in its run", "{count} artifacts in its run", left))
    return lines


def mermaid() -> str:
    """Return the diagram as a Mermaid flowchart.

    Examples
    --------
    >>> text = mermaid()
    >>> text.splitlines()[0], "acquire --> prepare" in text, "retrain --> promote" in text
    ('flowchart LR', True, True)
    """
    lines = ["flowchart LR"]
    for phase, title in PHASES.items():
        lines.append(f'  subgraph {phase}["{title}"]')
        for stage in STEPS:
            if stage.phase == phase:
                name = f"<b>{stage.title}</b><br/>{stage.run_name}"
                lines.append(f'    {stage.name}["{name}"]')
        lines.append("  end")
    for stage in STEPS:
        lines += [f"  {stage.name} --> {other}" for other in stage.next]
    for stage in STEPS:
        # a name in angle brackets would be parsed as HTML
        shown = "<br/>".join(_entities(line) for line in _lines(stage))
        lines += [
            f'  {stage.name}_leaves["{shown}"]:::artifact',
            f"  {stage.name} -.- {stage.name}_leaves",
        ]
    lines.append("  classDef artifact fill:none,stroke-dasharray:3 3,font-size:12px")
    return "\n".join(lines) + "\n"


def _entities(text: str) -> str:
    return text.replace("<", "#lt;").replace(">", "#gt;").replace("@", "#64;")


def figure() -> Figure:
    """Return the diagram as a figure of a document."""
    return Figure("life_cycle", "", chart(), mermaid())


def dot() -> str:
    """Return the diagram in Graphviz's language.

    Examples
    --------
    >>> text = dot()
    >>> text.startswith("digraph"), '"score" -> "monitor"' in text
    (True, True)
    """
    grey, white = style.PALETTE["neutral"], style.ON_DARK
    lines = [
        "digraph lifecycle {",
        f'  graph [rankdir=TB, bgcolor="transparent", fontname="Helvetica", fontcolor="{grey}", '
        f'color="{grey}"]',
        f'  node [fontname="Helvetica", fontsize=11, shape=box, style="rounded,filled", '
        f'color="transparent", fontcolor="{white}"]',
        f'  edge [color="{grey}"]',
    ]
    for place, (phase, title) in enumerate(PHASES.items()):
        lines.append(f'  subgraph "cluster_{place}" {{ label="{title}"; style="rounded"')
        for stage in STEPS:
            if stage.phase == phase:
                text = "\\n".join([str(stage.title), stage.run_name])
                fill = _colours()[phase]
                lines.append(f'    "{stage.name}" [label="{text}", fillcolor="{fill}"]')
                left = "".join(f"{line}\\l" for line in _lines(stage))
                lines.append(
                    f'    "{stage.name} leaves" [label="{left}", shape=note, style="", '
                    f'fontsize=9, color="{grey}", fontcolor="{grey}"]'
                )
        lines.append("  }")
    for stage in STEPS:
        lines += [f'  "{stage.name}" -> "{other}"' for other in stage.next]
        lines.append(f'  "{stage.name}" -> "{stage.name} leaves" [style=dashed, arrowhead=none]')
    return "\n".join([*lines, "}"]) + "\n"


def _colours() -> dict[str, str]:
    return {"development": style.PALETTE["cool"], "operation": style.PALETTE["accent"]}


def chart() -> dict[str, Any]:
    """Return the diagram as a Vega-Lite chart: a box per stage, with its outputs at its right.

    Arrows between neighbours point down; all others run left of the boxes, dashed where they point
    back.

    Examples
    --------
    >>> drawn = chart()
    >>> drawn["width"], len(drawn["layer"])
    ('container', 6)
    """
    # four documents and the checklist draw the same one: cached
    return deepcopy(_drawn(current()))


@lru_cache(maxsize=len(LANGUAGES))
def _drawn(language: str) -> dict[str, Any]:
    with speaking(language):
        return _drawing()


def _drawing() -> dict[str, Any]:
    import altair as alt

    boxes, texts, height = _laid_out()
    lines, heads = _arrows(boxes)

    def across(field: str) -> alt.X:
        return alt.X(f"{field}:Q", axis=None, scale=alt.Scale(domain=[0, WIDTH], nice=False))

    def down(field: str) -> alt.Y:
        scale = alt.Scale(domain=[0, height], nice=False, reverse=True)
        return alt.Y(f"{field}:Q", axis=None, scale=scale)

    x, y = across("x"), down("y")
    colours = _colours()
    fill = alt.Color(
        "phase:N",
        scale=alt.Scale(
            domain=[str(PHASES[phase]) for phase in colours], range=list(colours.values())
        ),
        legend=style.legend(2),
    )
    grey = style.PALETTE["line"]
    labelled_boxes = boxes.assign(
        phase=[str(PHASES[stage.phase]) for stage in STEPS],
        about=[str(stage.about) for stage in STEPS],
        title=[str(stage.title) for stage in STEPS],
        middle=boxes["left"] + BOX_WIDTH / 2,
        name=boxes["y"] + boxes["high"] / 2 - 8,
        run=boxes["y"] + boxes["high"] / 2 + 9,
    )
    tooltip = [
        alt.Tooltip("title:N", title=_("Page")),
        alt.Tooltip("run_name:N", title=_("MLflow run")),
        alt.Tooltip("about:N", title=_("What it does")),
    ]
    base = alt.Chart(labelled_boxes)
    layers = [
        alt.Chart(lines)
        .mark_line(color=grey, strokeWidth=1.5, interpolate="linear")
        .encode(
            x=x,
            y=y,
            detail=alt.Detail("edge:N"),
            order=alt.Order("place:Q"),
            strokeDash=alt.StrokeDash(
                "back:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]]), legend=None
            ),
        ),
        alt.Chart(heads)
        .mark_point(color=grey, filled=True, size=70, opacity=1)
        .encode(
            x=x,
            y=y,
            shape=alt.Shape(
                "to:N",
                legend=None,
                scale=alt.Scale(
                    domain=["down", "right"], range=["triangle-down", "triangle-right"]
                ),
            ),
        ),
        base.mark_rect(cornerRadius=6).encode(
            x=across("left"),
            x2=alt.X2("right:Q"),
            y=y,
            y2=alt.Y2("below:Q"),
            color=fill,
            tooltip=tooltip,
        ),
        base.mark_text(color=style.ON_DARK, fontWeight="bold", fontSize=14).encode(
            x=across("middle"), y=down("name"), text=alt.Text("title:N"), tooltip=tooltip
        ),
        base.mark_text(color=style.ON_DARK, fontSize=12).encode(
            x=across("middle"), y=down("run"), text=alt.Text("run_name:N"), tooltip=tooltip
        ),
        alt.Chart(texts)
        .mark_text(align="left", baseline="middle", fontSize=TEXT_SIZE, color="currentColor")
        .encode(x=x, y=y, text=alt.Text("text:N")),
    ]
    drawn = style.finish(
        layers,
        _("The life cycle: the steps, and what each writes outside its run."),
        height=height + 34,
    )
    vega: dict[str, Any] = drawn.to_dict()
    vega["config"]["view"]["stroke"] = None
    return vega


def _laid_out() -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the boxes, the lines of text next to them, and the total height, in pixels."""
    boxes, texts, y = [], [], 2.0
    for stage in STEPS:
        lines = _lines(stage)
        high = max(46.0, LINE * len(lines) + 6)
        boxes.append(
            {
                "step": stage.name,
                "title": str(stage.title),
                "run_name": stage.run_name,
                "left": BOX_LEFT,
                "right": BOX_LEFT + BOX_WIDTH,
                "y": y,
                "below": y + high,
                "high": high,
            }
        )
        first = y + high / 2 - LINE * (len(lines) - 1) / 2
        texts += [
            {"x": BOX_LEFT + BOX_WIDTH + 12, "y": first + LINE * place, "text": line}
            for place, line in enumerate(lines)
        ]
        y += high + GAP
    return pd.DataFrame(boxes), pd.DataFrame(texts), int(y - GAP + 2)


def _arrows(boxes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the corners of the arrows' lines, and their heads."""
    order = {stage.name: place for place, stage in enumerate(STEPS)}
    edges = [(order[stage.name], order[other]) for stage in STEPS for other in stage.next]
    lines, heads = [], []
    lanes: list[list[tuple[int, int]]] = []
    # short ones are close to the boxes, and overlapping ones are in separate lanes
    for begin, end in sorted(edges, key=lambda edge: abs(edge[1] - edge[0])):
        edge, back = f"{begin}-{end}", end < begin
        top, bottom = boxes.iloc[begin], boxes.iloc[end]
        if end == begin + 1:
            middle = BOX_LEFT + BOX_WIDTH / 2
            corners = [(middle, top["below"]), (middle, bottom["y"] - 4)]
            heads.append({"x": middle, "y": bottom["y"] - 5, "to": "down"})
        else:
            span = (min(begin, end), max(begin, end))
            lane = next(
                (
                    place
                    for place, spans in enumerate(lanes)
                    if all(span[1] < low or high < span[0] for low, high in spans)
                ),
                len(lanes),
            )
            if lane == len(lanes):
                lanes.append([])
            lanes[lane].append(span)
            x = BOX_LEFT - 16 - LANE * lane
            # arrows arrive above the middle of a box and leave below it
            start = top["y"] + top["high"] / 2 + 12
            stop = bottom["y"] + bottom["high"] / 2 - 12
            corners = [(BOX_LEFT, start), (x, start), (x, stop), (BOX_LEFT - 4, stop)]
            heads.append({"x": BOX_LEFT - 5, "y": stop, "to": "right"})
        lines += [
            {"edge": edge, "place": place, "x": corner[0], "y": corner[1], "back": back}
            for place, corner in enumerate(corners)
        ]
    return pd.DataFrame(lines), pd.DataFrame(heads)
