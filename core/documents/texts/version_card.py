"""The model card of a registered version as a document."""

from __future__ import annotations

import re

from core.documents.dossier import (
    Block,
    Bullets,
    Code,
    Document,
    Facts,
    Heading,
    Missing,
    Paragraph,
    Table,
)
from core.platform.messages import _
from core.platform.runs import ModelVersion
from core.registry import model_card

_RUN = re.compile(r"`([0-9a-f]{32})`")


def build(facts: Facts, version: ModelVersion) -> Document:
    """Return the model card of a version, with links to its runs.

    Examples
    --------
    >>> from core.platform import project
    >>> version = ModelVersion("m", "3", "r", (), {}, 0.0)
    >>> cards = {"3": {"model": "m", "version": "3", "created": 0.0}}
    >>> build(Facts(project.load("kobe"), cards=cards), version).name
    'model_card_v3'
    """
    known = facts.cards.get(version.version)
    blocks: tuple[Block, ...] = (Missing(_("No facts about this version are available."), "train"),)
    if known is not None:
        blocks = tuple(blocks_of(model_card.card(known)))
    return Document(
        f"model_card_v{version.version}",
        _("Model card of {name}, version {version}", name=version.name, version=version.version),
        _("Purpose, training data, metrics, weaknesses, and how to call it."),
        blocks,
    )


def blocks_of(card: str) -> list[Block]:
    r"""Return the blocks of a card's Markdown, without its title.

    Examples
    --------
    >>> blocks_of("# m\n\n## Use\n\n- a\n- b")
    [Heading(text='Use', level=2), Bullets(items=('a', 'b'), numbered=False)]
    """
    blocks: list[Block] = []
    # a code block may contain empty lines
    for part in re.split(r"\n\n(?![^`]*```\n)(?=\S)", card):
        text = _RUN.sub(lambda match: f"[{match[1][:8]}](run:{match[1]})", part.strip())
        if text.startswith("# "):
            continue
        if text.startswith("## "):
            blocks.append(Heading(text.removeprefix("## ")))
        elif text.startswith("```"):
            language, _unused, code = text.removeprefix("```").partition("\n")
            blocks.append(Code(code.removesuffix("```").rstrip("\n"), language))
        elif text.startswith("| "):
            head, _rule, *rows = (
                [_cell(cell) for cell in _cells(line)] for line in text.splitlines()
            )
            blocks.append(Table(tuple(head), tuple(tuple(row) for row in rows)))
        elif text.startswith("- "):
            blocks.append(Bullets(tuple(line.removeprefix("- ") for line in text.splitlines())))
        else:
            blocks.append(Paragraph(text))
    return blocks


def _cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))


def _cell(text: str) -> str:
    return text.strip().replace("\\|", "|")
