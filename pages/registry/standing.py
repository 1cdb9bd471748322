"""The versions as the Registry page shows them: aliases, endpoint, and actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.platform import model_store
from core.platform.config import Settings
from core.platform.project import ProjectSpec
from core.platform.runs import ModelVersion
from core.serving import endpoint
from core.serving.server import Server
from pages.registry import version_list
from pages.shared import step_jobs


@dataclass(frozen=True)
class Standing:
    """The versions, newest first, with their roles.

    Parameters
    ----------
    live : Server or None
        The live endpoint, if it serves this project.
    figures : mapping
        The metrics of each version's run, by version.
    going : bool
        Whether a promotion, a comparison or a rollback waits or runs.
    """

    settings: Settings
    spec: ProjectSpec
    listed: list[ModelVersion]
    by_alias: Mapping[str, ModelVersion]
    live: Server | None
    figures: version_list.Figures
    going: bool

    @property
    def names(self) -> dict[str, str]:
        """The label of each version in a selection."""
        return {version.version: version_list.name(version) for version in self.listed}

    @property
    def champion(self) -> ModelVersion | None:
        """The version that serves callers."""
        return self.by_alias.get(model_store.CHAMPION)

    @property
    def beside(self) -> list[ModelVersion]:
        """All versions but the champion."""
        return [version for version in self.listed if version != self.champion]

    @property
    def offered(self) -> list[ModelVersion]:
        """The versions that the gate can judge.

        It refuses to compare a version trained on the sample with one trained on real rows.
        """
        champion = self.champion
        return [
            version
            for version in self.beside
            if champion is None or version.is_sample == champion.is_sample
        ]

    @property
    def challenger(self) -> ModelVersion | None:
        """The version with that alias, if the gate can judge it.

        The newest training's version may have become the champion: then there is none.
        """
        version = self.by_alias.get(model_store.CHALLENGER)
        return version if version in self.offered else None


def read(settings: Settings, spec: ProjectSpec, listed: list[ModelVersion]) -> Standing:
    """Return the roles of these versions."""
    live = endpoint.live(settings)
    return Standing(
        settings,
        spec,
        listed,
        {alias: version for version in listed for alias in version.aliases},
        # otherwise it is another project's
        live if live is not None and live.model == spec.model else None,
        version_list.figures(settings, listed),
        step_jobs.is_going(settings, "promote"),
    )
