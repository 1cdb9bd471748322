"""Checks before parsing that a request can be parsed within bounded memory."""

from __future__ import annotations

import io

from core.platform import bounds
from core.platform.bounds import FileError


def check(body: bytes) -> None:
    """Refuse a body that would exceed the limits once parsed, in whatever format.

    A parquet footer has the number of values, and distinct texts are measured once; for JSON and
    CSV the separators are counted.

    Raises
    ------
    FileError
        With the code `request_cells`, `request_text` or `request_columns`.

    Examples
    --------
    >>> check(b'{"inputs": {"a": [' + b"1," * 2_000_000 + b"1]}}")
    Traceback (most recent call last):
    core.platform.bounds.FileError: Request: 2,000,003 values; the limit is 1,000,000. Use fewer \
rows or columns.
    """
    if body.startswith(b"PAR1"):
        _check_parquet(body)
        return
    # brackets too: each empty list is an object
    cells = sum(body.count(sign) for sign in (b",", b"[", b"{", b"\n", b"\r"))
    if cells > bounds.MAX_REQUEST_CELLS:
        raise FileError("request_cells", cells=cells, most=bounds.MAX_REQUEST_CELLS)


def _check_parquet(body: bytes) -> None:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(io.BytesIO(body)) as file:
            about, schema = file.metadata, file.schema_arrow
    except (pyarrow.ArrowException, OSError, ValueError):
        # not parquet: the parser reports it
        return
    columns = len(schema.names)
    if columns > bounds.MAX_COLUMNS:
        raise FileError("request_columns", columns=columns, most=bounds.MAX_COLUMNS)
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
    # a list of a million values is a single row
    cells = max(about.num_rows * columns, sum(chunk.num_values for chunk in chunks))
    if cells > bounds.MAX_REQUEST_CELLS:
        raise FileError("request_cells", cells=cells, most=bounds.MAX_REQUEST_CELLS)
    _check_decoded(sum(group.total_byte_size for group in groups))
    texts = [field.name for field in schema if bounds.is_text(field.type)]
    if not texts:
        return
    try:
        table = pq.read_table(io.BytesIO(body), columns=texts, read_dictionary=texts)
    except (pyarrow.ArrowException, OSError, ValueError):
        return
    _check_decoded(sum(bounds.text_bytes(column) for column in table.columns))


def _check_decoded(size: int) -> None:
    if size > bounds.MAX_REQUEST_DECODED:
        raise FileError("request_text", size=size / 1e6, most=bounds.MAX_REQUEST_DECODED / 1e6)
