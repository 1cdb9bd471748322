"""Put the diagram of the life cycle, drawn from `core/platform/steps.py`, into docs/README.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "README.md"
PLACE = re.compile(r"(<!-- life cycle: .*? -->\n).*?(<!-- end of life cycle -->)", re.DOTALL)
sys.path.insert(0, str(ROOT))


def main() -> None:
    """Replace the text between the two marks."""
    from core.documents.texts import diagram

    drawn = f"```mermaid\n{diagram.mermaid().rstrip()}\n```\n"
    text = PLACE.sub(lambda match: match[1] + drawn + match[2], PAGE.read_text("utf-8"))
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
