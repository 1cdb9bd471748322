"""Hostile requests against a served sample model: the answers, and the fate of each row.

    python benchmarks/fuzz_endpoint.py [requests] [seed]

Creates a home of its own, trains on the sample, serves the champion as the app does, and sends it
requests that are generated from a seed (5,000 and 1, unless others are given): all formats,
headers, encodings, odd indexes, duplicate keys, huge numbers, surrogates, damaged parquet, wrong
content types, broken framing, ids and labels. Ends with 1 unless no answer is 5xx, none is silent
and no row is lost.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from core.data import acquire, prepare
from core.platform import project
from core.platform.config import Settings
from core.projects.kobe import sample
from core.serving import api_keys, serve, server, server_process
from core.training import train
from tests.integration.serving import fuzzing
from tests.integration.serving.endpoints import free_port


def main() -> int:
    """Run it and print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rows = sample.generate(project.sample_tables("kobe"))
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder), serve_port=free_port())
        acquire.run(settings, acquire.Options())
        prepare.run(settings, prepare.Options())
        train.run(settings, train.Options(candidates=("lr",), folds=2))
        served = serve.run(settings, serve.Options())
        try:
            front = server.find(settings, served.port)
            assert front is not None
            inputs = {
                name: (float(rows[name].min()), float(rows[name].max())) for name in front.inputs
            }
            secret = api_keys.create(settings, "Fuzz")
            generator = fuzzing.RequestGenerator(seed, inputs, front.key or "shot_id", secret)
            start = time.monotonic()

            def report_progress(number: int) -> None:
                if number and number % 500 == 0:
                    print(f"{number:,} sent", file=sys.stderr)

            account = fuzzing.run(settings, served.port, generator, count, report_progress)
            seconds = time.monotonic() - start
        finally:
            server_process.stop(settings, served.port)
    _print(account, count, seed, seconds)
    return int(bool(account.faults or account.silent or account.lost or account.unequal))


def _print(account: fuzzing.Account, count: int, seed: int, seconds: float) -> None:
    codes = sorted({code for counts in account.statuses.values() for code in counts})
    print(f"{count:,} requests of seed {seed} in {seconds:,.0f} s; answers by kind:\n")
    print(f"{'':22}" + "".join(f"{code:>8}" for code in codes))
    for kind, counts in sorted(account.statuses.items()):
        print(f"{kind:22}" + "".join(f"{counts[code] or '':>8}" for code in codes))
    answered = sum(account.answered.values())
    print(
        f"\nrows answered {answered:,} (under {len(account.answered):,} request ids); in the log "
        f"{account.in_log:,}, set aside {account.set_aside:,}, in gaps {account.gaps:,}; lost "
        f"{account.lost:,}; requests with another number of rows in the log than were answered: "
        f"{len(account.unequal):,}; silent: {len(account.silent):,}; 5xx: {len(account.faults):,}"
    )
    for name in ("faults", "silent", "unequal"):
        for line in getattr(account, name):
            print(f"{name}: {line}")


if __name__ == "__main__":
    sys.exit(main())
