"""What an endpoint costs beside MLflow's bare scoring server, as ratios measured in one run.

    python benchmarks/endpoint.py [start] [latency] [rows] [switch] [--rows 100000] [--rounds 5]

Both get requests in turn, the endpoint with its log on, in a temporary home and on a synthetic
model. `rows` compares the client on the endpoint with the fastest of several loops by hand on the
bare server. `switch` compares the slowest answers while versions change with those at rest.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
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
from core.serving import api_keys, client, server
from tests.integration.serving.endpoints import EndpointProcess, free_port, save_model, serving

INPUTS = dict.fromkeys(("lat", "lon", "minutes", "period", "playoffs", "distance"), "number")
ROW = {"dataframe_split": {"columns": list(INPUTS), "data": [[34.0, -118.2, 5, 2, 0, 17]]}}
# clients -> requests of each in a round
LOADS = {1: 200, 8: 60}
SIZES = (10_000, 20_000, 50_000)
SWITCHES, SWITCH_CLIENTS = 6, 4


def ask(url: str, clients: int, count: int) -> list[float]:
    """Return the milliseconds of each request; every one is answered by 200."""
    times: list[float] = []
    faults: list[str] = []

    def caller() -> None:
        with requests.Session() as session:
            session.trust_env = False
            for _ in range(count):
                start = time.perf_counter()
                answer = session.post(f"{url}/invocations", json=ROW, timeout=60)
                times.append((time.perf_counter() - start) * 1000)
                if answer.status_code != 200:
                    faults.append(answer.text)

    threads = [threading.Thread(target=caller) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        sys.exit(f"{len(faults)} requests failed: {faults[0]}")
    return times


def memory(pid: int) -> int:
    return round(psutil.Process(pid).memory_info().rss / 1e6)


def start(home: Path, model: Path, rounds: int) -> None:
    """Start both in turn, until the first answer to a row."""
    bare: list[float] = []
    own: list[float] = []
    for _ in range(rounds):
        begun = time.perf_counter()
        with serving(model) as (port, _):
            ask(f"http://127.0.0.1:{port}", 1, 1)
            bare.append(time.perf_counter() - begun)
        standing = EndpointProcess(Settings(home=home / "start"), free_port(), model)
        standing.keep(inputs=INPUTS)
        begun = time.perf_counter()
        standing.start()
        ask(standing.url, 1, 1)
        own.append(time.perf_counter() - begun)
        standing.end()
    ratio = statistics.median(own) / statistics.median(bare)
    print(
        f"first answer: bare {statistics.median(bare):.1f} s, endpoint "
        f"{statistics.median(own):.1f} s, {ratio:.2f} times the bare server's"
    )


def percentiles(times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    return f"p50 {cuts[49]:6.1f}  p95 {cuts[94]:6.1f}  p99 {cuts[98]:6.1f} ms"


def latency(standing: EndpointProcess, rounds: int) -> None:
    for url in (standing.bare, standing.url):
        ask(url, 2, 30)
    before = log_search.count(standing.settings)
    sent = 0
    for clients, count in LOADS.items():
        bare: list[float] = []
        own: list[float] = []
        for _ in range(rounds):
            bare += ask(standing.bare, clients, count)
            own += ask(standing.url, clients, count)
        sent += len(own)
        ratio = statistics.median(own) / statistics.median(bare)
        print(f"{clients} clients, bare      {percentiles(bare)}")
        print(f"{clients} clients, endpoint  {percentiles(own)}   {ratio:.2f} times the bare p50")
    logged = log_search.count(standing.settings) - before
    print(f"rows in the log {logged:,}, requests sent {sent:,}")


def by_parquet(standing: EndpointProcess, rows: int, rounds: int) -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({name: rng.normal(size=rows) for name in INPUTS})

    def by_hand(size: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            for first in range(0, len(frame), size):
                sink = io.BytesIO()
                frame[first : first + size].to_parquet(sink, index=False)
                answer = session.post(
                    f"{standing.bare}/invocations",
                    data=sink.getvalue(),
                    headers={"Content-Type": "application/vnd.apache.parquet"},
                    timeout=600,
                )
                answer.raise_for_status()
                [prediction["probability"] for prediction in answer.json()["predictions"]]

    ways: dict[str, Callable[[], object]] = {
        f"by hand {size:,}": lambda size=size: by_hand(size) for size in SIZES
    }
    ways["client, bare"] = lambda: client.score(standing.bare, frame, INPUTS)
    ways["client, endpoint"] = lambda: client.score(standing.url, frame, INPUTS)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            # the first round warms up
            if number:
                seconds[name].append(time.perf_counter() - begun)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    best = min(middle[name] for name in ways if name.startswith("by hand"))
    for name, time_taken in middle.items():
        print(
            f"{rows:,} rows, {name:18} {rows / time_taken:10,.0f} rows/s  "
            f"{best / time_taken:.2f} times the best by hand"
        )


def switch(standing: EndpointProcess, model: Path, rounds: int) -> None:
    """Change between two versions under load."""
    headers = {"X-Courtside-Token": api_keys.internal_token(standing.settings)}
    count = 100

    def changing() -> None:
        for number in range(SWITCHES):
            version = str(4 + number)
            described = {"inputs": INPUTS, "version": version, "folder": model}
            body = server.written(standing.record(**described))
            url = f"{standing.url}/.gateway/load"
            requests.post(url, data=body, headers=headers, timeout=600).raise_for_status()
            standing.keep(**described)
            time.sleep(0.3)

    rest: list[float] = []
    changed: list[float] = []
    for _ in range(rounds):
        rest += ask(standing.url, SWITCH_CLIENTS, count)
        change = threading.Thread(target=changing)
        change.start()
        while change.is_alive():
            changed += ask(standing.url, SWITCH_CLIENTS, 10)
        change.join()
    ratio = statistics.quantiles(changed, n=100)[98] / statistics.quantiles(rest, n=100)[98]
    print(f"at rest         {percentiles(rest)}")
    print(f"while switched  {percentiles(changed)}   {ratio:.1f} times the p99 at rest")
    print(f"slowest {max(changed):.0f} ms, of {len(changed):,} requests none failed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["start", "latency", "rows", "switch"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({name: rng.normal(size=500) for name in INPUTS})
    target = (frame.sum(axis=1) + rng.normal(size=500) > 0).astype("int64")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model = save_model(home, LogisticRegression().fit(frame, target), INPUTS, is_complete=True)
        if "start" in arguments.what:
            start(home, model, arguments.rounds)
        with serving(model) as (bare, child):
            ask(f"http://127.0.0.1:{bare}", 1, 20)
            print(f"bare server: {memory(child.pid)} MB at rest")
            standing = EndpointProcess(Settings(home=home / "home"), free_port(), model)
            standing.bare = f"http://127.0.0.1:{bare}"
            standing.keep(inputs=INPUTS)
            standing.start()
            try:
                assert standing.child is not None
                ask(standing.url, 1, 20)
                print(f"endpoint: {memory(standing.child.pid)} MB at rest")
                if "latency" in arguments.what:
                    latency(standing, arguments.rounds)
                if "rows" in arguments.what:
                    by_parquet(standing, arguments.rows, arguments.rounds)
                if "switch" in arguments.what:
                    switch(standing, model, arguments.rounds)
                print(f"endpoint: {memory(standing.child.pid)} MB at the end")
            finally:
                standing.end()


if __name__ == "__main__":
    main()
