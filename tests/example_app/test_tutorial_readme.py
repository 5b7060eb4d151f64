"""The tutorial that the example's README tells, typed as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from example_app.providers import CALLED, FOLDER, ISSUER

from ..docs.not_run import NOT_RUN
from ..docs.pages import Page
from .test_container import COMPOSE, REALM, default_of

README = FOLDER / "README.md"
TEXT = README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a terminal says to somebody without Docker who types all that the tutorial shows."""
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as monkeypatch:
        database = f"sqlite:///{folder}/example.sqlite"
        page = Page(README, folder, monkeypatch, SQLALCHEMY_DATABASE_URI=database, FOREIGN_TOKEN_REGISTRY_POLL="0")
        (folder / ".venv").symlink_to(Path(sys.prefix))
        (folder / "example_app").mkdir()
        resources = (FOLDER / "resources.yaml").read_text(encoding="utf-8")
        (folder / "example_app" / "resources.yaml").write_text(page.with_free_ports(resources), encoding="utf-8")
        page.run(left_out=NOT_RUN)
        yield page.said


def test_its_requests_are_answered_as_it_says(said: str) -> None:
    statuses = re.findall(r"HTTP/1\.1 (\d+) ", said)

    assert statuses == ["201", "201", "201", "401", "200", "200", "403"]


def test_its_users_are_those_that_it_shows(said: str) -> None:
    (bundle,) = re.findall(r'^\{\n  "resourceType": "Bundle".*?^\}$', said, re.MULTILINE | re.DOTALL)
    users = {
        entry["resource"]["data"]["preferred_username"]: entry["resource"] for entry in json.loads(bundle)["entry"]
    }

    assert set(users) == {"service-account-my-client", "testuser"}
    assert shape(users["service-account-my-client"]) == shape(json.loads(block("json")))
    (person,) = REALM["users"]
    assert users["testuser"]["data"]["email"] == person["email"]
    assert users["testuser"]["data"]["given_name"] == person["firstName"]
    assert users["testuser"]["data"]["family_name"] == person["lastName"]


def test_a_token_is_decoded_where_it_is(said: str) -> None:
    assert '  "preferred_username": "service-account-my-client"' in said


def test_what_it_puts_are_the_resources_of_the_example() -> None:
    put = re.findall(r"localhost:8080(/fhir/\S+) [^\n]*<<YAML\n(.*?)^YAML$", TEXT, re.MULTILINE | re.DOTALL)
    called = CALLED.removesuffix("/realms/myrealm")
    stored = list(yaml.safe_load_all((FOLDER / "resources.yaml").read_text(encoding="utf-8")))

    assert [yaml.safe_load(body.replace("$KEYCLOAK", called)) for _, body in put] == stored
    assert [path for path, _ in put] == [f"/fhir/{one['resourceType']}/{one['id']}" for one in stored]


def test_its_audience_is_an_addition_to_the_introspector() -> None:
    assert yaml.safe_load(block("yaml")) == {"jwt": {"iss": ISSUER, "aud": "account"}}


def test_its_names_and_secrets_are_those_of_compose_file_and_realm() -> None:
    (client,), (person,) = REALM["clients"], REALM["users"]
    operator = {name: default_of(value) for name, value in COMPOSE["services"]["app"]["environment"].items()}
    name, secret = operator["FOREIGN_TOKEN_ADMIN_CLIENT_ID"], operator["FOREIGN_TOKEN_ADMIN_CLIENT_SECRET"]

    assert f"\nOPERATOR={name}:{secret}\n" in TEXT
    assert f"export TRUSTED_HOSTS={operator['TRUSTED_HOSTS']}\n" in TEXT
    assert f"FOREIGN_TOKEN_ADMIN_CLIENT_ID={name} FOREIGN_TOKEN_ADMIN_CLIENT_SECRET={secret}\n" in TEXT
    assert f"\nSECRET={client['secret']}\n" in TEXT
    assert f'-d client_id={client["clientId"]} -d "client_secret=$SECRET" ' in TEXT
    assert f"-d username={person['username']} -d password={person['credentials'][0]['value']} " in TEXT


def test_it_starts_keycloak_as_the_compose_file_does() -> None:
    environment = COMPOSE["services"]["keycloak"]["environment"]
    (command,) = re.findall(r"^\$ (KC_BOOTSTRAP.+?[^\\])$", TEXT, re.MULTILINE | re.DOTALL)
    words = shlex.split(command)

    assert words[:2] == [f"{name}={environment[name]}" for name in list(environment)[:2]]
    assert words[words.index("--hostname") + 1] == environment["KC_HOSTNAME"]
    assert words[words.index("--hostname-backchannel-dynamic") + 1] == environment["KC_HOSTNAME_BACKCHANNEL_DYNAMIC"]
    assert words[2:4] == ["bin/kc.sh", "start-dev"]
    assert "--import-realm" in words


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def shape(value: Any) -> Any:
    """`value` without what is another one in every run."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return re.sub(
        r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", re.sub(r"\d{4}-\d\d-\d\dT\S+Z", "TIME", str(value))
    )
