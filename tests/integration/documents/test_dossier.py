"""The dossier that the project ships says what a life cycle on the real rows says today."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import pytest

from core.documents import gather as documents
from core.documents.texts import as_markdown
from core.platform.config import CODE_ROOT, Settings

FOLDER = CODE_ROOT / "docs" / "dossier"
# with so much of their figures from steps that the fresh life cycle takes too; the rest is of the
# gate, the explanation, the server, the learning curve, the retraining and the replay
SHARES = {
    "project_charter": 0.9,
    "data_report": 1.0,
    "data_dictionary": 1.0,
    "model_report": 1.0,
    "monitoring_report": 0.98,
    "exit_report": 0.7,
    "answers": 0.8,
    "model_card_v1": 0.9,
}
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2} UTC")
_RUN = re.compile(r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{8}\b|\b[0-9]{8}\b")
_OF_THE_WAY = re.compile("steps were taken|per second| ms a row|/invocations")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?")


def lines(text: str) -> list[tuple[str, list[str]]]:
    """Return what each line with a figure says around its figures, and the figures."""
    found = []
    for line in text.splitlines():
        # a picture's address; the diagram; how much of the way was gone, how fast, on which port
        if line.startswith(("!", "  ")) or _OF_THE_WAY.search(line):
            continue
        bare = _RUN.sub("run", _MOMENT.sub("moment", line))
        numbers = _NUMBER.findall(bare)
        if numbers:
            found.append((_NUMBER.sub("#", bare), numbers))
    return found


def value(number: str) -> float:
    return float(number.replace(",", ""))


def agree(kept: str, fresh: str, share: float) -> bool:
    """Tell whether two figures are equal up to a unit of the last digit, or to a share."""
    unit = 10.0 ** -len(kept.partition(".")[2]) if "." in kept else 0.0
    far = max(1.01 * unit, share * abs(value(kept)))
    return abs(value(kept) - value(fresh)) <= far


@pytest.fixture(scope="module")
def fresh(operated_real: Settings) -> dict[str, str]:
    return {one.name: as_markdown.render(one) for one in documents.build(operated_real)}


@pytest.mark.parametrize("name", SHARES)
def test_the_figures_of_the_shipped_dossier_come_out_again(
    fresh: dict[str, str], name: str
) -> None:
    kept, found = lines((FOLDER / f"{name}.md").read_text("utf-8")), lines(fresh[name])
    pairs = difflib.SequenceMatcher(
        None, [said for said, _ in kept], [said for said, _ in found], autojunk=False
    ).get_matching_blocks()
    compared = 0
    for here, there, size in pairs:
        for at in range(size):
            said, numbers = kept[here + at]
            # neighbours at the same distance: which of them count depends on the order of the rows
            share = 0.04 if "neighbours" in said else 0.0
            for old, new in zip(numbers, found[there + at][1], strict=True):
                assert agree(old, new, share), (said, old, new)
            compared += 1
    assert compared >= SHARES[name] * len(kept), [
        said for said, _ in kept if said not in {said for said, _ in found}
    ]


def test_what_the_dossier_links_to_is_there() -> None:
    texts = {path: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    places = [
        path.parent / place
        for path, text in texts.items()
        for place in re.findall(r"\]\(([^)#:]+)\)", text)
    ]
    assert len(places) > len(texts)
    assert not [place for place in places if not place.is_file()]
    pictures = set(FOLDER.glob("figures/*.svg"))
    assert pictures == {Path(place) for place in places if place.suffix == ".svg"}
    assert all("run:" not in text for text in texts.values())
    kept = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in kept) < 1_500_000
