"""Parallel scoring of a file's parts on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from core.jobs import cluster
from core.platform.errors import CourtsideError, JobError
from core.scoring import output_parts, part_scoring
from core.scoring.batches import Part
from core.scoring.part_records import Done, Work
from core.scoring.scorer import Scorer

# their code must be the same on the workers
MODULES = (
    "core.scoring.cluster",
    "core.scoring.part_scoring",
    "core.scoring.part_records",
    "core.scoring.result_writer",
    "core.scoring.scorer",
    "core.scoring.batches",
    "core.scoring.addresses",
    "core.scoring.output_parts",
    "core.platform.schema",
    "core.platform.own_columns",
)


def score_all(
    address: str, work: Work, parts: Sequence[Part], model: Scorer, on_rows: Callable[[int], None]
) -> list[Done]:
    """Score parts as one Dask task each; the workers read and write them.

    Unfinished tasks are cancelled when this ends early; a task whose worker dies is restarted by
    another worker.

    Parameters
    ----------
    on_rows : callable
        Called with the number of rows of each finished part.

    Raises
    ------
    InputError
        When no cluster answers at the address, or its workers are unsuitable.
    JobError
        When the cluster is lost before all parts are done.
    """
    import distributed

    done = []
    with cluster.loss_reported(address), cluster.connected(address) as client:
        cluster.check(client, address, MODULES)
        sent = cluster.sent(client, (work, model))
        rows = {part.number: part.rows for part in parts}
        futures = [client.submit(_score, sent, part, pure=False) for part in parts]
        try:
            for future in distributed.as_completed(futures, loop=client.loop):
                error = future.exception(timeout=cluster.FETCH_SECONDS)
                if isinstance(error, CourtsideError):
                    raise error
                if error is not None:
                    reason = " ".join(str(error).split())[:300].rstrip(".")
                    raise JobError(output_parts.stopped(reason)) from error
                done.append(future.result(timeout=cluster.FETCH_SECONDS))
                on_rows(rows[done[-1].number])
        finally:
            with suppress(Exception):
                client.cancel(futures)
    return done


def _score(sent: tuple[Work, Scorer], part: Part) -> Done:
    work, model = sent
    return part_scoring.score_part(work, part, model)
