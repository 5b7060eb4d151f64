"""The tutorial that the project started from, played as it stands, on a real Keycloak.

Hosts, ports and the words that begin with ``YOUR_`` are replaced, and nothing else; curl runs what is written for curl.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from example_app.keycloak_server import Keycloak

from ..apps import bearer
from ..vectors import VECTORS
from .serving import served

ROOT = Path(__file__).parents[2]
SEED = VECTORS.parent / "seed"
OPERATOR = ("operator", "the-operator-of-the-tests")
REALM = json.loads((ROOT / "example_app" / "keycloak" / "myrealm-realm.json").read_text(encoding="utf-8"))
CLIENT_SECRET = REALM["clients"][0]["secret"]
TYPES = ("IdentityProvider", "TokenIntrospector", "AccessPolicy", "User")
PLACES = ((None, "GET"), (None, "POST"), ("one", "GET"), ("one", "PUT"), ("one", "DELETE"))

pytestmark = pytest.mark.skipif(not SEED.is_dir(), reason=f"the tutorial is not in {SEED}")


@dataclass(frozen=True, slots=True)
class Tutorial:
    """The tutorial's blocks, with the addresses at which its parts run here."""

    app: str
    text: str

    @classmethod
    def read(cls, keycloak: Keycloak, app: str) -> Tutorial:
        (file,) = SEED.glob("*.txt")
        text = file.read_text(encoding="utf-8")
        for host, address in (
            ("http://keycloak:8180", keycloak.url),
            ("http://localhost:8180", keycloak.hostname_url),
            ("http://localhost:8080", app),
            ("YOUR_CLIENT_SECRET", CLIENT_SECRET),
        ):
            text = text.replace(host, address)
        return cls(app, text)

    @property
    def blocks(self) -> list[str]:
        return re.findall(r"^```\w+\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Path and body of each resource that is put."""
        found = [re.fullmatch(r"PUT (\S+)\n\n(.*)", block, re.DOTALL) for block in self.blocks]
        return [(match[1], match[2]) for match in found if match]

    def curl(self, part: str) -> str:
        (block,) = [block for block in self.blocks if block.startswith("curl ") and part in block]
        return block

    @property
    def user(self) -> dict[str, Any]:
        (block,) = [block for block in self.blocks if '"resourceType": "User"' in block]
        return dict(json.loads(block))


def run(command: str) -> str:
    """What curl prints, beside the body: the status, in a line of its own."""
    quiet = command.replace("curl ", "curl --silent --show-error --write-out '\\n%{http_code}' ", 1)
    done = subprocess.run(["sh", "-c", quiet], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def answer(command: str) -> tuple[int, Any]:
    body, _, status = run(command).rpartition("\n")
    return int(status), json.loads(body)


@pytest.fixture(scope="module")
def realm(keycloak: Keycloak) -> Iterator[Keycloak]:
    keycloak.create_realm(REALM)
    yield keycloak
    keycloak.delete_realm(REALM["realm"])


@pytest.fixture(scope="module")
def app(realm: Keycloak, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the example app, with two workers on an empty database."""
    folder = tmp_path_factory.mktemp("tutorial")
    variables = {
        "SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/example.sqlite",
        "FOREIGN_TOKEN_ADMIN_CLIENT_ID": OPERATOR[0],
        "FOREIGN_TOKEN_ADMIN_CLIENT_SECRET": OPERATOR[1],
        "FOREIGN_TOKEN_REGISTRY_POLL": "0",
    }
    with served(folder, app="example_app:create_app()", **variables) as address:
        yield address


@pytest.fixture(scope="module")
def tutorial(realm: Keycloak, app: str) -> Tutorial:
    return Tutorial.read(realm, app)


def as_operator(method: str, address: str, body: str | None = None, **headers: str) -> requests.Response:
    data = None if body is None else body.encode()
    return requests.request(method, address, data=data, headers=headers, auth=OPERATOR, timeout=60)


@pytest.fixture(scope="module")
def written(tutorial: Tutorial) -> list[int]:
    """The statuses of the three resources, put as they stand and without a Content-Type."""
    return [as_operator("PUT", tutorial.app + path, body).status_code for path, body in tutorial.writes]


@pytest.fixture(scope="module")
def service_account(tutorial: Tutorial, written: list[int]) -> str:
    """The token that the tutorial's own curl command gets."""
    return token_from(tutorial.curl("grant_type=client_credentials"))


@pytest.fixture(scope="module")
def testuser(tutorial: Tutorial, written: list[int]) -> str:
    """The token of the person whom the tutorial makes, with the same command."""
    person = '-d "grant_type=password" -d "username=testuser" -d "password=testpass123"'
    command = tutorial.curl("grant_type=client_credentials")
    return token_from(command.replace('-d "grant_type=client_credentials"', person))


def token_from(command: str) -> str:
    status, body = answer(command)
    assert status == 200
    return str(body["access_token"])


def users_named(tutorial: Tutorial, username: str) -> list[dict[str, Any]]:
    bundle = as_operator("GET", f"{tutorial.app}/fhir/User").json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    resources = [entry["resource"] for entry in bundle["entry"]]
    return [user for user in resources if user["data"]["preferred_username"] == username]


def test_its_three_resources_are_new_when_they_are_first_put(tutorial: Tutorial, written: list[int]) -> None:
    assert [path for path, _ in tutorial.writes] == [
        "/fhir/IdentityProvider/keycloak",
        "/fhir/TokenIntrospector/keycloak-jwt-introspector",
        "/fhir/AccessPolicy/keycloak-users-policy",
    ]
    assert written == [201, 201, 201]


def test_they_can_be_put_again_as_yaml(tutorial: Tutorial, written: list[int]) -> None:
    again = [
        as_operator("PUT", tutorial.app + path, body, **{"Content-Type": "text/yaml"}) for path, body in tutorial.writes
    ]

    assert [response.status_code for response in again] == [200, 200, 200]


@pytest.mark.parametrize("who", ["service_account", "testuser"])
def test_its_curl_command_gets_the_patients(tutorial: Tutorial, request: pytest.FixtureRequest, who: str) -> None:
    token = request.getfixturevalue(who)

    status, bundle = answer(tutorial.curl("/fhir/Patient").replace("YOUR_ACCESS_TOKEN", token))

    assert (status, bundle["resourceType"], bundle["total"]) == (200, "Bundle", 3)


def test_a_token_with_another_signature_gets_none(tutorial: Tutorial, service_account: str) -> None:
    head, _, signature = service_account.rpartition(".")
    forged = f"{head}.{signature[::-1]}"

    status, body = answer(tutorial.curl("/fhir/Patient").replace("YOUR_ACCESS_TOKEN", forged))

    assert (status, body["error"]) == (401, "invalid_token")


def test_the_user_of_the_service_account_looks_like_the_tutorials(tutorial: Tutorial, service_account: str) -> None:
    requests.get(f"{tutorial.app}/fhir/Patient", headers=bearer(service_account), timeout=60)

    (user,) = users_named(tutorial, "service-account-my-client")

    assert shape(user) == shape(tutorial.user)
    assert user["identifier"] == [{"system": "keycloak", "value": user["data"]["sub"]}]
    assert user["data"]["email_verified"] is False


def test_the_person_is_a_user_of_the_same_shape_with_what_is_known_of_one(tutorial: Tutorial, testuser: str) -> None:
    requests.get(f"{tutorial.app}/fhir/Patient", headers=bearer(testuser), timeout=60)

    (user,) = users_named(tutorial, "testuser")

    expected = shape(tutorial.user)
    expected["data"].update(email=str, name=str, given_name=str, family_name=str)
    assert shape(user) == expected
    assert user["identifier"] == [{"system": "keycloak", "value": user["data"]["sub"]}]
    assert (user["data"]["email"], user["data"]["email_verified"]) == ("testuser@example.com", True)


def shape(value: Any) -> Any:
    """`value` with the type of each text, number and truth in its place; what is fixed by the format is kept."""
    if isinstance(value, Mapping):
        fixed = ("resourceType", "system", "url")
        return {name: inner if name in fixed else shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value)


@pytest.mark.parametrize("who", ["service_account", "testuser"])
@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(("one", "method"), PLACES)
def test_its_policy_opens_no_endpoint_of_the_operators(
    tutorial: Tutorial, request: pytest.FixtureRequest, who: str, type_: str, one: str | None, method: str
) -> None:
    token = request.getfixturevalue(who)
    ids = {path.split("/")[2]: path.split("/")[3] for path, _ in tutorial.writes}
    place = f"/fhir/{type_}" if one is None else f"/fhir/{type_}/{ids.get(type_, 'somebody')}"
    body = {"resourceType": "AccessPolicy", "engine": "allow"}
    before = [as_operator("GET", tutorial.app + path).content for path, _ in tutorial.writes]

    response = requests.request(
        method, tutorial.app + place, json=None if method == "GET" else body, headers=bearer(token), timeout=60
    )

    assert (response.status_code, response.json()["error"]) == (403, "access_denied")
    assert [as_operator("GET", tutorial.app + path).content for path, _ in tutorial.writes] == before


def test_without_the_operators_password_nothing_is_written(tutorial: Tutorial, written: list[int]) -> None:
    path, body = tutorial.writes[0]

    response = requests.put(tutorial.app + path, data=body.encode(), auth=("operator", "wrong"), timeout=60)

    assert response.status_code == 401
