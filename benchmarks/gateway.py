"""What the gateway costs: single rows to MLflow's bare scoring server and through the gateway.

    python benchmarks/gateway.py

Both get requests in turn in one run, with the log on. Works in a temporary home, on a synthetic
model.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import requests
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from core.platform.config import Settings
from core.predictions_log import log_search
from tests.integration.serving.gateways import GatewayProcess, free_port, save_model, serving

INPUTS = dict.fromkeys(("lat", "lon", "minutes", "period", "playoffs", "distance"), "number")
ROW = {"dataframe_split": {"columns": list(INPUTS), "data": [[34.0, -118.2, 5, 2, 0, 17]]}}
ROUNDS = 5
# clients -> requests of each in a round
LOADS = {1: 200, 8: 60}


def ask(url: str, clients: int, count: int) -> list[float]:
    """Return the milliseconds of each request; every one is answered by 200."""
    times: list[float] = []
    faults: list[str] = []

    def client() -> None:
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(count):
                start = time.perf_counter()
                answer = session.post(f"{url}/invocations", json=ROW, timeout=60)
                times.append((time.perf_counter() - start) * 1000)
                if answer.status_code != 200:
                    faults.append(answer.text)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        sys.exit(f"{len(faults)} requests failed: {faults[0]}")
    return times


def percentiles(times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"p50 {cuts[49]:6.1f}  p95 {cuts[94]:6.1f}  p99 {cuts[98]:6.1f} ms"


def measure(standing: GatewayProcess) -> None:
    for url in (standing.bare, standing.url):
        ask(url, 2, 30)
    sent = 60
    for clients, count in LOADS.items():
        bare: list[float] = []
        through: list[float] = []
        for _ in range(ROUNDS):
            bare += ask(standing.bare, clients, count)
            through += ask(standing.url, clients, count)
        sent += len(through)
        ratio = statistics.median(through) / statistics.median(bare)
        print(f"{clients} clients, bare     {percentiles(bare)}")
        print(
            f"{clients} clients, gateway  {percentiles(through)}   {ratio:.2f} times the bare p50"
        )
    print(f"rows in the log {log_search.count(standing.settings):,}, requests sent {sent:,}")


def main() -> None:
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({name: rng.normal(size=500) for name in INPUTS})
    target = (frame.sum(axis=1) + rng.normal(size=500) > 0).astype("int64")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model = save_model(home, LogisticRegression().fit(frame, target), INPUTS, is_complete=True)
        with serving(model) as (backend, _):
            standing = GatewayProcess(Settings(home=home / "home"), free_port(), backend)
            standing.keep(inputs=INPUTS)
            begun = time.perf_counter()
            standing.start()
            print(f"gateway started in {time.perf_counter() - begun:.2f} s", end="")
            try:
                assert standing.child is not None
                process = psutil.Process(standing.child.pid)
                print(f", {process.memory_info().rss / 1e6:.0f} MB at rest")
                measure(standing)
                print(f"{process.memory_info().rss / 1e6:.0f} MB at the end")
            finally:
                standing.end()


if __name__ == "__main__":
    main()
