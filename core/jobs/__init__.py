"""Work in the background: the table of jobs, chains of jobs, schedules, a local Dask cluster.

A job runs a step in a process of its own (`core.runtime`); here stands what is to be done, what is
being done and what came of it.
"""

__all__ = ["chains", "cluster", "heartbeat", "jobs", "leftovers", "local_cluster", "schedules"]
