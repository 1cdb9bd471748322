"""The files of a logged model: a skops file, and the code that predicts with it.

Errors of that code, and MLflow's model description, are exposed here without MLflow's classes.
"""

from __future__ import annotations

import ast
import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version as distribution_version
from pathlib import Path
from types import ModuleType
from typing import Any

from core.platform.config import CODE_ROOT
from core.platform.errors import InputError
from core.platform.rows import rule_of
from core.platform.run_record import ModelRecord
from core.platform.run_tags import RunTags

# in their order in a model's code file
CODE = (
    "platform/rows/faults.py",
    "platform/rows/rules.py",
    "platform/rows/days.py",
    "platform/rows/values.py",
    "platform/served_model.py",
)


class Digests(RunTags):
    """The SHA-256 of a model's three files; a version copies them from the logged model.

    The description, MLmodel, names the loader, code, inputs, features and threshold for serving.
    """

    model_sha256: str = ""
    code_sha256: str = ""
    description_sha256: str = ""

    def by_file(self) -> dict[str, str]:
        """Return them by file name in the model's folder."""
        return {
            "artifacts/pipeline.skops": self.model_sha256,
            "served_model.py": self.code_sha256,
            "MLmodel": self.description_sha256,
        }


def served_code() -> str:
    """Return a model's code file: the row contract's modules, then the served model.

    Only imports between these parts are left out.
    """
    parts = ["from __future__ import annotations\n"]
    for name in CODE:
        text = (CODE_ROOT / "core" / name).read_text(encoding="utf-8")
        lines = text.splitlines(keepends=True)
        for node in reversed(ast.parse(text).body):
            if isinstance(node, ast.ImportFrom) and (
                node.module == "__future__" or str(node.module).startswith("core.")
            ):
                del lines[node.lineno - 1 : node.end_lineno]
        parts.append("".join(lines))
    return "\n\n".join(parts)


def log(mlflow: ModuleType, model: ModelRecord) -> str:
    """Log the model as code that reads a skops file: loading runs no pickle."""
    import skops.io
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    types = {"number": "double", "text": "string"}
    inputs = Schema(
        [ColSpec(types[kind], name, required=True) for name, kind in model.inputs.items()]
    )
    outputs = Schema([ColSpec("double", "probability"), ColSpec("long", "label")])
    libraries = ("mlflow", "pandas", "numpy", "skops", *model.libraries)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "pipeline.skops"
        skops.io.dump(model.estimator, path)
        code = Path(temporary) / "served_model.py"
        code.write_text(served_code(), encoding="utf-8")
        digest = _digest(path)
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            artifacts={"pipeline": str(path)},
            model_config={
                "inputs": dict(model.inputs),
                "rules": {
                    name: asdict(model.rules.get(name) or rule_of(kind))
                    for name, kind in model.inputs.items()
                },
                "engineered": {name: list(how) for name, how in model.engineered.items()},
                "features": list(model.features),
                "is_complete": model.is_complete,
                "threshold": model.threshold,
                "sha256": digest,
            },
            tags=Digests(model_sha256=digest, code_sha256=_digest(code)).write(),
            signature=ModelSignature(inputs, outputs),
            input_example=model.example,
            # stated, because MLflow takes ten seconds to infer them
            pip_requirements=[f"{name}=={distribution_version(name)}" for name in libraries],
        )
        # MLflow writes this file last
        description = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{info.artifact_path}/MLmodel", dst_path=temporary
        )
        mlflow.set_logged_model_tags(
            info.model_id, Digests(description_sha256=_digest(Path(description))).write()
        )
    return str(info.model_id)


@dataclass(frozen=True)
class Description:
    """What a model's description file, MLmodel, says.

    Parameters
    ----------
    inputs : mapping of str to {"number", "text"}
        Raw columns that it takes, in order.
    config : mapping
        Configuration of its code.
    """

    inputs: Mapping[str, str]
    config: Mapping[str, Any]


def describe(folder: Path) -> Description:
    """Read the description in a model's folder, without running any of its code."""
    from mlflow.models import Model

    described = Model.load(str(folder / "MLmodel"))
    config = described.flavors["python_function"]["config"]
    # the configuration sorts them alphabetically
    inputs = {name: config["inputs"][name] for name in described.signature.inputs.input_names()}
    return Description(inputs, config)


@contextmanager
def wrap_refusals() -> Iterator[None]:
    """Turn errors of a model's code, the same as its server's, into an InputError."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise InputError(str(error.message)) from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
