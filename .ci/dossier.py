"""Update docs/dossier: the whole life cycle in a temporary home, and its documents.

It takes some minutes, and leaves nothing but the folder. The rows come from the folder that
COURTSIDE_RAW_DIR names, or by `--data download` from the network.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.platform.config import Settings

WHO = "the dossier's script"
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main() -> None:
    """Parse the arguments, run the life cycle, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "dossier")
    parser.add_argument("--data", choices=["folder", "download", "sample"], default="folder")
    parser.add_argument("--home", type=Path, help="an empty folder, to be kept")
    arguments = parser.parse_args()
    os.environ.pop("COURTSIDE_HOME", None)
    with tempfile.TemporaryDirectory(prefix="dossier-") as folder:
        write(arguments.home or Path(folder), arguments.data, arguments.out)


def write(home: Path, data: str, out: Path) -> None:
    """Run the whole life cycle in a home, and write its documents into a folder."""
    from core.documents import export
    from core.platform.config import Settings
    from core.serving import server, server_process

    raw_dir = os.environ.get("COURTSIDE_RAW_DIR")
    home.mkdir(parents=True, exist_ok=True)
    settings = Settings(home=home.resolve(), raw_dir=Path(raw_dir).resolve() if raw_dir else None)
    settings = settings.model_copy(update={"serve_port": server_process.free_port(settings, 0)})
    try:
        run_life_cycle(settings, data)
        for name in export.snapshot(settings, out):
            print(out / name)
    finally:
        for running in server.servers(settings):
            server_process.stop(settings, running.port)


def run_life_cycle(settings: Settings, data: str) -> None:
    """Run every step once; then decide about a retraining, and replay."""
    from core.platform import lifecycle

    listed = lifecycle.whole(data)
    after = [step_name for step_name, _ in listed].index("train") + 1
    listed[after:after] = [
        ("explain", {"target": "champion"}),
        # a challenger, so that the gate has something to decide
        ("train", {"candidates": ("lightgbm",), "calibrate": "sigmoid"}),
        ("promote", {"decided_by": WHO}),
    ]
    report = None
    for step, values in [*listed, ("retrain", {}), ("replay", {})]:
        if step == "retrain":
            values = {"trigger": "report", "report": report, "decided_by": WHO}
        began = time.monotonic()
        result = _step(settings, step, values)
        report = result.run_id if step == "monitor" else report
        print(f"{step}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _step(settings: Settings, name: str, values: Mapping[str, Any]) -> Any:
    from core.platform import steps

    step = steps.module(name)
    return step.run(settings, step.Options(**values))


if __name__ == "__main__":
    main()
