"""The shipped dossier says the same as a life cycle on the real rows today."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest

from core.documents import gather as documents
from core.documents.texts import as_markdown
from core.platform.config import CODE_ROOT, Settings

FOLDER = CODE_ROOT / "docs" / "dossier"
# the share of their figures that a fresh life cycle reproduces; the rest comes from the gate, the
# explanation, the server, the learning curve, the retraining and the replay
SHARES = {
    "project_charter": 0.9,
    "data_report": 1.0,
    "data_dictionary": 1.0,
    "model_report": 0.97,
    "monitoring_report": 0.97,
    "exit_report": 0.7,
    "answers": 0.8,
    "model_card_v1": 0.9,
}
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC")
_RUN = re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{8}\b|\b[0-9]{8}\b")
_OF_THE_WAY = re.compile("steps were taken|steps have run|per second| ms a row|/invocations")
_ITEM = re.compile(r"^\d+\. ")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


def lines(text: str) -> list[tuple[str, list[str]]]:
    """Return each line with figures: its text without them, and the figures."""
    parts = []
    for line in text.splitlines():
        # image addresses, the diagram, and what varies: progress, speed, the port
        if line.startswith(("!", "  ")) or _OF_THE_WAY.search(line):
            continue
        # the number of an item depends on how many come before it
        bare = _RUN.sub("run", _MOMENT.sub("moment", _ITEM.sub("- ", line)))
        numbers = _NUMBER.findall(bare)
        if numbers:
            parts.append((_NUMBER.sub("#", bare), numbers))
    return parts


def value(number: str) -> float:
    return float(number.replace(",", ""))


def agree(shipped: str, fresh: str, share: float) -> bool:
    """Return whether two figures agree up to a unit of the last digit, or up to a share."""
    unit = 10.0 ** -len(shipped.partition(".")[2]) if "." in shipped else 0.0
    tolerance = max(1.01 * unit, share * abs(value(shipped)))
    return abs(value(shipped) - value(fresh)) <= tolerance


@pytest.fixture(scope="module")
def fresh(operated_real: Settings) -> dict[str, str]:
    return {
        document.name: as_markdown.render(document) for document in documents.build(operated_real)
    }


@pytest.mark.long
@pytest.mark.parametrize("name", SHARES)
def test_the_figures_of_the_shipped_dossier_are_reproduced(
    fresh: dict[str, str], name: str
) -> None:
    shipped, generated = lines((FOLDER / f"{name}.md").read_text("utf-8")), lines(fresh[name])
    pairs = difflib.SequenceMatcher(
        None, [text for text, _ in shipped], [text for text, _ in generated], autojunk=False
    ).get_matching_blocks()
    compared = 0
    for left, right, size in pairs:
        for offset in range(size):
            text, numbers = shipped[left + offset]
            # neighbours at the same distance: which of them count depends on the order of the rows
            share = 0.04 if "neighbours" in text else 0.0
            for shipped_figure, fresh_figure in zip(
                numbers, generated[right + offset][1], strict=True
            ):
                assert agree(shipped_figure, fresh_figure, share), (
                    text,
                    shipped_figure,
                    fresh_figure,
                )
            compared += 1
    assert compared >= SHARES[name] * len(shipped), [
        text for text, _ in shipped if text not in {text for text, _ in generated}
    ]


def test_links_of_the_dossier_have_targets() -> None:
    texts = {path: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    targets = [
        path.parent / target
        for path, text in texts.items()
        for target in re.findall(r"\]\(([^)#:]+)\)", text)
    ]
    assert len(targets) > len(texts)
    assert not [target for target in targets if not target.is_file()]
    pictures = set(FOLDER.glob("figures/*.svg"))
    assert pictures == {Path(target) for target in targets if target.suffix == ".svg"}
    assert all("](run:" not in text for text in texts.values())
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_500_000
