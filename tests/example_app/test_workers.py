"""Many workers in containers: the compose file that stands for several machines."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import yaml

from example_app.providers import FOLDER
from flask_foreign_token.credentials import MAX_HEADER
from flask_foreign_token.sealing import MIN_KEY

from .test_container import COMPOSE, command_of_the_image, default_of

FILE = FOLDER / "docker-compose.workers.yaml"
WORKERS: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = WORKERS["services"]
PROXY = WORKERS["configs"]["proxy"]["content"]


def number_of(option: str) -> int:
    """What the app's command says of `option`."""
    given = {part.partition("=")[0]: part.partition("=")[2] for part in SERVICES["app"]["command"]}
    return int(default_of(given[f"--{option}"]))


def test_the_compose_file_follows_its_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_it_is_another_project_than_the_tutorial() -> None:
    assert WORKERS["name"] != COMPOSE["name"]
    assert all("container_name" not in service for service in SERVICES.values())


def test_servers_are_those_of_the_tutorial() -> None:
    for name in ("postgres", "redis"):
        assert SERVICES[name]["image"] == COMPOSE["services"][name]["image"]
    assert re.fullmatch(r"nginx:[\d.]+", SERVICES["proxy"]["image"])


def test_every_service_is_looked_after() -> None:
    assert set(SERVICES) == {"postgres", "redis", "app", "proxy"}
    assert all("healthcheck" in service for service in SERVICES.values())


def test_there_are_several_machines_with_several_workers_and_as_many_as_one_likes() -> None:
    assert SERVICES["app"]["deploy"]["replicas"] == "${MACHINES:-2}"
    assert "--workers=${WORKERS:-4}" in SERVICES["app"]["command"]


def test_the_app_is_served_as_by_the_image_but_for_the_number_of_workers() -> None:
    image = " ".join(command_of_the_image())
    command = " ".join(default_of(part).replace("=", " ", 1) for part in SERVICES["app"]["command"])

    assert SERVICES["app"]["build"] == COMPOSE["services"]["app"]["build"]
    assert command == image


def test_all_workers_are_told_the_same_and_what_the_tutorial_tells_its_own() -> None:
    environment = {**COMPOSE["services"]["app"]["environment"]}
    del environment["FOREIGN_TOKEN_CREATE_USER"]

    assert SERVICES["app"]["environment"] == environment
    assert SERVICES["app"]["extra_hosts"] == COMPOSE["services"]["app"]["extra_hosts"]
    assert SERVICES["postgres"]["environment"] == COMPOSE["services"]["postgres"]["environment"]


def test_the_key_of_the_cache_is_an_example_that_says_so() -> None:
    given = SERVICES["app"]["environment"]["FOREIGN_TOKEN_CACHE_KEY"]

    assert given.startswith("${CACHE_KEY:-change-this-")
    assert len(default_of(given)) >= MIN_KEY


def test_the_app_waits_for_its_database_and_goes_on_without_redis() -> None:
    conditions = {name: needed["condition"] for name, needed in SERVICES["app"]["depends_on"].items()}

    assert conditions == {"postgres": "service_healthy", "redis": "service_started"}


def test_redis_forgets_rather_than_refuse() -> None:
    assert "--maxmemory-policy allkeys-lru" in SERVICES["redis"]["command"]
    assert SERVICES["redis"] == COMPOSE["services"]["redis"]


def test_the_database_has_connections_for_all_of_them() -> None:
    machines, workers = int(default_of(SERVICES["app"]["deploy"]["replicas"])), number_of("workers")
    (allowed,) = re.findall(r"max_connections=(\d+)", SERVICES["postgres"]["command"])

    assert machines * workers * (2 * number_of("threads") + 1) < int(allowed)


def test_only_the_proxy_can_be_reached_and_from_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"proxy": COMPOSE["services"]["app"]["ports"]}


def test_the_proxy_leads_to_every_machine_with_the_header_and_the_name_as_they_came() -> None:
    (size,) = re.findall(r"large_client_header_buffers \d+ (\d+)k;", PROXY)

    assert "set $$machines http://app:8080;" in PROXY
    assert "proxy_pass $$machines;" in PROXY
    assert "proxy_set_header Host $$http_host;" in PROXY
    assert int(size) * 1024 > MAX_HEADER
    assert SERVICES["proxy"]["configs"][0]["source"] in WORKERS["configs"]
