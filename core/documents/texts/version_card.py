"""The model card of a registered version as a document."""

from __future__ import annotations

import re

from markupsafe import Markup

from core.documents.dossier import Document, Facts
from core.documents.texts.writing import written
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
    text = ""
    if known is not None:
        # without its own title
        text = model_card.card(known).partition("\n\n")[2]
        text = _RUN.sub(lambda match: f"[{match[1][:8]}](run:{match[1]})", text)
    name = f"model_card_v{version.version}"
    return written("model_card", facts, called=name, version=version, card=Markup(text))
