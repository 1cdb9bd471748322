"""MLflow's model registry: versions, aliases, and the files of logged models.

Nothing else uses the registry's API. The rules on versions are in `core.registry`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from core.platform import mlflow_client, store_version
from core.platform.config import Settings
from core.platform.errors import NotReadyError
from core.platform.messages import Message
from core.platform.model_files import Digests
from core.platform.runs import ModelVersion, RunInfo

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
# names of the aliases for people
ALIAS_LABELS = {
    CHAMPION: Message("champion"),
    CHALLENGER: Message("challenger"),
    PREVIOUS: Message("previous"),
}
# MLflow's scheme for a logged model
MODELS = "models:/"


@dataclass(frozen=True)
class LoggedModel:
    """A logged model, registered or not.

    Parameters
    ----------
    model_id : str
        `m-` and 32 hexadecimal digits.
    digests : Digests
        Digests of its files; empty if another program logged it.
    """

    model_id: str
    digests: Digests


@mlflow_client.wrap_store_errors(only_store=True)
def versions(settings: Settings, model: str) -> list[ModelVersion]:
    """Return the registered versions of a model, newest first."""
    if not mlflow_client.has_store(settings):
        return []

    def read() -> list[ModelVersion]:
        client = mlflow_client.client(settings)
        kept = client.search_model_versions(f"name = '{model}'", max_results=200)
        numbers = _aliases(client, model)
        listed = [_version(item, numbers) for item in kept]
        return sorted(listed, key=lambda version: -int(version.version))

    return [*store_version.remember(settings, ("versions", model), read)]


@mlflow_client.wrap_store_errors(only_store=True)
def find_version(settings: Settings, model: str, alias_or_version: str) -> ModelVersion | None:
    """Return the version with an alias or number; None if there is none."""
    if not mlflow_client.has_store(settings):
        return None

    def read() -> ModelVersion | None:
        client = mlflow_client.client(settings)
        by_number = alias_or_version.isdigit()
        ask = client.get_model_version if by_number else client.get_model_version_by_alias
        kept = mlflow_client.find(lambda: ask(model, alias_or_version))
        return _version(kept, _aliases(client, model)) if kept else None

    return store_version.remember(settings, ("version", model, alias_or_version), read)


def require_version(settings: Settings, model: str, alias_or_version: str) -> ModelVersion:
    """Return the version with an alias or number.

    Raises
    ------
    NotReadyError
        If there is none.
    """
    version = find_version(settings, model, alias_or_version)
    if version is None:
        raise NotReadyError(
            Message(
                "{model} has no {version} yet. Train a model first.",
                model=model,
                version=ALIAS_LABELS.get(
                    alias_or_version, Message("version {version}", version=alias_or_version)
                ),
            )
        )
    return version


@mlflow_client.wrap_store_errors(only_store=True)
def require_model(settings: Settings, model: str) -> None:
    """Create the registered model of this name if it does not exist."""
    client = mlflow_client.client(settings)
    if mlflow_client.find(lambda: client.get_registered_model(model)) is None:
        client.create_registered_model(model)


@mlflow_client.wrap_store_errors(only_store=True)
def rename_model(settings: Settings, model: str, name: str) -> bool:
    """Give a registered model another name, and return whether there is such a model."""
    client = mlflow_client.client_of(settings.mlflow_uri)
    if mlflow_client.find(lambda: client.get_registered_model(model)) is None:
        return False
    client.rename_registered_model(model, name)
    return True


@mlflow_client.wrap_store_errors(only_store=True)
def add_version(
    settings: Settings, model: str, model_id: str, run_id: str, tags: Mapping[str, str]
) -> str:
    """Register a logged model's files as a new version, and return its number."""
    version = mlflow_client.client(settings).create_model_version(
        model, f"{MODELS}{model_id}", run_id=run_id, tags=dict(tags), model_id=model_id
    )
    return str(version.version)


@mlflow_client.wrap_store_errors(only_store=True)
def aliases(settings: Settings, model: str) -> dict[str, str]:
    """Return the version of each alias of a model; empty if nothing is registered."""
    if not mlflow_client.has_store(settings):
        return {}

    def read() -> dict[str, str]:
        return _aliases(mlflow_client.client(settings), model)

    return {**store_version.remember(settings, ("aliases", model), read)}


@mlflow_client.wrap_store_errors(only_store=True)
def set_alias(settings: Settings, model: str, alias: str, version: str) -> None:
    """Point an alias at a version, atomically."""
    mlflow_client.client(settings).set_registered_model_alias(model, alias, version)


@mlflow_client.wrap_store_errors(only_store=True)
def delete_alias(settings: Settings, model: str, alias: str) -> None:
    """Remove an alias."""
    mlflow_client.client(settings).delete_registered_model_alias(model, alias)


@mlflow_client.wrap_store_errors(only_store=True)
def digests(settings: Settings, model_id: str) -> Digests:
    """Return the digests from `model_files.log`; empty if another program logged the model."""
    client = mlflow_client.client(settings)
    logged = mlflow_client.find(lambda: client.get_logged_model(model_id))
    return Digests.read(logged.tags or {} if logged else {})


@mlflow_client.wrap_store_errors(only_store=True)
def logged_by(settings: Settings, run: RunInfo) -> LoggedModel | None:
    """Return the model that a run logged; None if it logged none."""
    logged = mlflow_client.client(settings).search_logged_models(
        [run.experiment_id], f"source_run_id = '{run.run_id}'", max_results=1
    )
    return LoggedModel(logged[0].model_id, Digests.read(logged[0].tags)) if logged else None


@mlflow_client.wrap_store_errors(only_store=True)
def source(settings: Settings, version: ModelVersion) -> str:
    """Return a version's source URI; `models:/<id>` for a logged model."""
    client = mlflow_client.client(settings)
    return str(client.get_model_version(version.name, version.version).source)


@contextmanager
def folder(settings: Settings, model_id: str, *, copies: Path | None = None) -> Iterator[Path]:
    """Yield the folder of a logged model's files, or a download if the store is remote.

    The download is removed afterwards, unless it is in the folder `copies`.
    """
    with ExitStack() as stack:
        with mlflow_client.wrap_store_errors(only_store=True):
            logged = mlflow_client.client(settings).get_logged_model(model_id)
            address = urlparse(str(logged.artifact_location))
            if address.scheme == "file":
                place = Path(url2pathname(address.path))
            else:
                if copies is None:
                    copy = stack.enter_context(tempfile.TemporaryDirectory())
                else:
                    copy = str(copies / model_id)
                    Path(copy).mkdir(parents=True, exist_ok=True)
                place = _download(settings, str(logged.artifact_location), copy)
        yield place


def _download(settings: Settings, address: str, into: str) -> Path:
    from mlflow.artifacts import download_artifacts

    return Path(
        download_artifacts(artifact_uri=address, dst_path=into, tracking_uri=settings.mlflow_uri)
    )


def _aliases(client: Any, model: str) -> dict[str, str]:
    kept = mlflow_client.find(lambda: client.get_registered_model(model))
    return {alias: str(number) for alias, number in kept.aliases.items()} if kept else {}


def _version(item: Any, numbers: Mapping[str, str]) -> ModelVersion:
    """Convert MLflow's version, adding the aliases that point at it."""
    number = str(item.version)
    return ModelVersion(
        item.name,
        number,
        item.run_id or "",
        tuple(sorted(alias for alias, behind in numbers.items() if behind == number)),
        dict(item.tags),
        item.creation_timestamp / 1000,
    )
