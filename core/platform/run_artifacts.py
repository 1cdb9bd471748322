"""The files that a record leaves in its run: tables, documents, charts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from core.platform import message_tables, messages, pictures
from core.platform.run_record import Record

# what draws the charts of a step, once its run has ended
_waiting: ContextVar[list[Callable[[], None]] | None] = ContextVar("waiting", default=None)


def write(client: Any, run_id: str, record: Record) -> None:
    """Write a record's tables, documents and specifications of charts to its run."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for folder, content in (
            ("tables", record.tables),
            ("documents", record.documents),
            ("figures", record.figures),
        ):
            if content:
                (place / folder).mkdir()
        for name, frame in record.tables.items():
            stored = message_tables.to_texts(frame)
            stored.to_parquet(place / "tables" / f"{name}.parquet")
        for name, document in record.documents.items():
            text = json.dumps(messages.to_data(document), indent=2, default=str)
            (place / "documents" / f"{name}.json").write_text(text, encoding="utf-8")
        for name, chart in record.figures.items():
            (place / "figures" / f"{name}.json").write_text(json.dumps(chart), encoding="utf-8")
        if any(place.iterdir()):
            client.log_artifacts(run_id, temporary)


@contextmanager
def drawn_at_the_end() -> Iterator[None]:
    """Draw the charts of the block when it has ended without an error: drawing takes long."""
    waiting: list[Callable[[], None]] = []
    before = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(before)
    for drawing in waiting:
        drawing()


def draw(client: Any, run_id: str, charts: Mapping[str, Any]) -> None:
    """Add the pictures of charts to a run, at the end of `drawn_at_the_end` or at once."""

    def drawing() -> None:
        with tempfile.TemporaryDirectory() as temporary:
            for name, chart in charts.items():
                Path(temporary, f"{name}.svg").write_text(pictures.svg(chart), encoding="utf-8")
            client.log_artifacts(run_id, temporary, "figures")

    waiting = _waiting.get()
    if not charts:
        return
    if waiting is None:
        drawing()
    else:
        waiting.append(drawing)
