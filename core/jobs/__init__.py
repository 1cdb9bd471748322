"""Background work: the job table, its supervisor, chains, schedules, a Dask cluster.

A job runs a step in its own process (`core.runtime`); this package stores what is queued, running
and finished.
"""

__all__ = [
    "chains",
    "cluster",
    "heartbeat",
    "jobs",
    "leftovers",
    "local_cluster",
    "schedules",
    "supervision",
    "workers",
]
