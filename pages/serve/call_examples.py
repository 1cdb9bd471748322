"""Example calls of a served model, ready to paste: curl, Python, JavaScript."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

KEY = "YOUR-API-KEY"
PREDICTION_ID = "PREDICTION-ID"


def predict(url: str, row: Mapping[str, Any], *, with_key: bool) -> dict[str, str]:
    """Return the call that scores one row, in each language."""
    body = {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}
    return _texts(
        f"{url}/invocations",
        body,
        with_key=with_key,
        python=(
            'print(answer.json()["predictions"])\n'
            'print(answer.headers["X-Prediction-Ids"])  # a label names it later'
        ),
        script=(
            "console.log((await answer.json()).predictions);\n"
            'console.log(answer.headers.get("X-Prediction-Ids")); // a label names it later'
        ),
    )


def label(url: str, *, with_key: bool) -> dict[str, str]:
    """Return the call that sends the label of one row later, in each language."""
    body = {"labels": [{"prediction_id": PREDICTION_ID, "label": 1}]}
    return _texts(
        f"{url}/labels",
        body,
        with_key=with_key,
        python="print(answer.json())",
        script="console.log(await answer.json());",
    )


def _texts(
    url: str, body: Mapping[str, Any], *, with_key: bool, python: str, script: str
) -> dict[str, str]:
    headers = {"Content-Type": "application/json"}
    if with_key:
        headers["X-Api-Key"] = KEY
    payload = json.dumps(body, allow_nan=False, ensure_ascii=False)
    given = "".join(
        f" \\\n  -H {shlex.quote(f'{name}: {value}')}" for name, value in headers.items()
    )
    return {
        "curl": f"curl -i {url}{given} \\\n  -d {shlex.quote(payload)}",
        "Python": (
            f'import requests\n\nanswer = requests.post(\n    "{url}",\n    headers={headers!r},\n'
            f"    json={dict(body)!r},\n    timeout=30,\n)\nanswer.raise_for_status()\n{python}"
        ),
        "JavaScript": (
            f'const answer = await fetch("{url}", {{\n  method: "POST",\n'
            f"  headers: {json.dumps(headers)},\n  body: JSON.stringify({payload}),\n}});\n"
            f"if (!answer.ok) throw new Error(await answer.text());\n{script}"
        ),
    }
