"""Scoring as ratios, measured in turns in one run: in process, memory, REST, Dask.

    python benchmarks/scoring.py [in_process] [memory] [rest] [dask]
        [--rows 5000000] [--large 20000000] [--small 2000000] [--dask-rows 15000000]
        [--rest-rows 200000] [--models lr lightgbm] [--repeats 3]

The rows are the production rows of the real files where COURTSIDE_RAW_DIR names them, of the
built-in sample otherwise, one after the other as often as it takes. What is compared with:

- in process: `for batch in parquet: pipeline.predict_proba(batch.to_pandas())`, which keeps
  nothing, where a scoring checks each value and writes ids, keys, labels and probabilities
- memory: the peak of a scoring of few rows, each in a process of its own
- REST: the fastest of hand-written loops over JSON, CSV and parquet bodies and sizes of batches
- Dask: the same scoring in process; two workers of one thread
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

from core.data import acquire, prepare, snapshots
from core.jobs import local_cluster
from core.platform import model_store, project
from core.platform.config import Settings
from core.scoring import cluster, output_parts, part_records, part_scoring, score, scorer
from core.scoring.batches import inspect
from core.serving import client, serve, server, server_process
from core.training import train
from tests.integration.serving.endpoints import serving

SIZES = (2_000, 10_000, 20_000, 50_000)
SPEC = project.load("kobe")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["in_process", "memory", "rest", "dask"])
    for name, rows in (("rows", 5), ("large", 20), ("small", 2), ("dask-rows", 15)):
        parser.add_argument(f"--{name}", type=int, default=rows * 1_000_000)
    parser.add_argument("--rest-rows", type=int, default=200_000)
    parser.add_argument("--models", nargs="*", default=["lr", "lightgbm"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=2, help="home and file of a scoring to measure")
    arguments = parser.parse_args()
    if arguments.child:
        child(Path(arguments.child[0]), arguments.child[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        for model in arguments.models:
            settings = home_with_champion(Path(folder) / model, model)
            print(f"\n{model}")
            if "in_process" in arguments.what:
                in_process(
                    settings, tiled(settings, Path(folder), arguments.rows), arguments.repeats
                )
            if "memory" in arguments.what:
                files = [
                    tiled(settings, Path(folder), n) for n in (arguments.small, arguments.large)
                ]
                memory(settings, files)
            if "rest" in arguments.what:
                rest(
                    settings, tiled(settings, Path(folder), arguments.rest_rows), arguments.repeats
                )
            if "dask" in arguments.what:
                side_by_side(
                    settings, tiled(settings, Path(folder), arguments.dask_rows), arguments.repeats
                )


def home_with_champion(home: Path, model: str) -> Settings:
    """Return settings with a home where this model is champion."""
    raw = os.environ.get("COURTSIDE_RAW_DIR")
    settings = Settings(home=home, raw_dir=raw or None, serve_port=8900)
    acquire.run(settings, acquire.Options(source="folder" if raw else "sample"))
    prepare.run(settings, prepare.Options())
    train.run(settings, train.Options(candidates=(model,), folds=3))
    return settings


def tiled(settings: Settings, folder: Path, rows: int) -> Path:
    path = folder / f"{rows}.parquet"
    if not path.exists():
        raw = snapshots.Archive.of(settings).read(snapshots.current(settings), SPEC.columns)
        table = raw[raw[SPEC.rows.column] == SPEC.rows.production]
        table = pa.Table.from_pandas(
            table[[SPEC.id, *SPEC.features, SPEC.target]], preserve_index=False
        )
        block = pa.concat_tables([table] * (500_000 // len(table) + 1)).slice(0, 500_000)
        with pq.ParquetWriter(path, table.schema) as writer:
            for first in range(0, rows, len(block)):
                writer.write_table(block.slice(0, rows - first))
    return path


def work_of(settings: Settings, file: Path, place: output_parts.Place) -> part_records.Work:
    version = model_store.require_version(settings, SPEC.model, "champion")
    names = (*version.inputs, SPEC.target)
    return part_records.Work(
        scoring="0" * 32,
        source=inspect(str(file)),
        columns={name: SPEC.columns[name] for name in names},
        names={name: name for name in (*names, SPEC.id)},
        inputs=tuple(version.inputs),
        target=SPEC.target,
        key=SPEC.id,
        features=version.features,
        formulas=version.formulas,
        is_complete=version.is_complete,
        place=place,
        keeps_inputs=False,
        batch_rows=score.BATCH_ROWS["in_process"],
    )


def scoring(settings: Settings, file: Path) -> Callable[[], None]:
    """Return a function that scores a file by the step, with run, figures and log."""
    options = score.Options(source="path", path=str(file), way="in_process")

    def run() -> None:
        shutil.rmtree(score.run(settings, options).output, ignore_errors=True)

    return run


def parts_only(settings: Settings, file: Path) -> Callable[[], None]:
    """Return a function that reads, checks, scores and writes a file, as the step does."""
    model = scorer.load(settings, model_store.require_version(settings, SPEC.model, "champion"))

    def run() -> None:
        with tempfile.TemporaryDirectory() as out:
            place = output_parts.place(f"{out}/result", "0" * 32)
            work = work_of(settings, file, place)
            place.begin({})
            part_scoring.score_parts(work, work.source.parts, model)

    return run


def in_process(settings: Settings, file: Path, repeats: int) -> None:
    model = scorer.load(settings, model_store.require_version(settings, SPEC.model, "champion"))
    inputs = list(model.config["inputs"])
    rows = pq.ParquetFile(file).metadata.num_rows

    def bare() -> None:
        for batch in pq.ParquetFile(file).iter_batches(columns=inputs):
            model.estimator.predict_proba(batch.to_pandas())

    ways = {
        "bare": bare,
        "read, check, score, write": parts_only(settings, file),
        "whole step": scoring(settings, file),
    }
    print_rates(f"in process, {rows:,} rows", rows, in_turn(ways, repeats), "bare")


def memory(settings: Settings, files: Sequence[Path]) -> None:
    peaks = []
    for file in files:
        command = [sys.executable, __file__, "--child", str(settings.home), str(file)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(ended.stdout.split()[-1]) / 1024)
    few, many = (pq.ParquetFile(file).metadata.num_rows for file in files)
    print(
        f"  peak memory: {peaks[0]:,.0f} MB at {few:,} rows, {peaks[1]:,.0f} MB at {many:,}: "
        f"{peaks[1] / peaks[0]:.2f} times"
    )


def child(home: Path, file: str) -> None:
    scoring(Settings(home=home), Path(file))()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


def rest(settings: Settings, file: Path, repeats: int) -> None:
    import requests

    served = serve.run(settings, serve.Options())
    with ExitStack() as stack:
        stack.callback(server_process.stop, settings, served.port)
        folder = server.find(settings, served.port).folder
        port, _ = stack.enter_context(serving(folder))
        bare = f"http://127.0.0.1:{port}"
        version = model_store.require_version(settings, SPEC.model, "champion")
        frame = pd.read_parquet(file)[list(version.inputs)].astype("float64")

        def by_hand(encode: Callable[[pd.DataFrame], bytes], kind: str, size: int) -> None:
            with requests.Session() as session:
                for first in range(0, len(frame), size):
                    body = encode(frame[first : first + size])
                    headers = {"Content-Type": kind}
                    answer = session.post(f"{bare}/invocations", data=body, headers=headers)
                    answer.raise_for_status()
                    [prediction["probability"] for prediction in answer.json()["predictions"]]

        def as_json(rows: pd.DataFrame) -> bytes:
            return json.dumps({"dataframe_split": rows.to_dict("split", index=False)}).encode()

        def as_csv(rows: pd.DataFrame) -> bytes:
            return rows.to_csv(index=False).encode()

        def as_parquet(rows: pd.DataFrame) -> bytes:
            sink = io.BytesIO()
            rows.to_parquet(sink, index=False)
            return sink.getvalue()

        forms = {
            "json": (as_json, "application/json"),
            "csv": (as_csv, "text/csv"),
            "parquet": (as_parquet, "application/vnd.apache.parquet"),
        }
        ways: dict[str, Callable[[], None]] = {}
        for name, (encode, kind) in forms.items():
            for size in SIZES:
                ways[f"{name} {size:,}"] = lambda encode=encode, kind=kind, size=size: by_hand(
                    encode, kind, size
                )
        kinds = SPEC.kinds_of(version.inputs)
        ours = {
            f"client {n} in flight {size:,}": (
                lambda n=n, size=size: client.score(
                    bare, frame, kinds, batch_rows=size, in_flight=n
                )
            )
            for n in (1, 2)
            for size in SIZES[1:]
        }
        ours["client as it is"] = lambda: client.score(bare, frame, kinds)
        ours["client on the endpoint"] = lambda: client.score(served.url, frame, kinds)
        seconds = in_turn({**ways, **ours}, repeats)
        best = min(ways, key=lambda name: statistics.median(seconds[name]))
        print_rates(f"REST, {len(frame):,} rows, best by hand: {best}", len(frame), seconds, best)


def side_by_side(settings: Settings, file: Path, repeats: int) -> None:
    rows = pq.ParquetFile(file).metadata.num_rows
    model = scorer.load(settings, model_store.require_version(settings, SPEC.model, "champion"))
    local_cluster.start(settings, workers=2)
    try:
        address = local_cluster.address(settings)

        def by_dask() -> None:
            with tempfile.TemporaryDirectory() as out:
                place = output_parts.place(f"{out}/result", "0" * 32)
                work = work_of(settings, file, place)
                place.begin({})
                cluster.score_all(address, work, work.source.parts, model, lambda _: None)

        by_dask()  # the workers import what they need
        ways = {"in process": parts_only(settings, file), "Dask": by_dask}
        print_rates(f"Dask, two workers, {rows:,} rows", rows, in_turn(ways, repeats), "in process")
    finally:
        local_cluster.stop(settings)


def in_turn(ways: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def print_rates(title: str, rows: int, seconds: dict[str, list[float]], base: str) -> None:
    print(f"  {title}")
    baseline = statistics.median(seconds[base])
    for name, times in seconds.items():
        middle = statistics.median(times)
        print(f"    {name:32} {rows / middle:14,.0f} rows/s  {baseline / middle:6.2f} times {base}")


if __name__ == "__main__":
    main()
