"""How a model is kept: a skops file, and the code that answers by it."""

from __future__ import annotations

import hashlib
import tempfile
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

from core.config import CODE_ROOT
from core.record import ModelRecord

# tags of a registered version: the digests of its three files; the last names the loader, the code,
# the inputs, the features and the threshold that a server works by
MODEL_SHA256, CODE_SHA256 = "courtside.model_sha256", "courtside.code_sha256"
DESCRIPTION_SHA256 = "courtside.description_sha256"
DIGESTS = {
    "artifacts/pipeline.skops": MODEL_SHA256,
    "served_model.py": CODE_SHA256,
    "MLmodel": DESCRIPTION_SHA256,
}


def log(mlflow: Any, model: ModelRecord) -> str:
    """Log the model as code that reads a skops file: nothing pickled is run when it is loaded."""
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
        code = CODE_ROOT / "core" / "adapters" / "served_model.py"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(code),
            artifacts={"pipeline": str(path)},
            model_config={
                "inputs": dict(model.inputs),
                "engineered": {name: list(how) for name, how in model.engineered.items()},
                "features": list(model.features),
                "is_complete": model.is_complete,
                "threshold": model.threshold,
                "sha256": digest,
            },
            # a version takes them over when it is registered
            tags={
                MODEL_SHA256: digest,
                CODE_SHA256: hashlib.sha256(code.read_bytes()).hexdigest(),
            },
            signature=ModelSignature(inputs, outputs),
            input_example=model.example,
            # stated, so that MLflow does not spend ten seconds on finding them out
            pip_requirements=[f"{name}=={distribution_version(name)}" for name in libraries],
        )
        # MLflow writes it last
        description = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{info.artifact_path}/MLmodel", dst_path=temporary
        )
        mlflow.set_logged_model_tags(
            info.model_id,
            {DESCRIPTION_SHA256: hashlib.sha256(Path(description).read_bytes()).hexdigest()},
        )
    return str(info.model_id)
