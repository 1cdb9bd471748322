"""The diagram of the life cycle, from acquisition to operation, drawn from `core.stages`.

Three forms of one picture: a text for Mermaid, a text for Graphviz, and a Vega-Lite chart for
pages, HTML, PDF and pictures.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from copy import deepcopy
from functools import lru_cache
from typing import Any

import pandas as pd

from core.logic import style
from core.stages import STAGES, Artifact, Stage

Told = Callable[[str], str]

# units of the picture are pixels of a file; a page scales it to its own width
WIDTH, BOX_LEFT, BOX_WIDTH, GAP, LINE = 640, 86, 152, 14, 14
TEXT_CHARACTERS, TEXT_SIZE = 52, 11
LANE = 13
PHASES = {"development": "A model is made", "operation": "A model is at work"}


def _same(text: str) -> str:
    return text


def places(stage: Stage) -> list[str]:
    """Return what a stage leaves outside its run, those of one folder in one line.

    Examples
    --------
    >>> from core.stages import stage
    >>> places(stage("prepare"))[0]
    'data/03_primary: data_filtered.parquet'
    >>> places(stage("promote"))
    ['registry: @champion']
    """
    folders: dict[str, list[str]] = {}
    for one in stage.leaves:
        if one.room in ("run", "candidate"):
            continue
        folder, _, name = one.name.rpartition("/") if one.room == "home" else (one.room, "", "")
        folders.setdefault(folder, []).append(name or one.name)
    return [f"{folder}: {', '.join(names)}" for folder, names in folders.items()]


def kept_in_run(stage: Stage) -> list[Artifact]:
    """Return what a stage leaves in its run, or in runs nested in it."""
    return [one for one in stage.leaves if one.room in ("run", "candidate")]


def _more(stage: Stage) -> str:
    count = len(kept_in_run(stage))
    return f"{count} artifacts in its run" if count > 1 else f"{count} artifact in its run"


def _lines(stage: Stage, told: Told) -> list[str]:
    lines = [part for one in places(stage) for part in textwrap.wrap(one, TEXT_CHARACTERS)]
    return [*lines, told(_more(stage))] if kept_in_run(stage) else lines


def mermaid(told: Told = _same) -> str:
    """Return the diagram as a Mermaid flowchart.

    Parameters
    ----------
    told : callable
        Translates a text.

    Examples
    --------
    >>> text = mermaid()
    >>> text.splitlines()[0], "acquire --> prepare" in text, "retrain --> promote" in text
    ('flowchart LR', True, True)
    """
    lines = ["flowchart LR"]
    for phase, title in PHASES.items():
        lines.append(f'  subgraph {phase}["{told(title)}"]')
        for one in STAGES:
            if one.phase == phase:
                name = f"<b>{told(one.title)}</b><br/>{one.run_name}"
                lines.append(f'    {one.step}["{name}"]')
        lines.append("  end")
    for one in STAGES:
        lines += [f"  {one.step} --> {other}" for other in one.next]
    for one in STAGES:
        # a name in angle brackets would be taken for HTML
        shown = "<br/>".join(_entities(line) for line in _lines(one, told))
        lines += [
            f'  {one.step}_leaves["{shown}"]:::artifact',
            f"  {one.step} -.- {one.step}_leaves",
        ]
    lines.append("  classDef artifact fill:none,stroke-dasharray:3 3,font-size:12px")
    return "\n".join(lines) + "\n"


def _entities(text: str) -> str:
    return text.replace("<", "#lt;").replace(">", "#gt;").replace("@", "#64;")


def dot(told: Told = _same) -> str:
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
        lines.append(f'  subgraph "cluster_{place}" {{ label="{told(title)}"; style="rounded"')
        for one in STAGES:
            if one.phase == phase:
                text = "\\n".join([told(one.title), one.run_name])
                fill = _colours()[phase]
                lines.append(f'    "{one.step}" [label="{text}", fillcolor="{fill}"]')
                left = "".join(f"{line}\\l" for line in _lines(one, told))
                lines.append(
                    f'    "{one.step} leaves" [label="{left}", shape=note, style="", '
                    f'fontsize=9, color="{grey}", fontcolor="{grey}"]'
                )
        lines.append("  }")
    for one in STAGES:
        lines += [f'  "{one.step}" -> "{other}"' for other in one.next]
        lines.append(f'  "{one.step}" -> "{one.step} leaves" [style=dashed, arrowhead=none]')
    return "\n".join([*lines, "}"]) + "\n"


def _colours() -> dict[str, str]:
    return {"development": style.PALETTE["cool"], "operation": style.PALETTE["accent"]}


def chart(told: Told = _same) -> dict[str, Any]:
    """Return the diagram as a Vega-Lite chart: a box per stage, what it leaves beside it.

    Arrows between neighbours run down; all others run left of the boxes, dashed where they lead
    back.

    Examples
    --------
    >>> drawn = chart()
    >>> drawn["width"], len(drawn["layer"])
    ('container', 6)
    """
    # four documents and the checklist draw the same one
    return deepcopy(_in_english()) if told is _same else _drawn(told)


@lru_cache(maxsize=1)
def _in_english() -> dict[str, Any]:
    return _drawn(_same)


def _drawn(told: Told) -> dict[str, Any]:
    import altair as alt

    boxes, texts, height = _laid_out(told)
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
            domain=[told(PHASES[one]) for one in colours], range=list(colours.values())
        ),
        legend=style.legend(2),
    )
    grey = style.PALETTE["line"]
    told_boxes = boxes.assign(
        phase=[told(PHASES[one.phase]) for one in STAGES],
        about=[told(one.about) for one in STAGES],
        title=[told(one.title) for one in STAGES],
        middle=boxes["left"] + BOX_WIDTH / 2,
        name=boxes["y"] + boxes["high"] / 2 - 8,
        run=boxes["y"] + boxes["high"] / 2 + 9,
    )
    tooltip = [
        alt.Tooltip("title:N", title=told("Page")),
        alt.Tooltip("run_name:N", title=told("MLflow run")),
        alt.Tooltip("about:N", title=told("What it does")),
    ]
    base = alt.Chart(told_boxes)
    layers = [
        alt.Chart(lines)
        .mark_line(color=grey, strokeWidth=1.5, interpolate="linear")
        .encode(
            x=x, y=y, detail="edge:N", order="place:Q",
            strokeDash=alt.StrokeDash(
                "back:N", scale=alt.Scale(domain=[False, True], range=[[1, 0], [5, 4]]), legend=None
            ),
        ),
        alt.Chart(heads)
        .mark_point(color=grey, filled=True, size=70, opacity=1)
        .encode(
            x=x, y=y,
            shape=alt.Shape(
                "to:N", legend=None,
                scale=alt.Scale(
                    domain=["down", "right"], range=["triangle-down", "triangle-right"]
                ),
            ),
        ),
        base.mark_rect(cornerRadius=6).encode(
            x=across("left"),
            x2="right:Q", y=y, y2="below:Q", color=fill, tooltip=tooltip,
        ),
        base.mark_text(color=style.ON_DARK, fontWeight="bold", fontSize=14).encode(
            x=across("middle"), y=down("name"), text="title:N", tooltip=tooltip
        ),
        base.mark_text(color=style.ON_DARK, fontSize=12).encode(
            x=across("middle"), y=down("run"), text="run_name:N", tooltip=tooltip
        ),
        alt.Chart(texts)
        .mark_text(align="left", baseline="middle", fontSize=TEXT_SIZE, color="currentColor")
        .encode(x=x, y=y, text="text:N"),
    ]  # fmt: skip
    drawn = style.finish(
        layers, None, told("The life cycle from acquisition to operation"), height=height + 34
    )
    found: dict[str, Any] = drawn.to_dict()
    found["config"]["view"]["stroke"] = None
    return found


def _laid_out(told: Told) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Return the boxes, the lines of text beside them, and the height of all, in pixels."""
    boxes, texts, y = [], [], 2.0
    for one in STAGES:
        lines = _lines(one, told)
        high = max(46.0, LINE * len(lines) + 6)
        boxes.append(
            {
                "step": one.step, "title": one.title, "run_name": one.run_name,
                "left": BOX_LEFT, "right": BOX_LEFT + BOX_WIDTH, "y": y, "below": y + high,
                "high": high,
            }
        )  # fmt: skip
        first = y + high / 2 - LINE * (len(lines) - 1) / 2
        texts += [
            {"x": BOX_LEFT + BOX_WIDTH + 12, "y": first + LINE * place, "text": line}
            for place, line in enumerate(lines)
        ]
        y += high + GAP
    return pd.DataFrame(boxes), pd.DataFrame(texts), int(y - GAP + 2)


def _arrows(boxes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the corners of the arrows' lines, and their heads."""
    order = {one.step: place for place, one in enumerate(STAGES)}
    edges = [(order[one.step], order[other]) for one in STAGES for other in one.next]
    lines, heads = [], []
    taken: list[list[tuple[int, int]]] = []
    # short ones lie near the boxes, and two that overlap lie in lanes of their own
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
                    for place, spans in enumerate(taken)
                    if all(span[1] < low or high < span[0] for low, high in spans)
                ),
                len(taken),
            )
            if lane == len(taken):
                taken.append([])
            taken[lane].append(span)
            x = BOX_LEFT - 16 - LANE * lane
            # what arrives stands above the middle, what leaves below it
            start = top["y"] + top["high"] / 2 + 12
            stop = bottom["y"] + bottom["high"] / 2 - 12
            corners = [(BOX_LEFT, start), (x, start), (x, stop), (BOX_LEFT - 4, stop)]
            heads.append({"x": BOX_LEFT - 5, "y": stop, "to": "right"})
        lines += [
            {"edge": edge, "place": place, "x": corner[0], "y": corner[1], "back": back}
            for place, corner in enumerate(corners)
        ]
    return pd.DataFrame(lines), pd.DataFrame(heads)
