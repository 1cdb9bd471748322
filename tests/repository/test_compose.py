"""compose.yaml: settings that exist, ports of this machine alone, fixed versions, no secret."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from core.platform import steps
from core.platform.config import CODE_ROOT, PREFIX, Settings
from core.runtime import commands

TEXT = (CODE_ROOT / "compose.yaml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EXAMPLE = dict(
    line.split("=", 1)
    for line in (CODE_ROOT / "compose.env.example").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
)
PORT = re.compile(r"127\.0\.0\.1:(\d+):(\d+)")
BOUND = re.compile(r"\$\{(\w+)(:\?|:-[^}]*)\}")


def filled(value: str) -> str:
    """Return a value as compose puts the variables of the example, with passwords, into it."""
    return BOUND.sub(
        lambda match: EXAMPLE[match[1]] or ("chosen" if match[2] == ":?" else ""), value
    )


def test_it_has_the_parts_of_the_guide() -> None:
    assert {"app", "worker", "endpoint", "postgres", "mlflow", "minio"} <= SERVICES.keys()
    known = {"image", "build", "command", "entrypoint", "restart", "init", "network_mode", "pid"}
    known |= {"volumes", "environment", "depends_on", "ports", "healthcheck", "configs"}
    for name, service in SERVICES.items():
        assert service.keys() <= known | {"stop_grace_period"}, name
        assert set(service.get("depends_on", ())) <= SERVICES.keys()
        for mount in service.get("volumes", []):
            assert mount.split(":")[0] in COMPOSE["volumes"]
        shared = {service.get(key, "service:machine") for key in ("network_mode", "pid")}
        assert shared == {"service:machine"}


@pytest.mark.parametrize("name", list(SERVICES))
def test_ports_are_bound_to_this_machine_and_images_have_a_version(name: str) -> None:
    service = SERVICES[name]
    assert all(PORT.fullmatch(port) for port in service.get("ports", []))
    repository, _, version = service["image"].partition(":")
    assert repository
    assert re.search(r"\d", version)
    assert version != "latest"


def test_images_of_the_dockerfile_have_a_version() -> None:
    lines = (CODE_ROOT / "Dockerfile").read_text("utf-8").splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)


def test_every_setting_is_one_of_the_product_and_is_valid() -> None:
    fields = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in ("app", "worker", "endpoint"):
        given = SERVICES[name]["environment"]
        assert {key for key in given if key.startswith(PREFIX)} <= fields
        settings = Settings.load({key: filled(value) for key, value in given.items()})
        assert settings.state_url is not None
        assert not settings.start_worker
        published = [PORT.fullmatch(port) for port in SERVICES["machine"]["ports"]]
        assert str(settings.serve_port) in [match[2] for match in published if match]


def test_no_secret_is_in_it() -> None:
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == EXAMPLE.keys()
    assert [name for name in EXAMPLE if "PASSWORD" in name and EXAMPLE[name]] == []
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert BOUND.fullmatch(value), name
    assert ".env" in (CODE_ROOT / ".gitignore").read_text("utf-8").splitlines()


def test_the_workers_run_each_step_in_one_place() -> None:
    taken: list[str] = []
    for name in ("worker", "endpoint"):
        command = SERVICES[name]["command"]
        assert command[:4] == ["python", "-m", "core", "worker"]
        assert command[3] in commands.OTHERS
        taken += command[command.index("--only") + 1 :]
    assert sorted(taken) == sorted(steps.RUN_NAMES)
