"""What is started in containers: the compose file, the Dockerfile and what goes into the image."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import yaml

from example_app.providers import CALLED, FOLDER, ISSUER
from flask_foreign_token.sealing import MIN_KEY
from flask_foreign_token.settings import MIN_SECRET

ROOT = FOLDER.parent
COMPOSE = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
REALM = json.loads((FOLDER / "keycloak" / "myrealm-realm.json").read_text(encoding="utf-8"))


def service(name: str) -> dict[str, Any]:
    return dict(COMPOSE["services"][name])


def default_of(value: str) -> str:
    """What is used where the shell that starts the containers says nothing."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def command_of_the_image() -> list[str]:
    found = re.search(r"^CMD (\[.+?\])$", DOCKERFILE.replace("\\\n", ""), re.MULTILINE)
    return list(json.loads(found[1]))


def test_the_compose_file_follows_its_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]

    done = subprocess.run([*command, FOLDER / "docker-compose.yaml"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_keycloak_is_set_up_as_in_the_tutorial() -> None:
    keycloak = service("keycloak")

    assert COMPOSE["volumes"] == {"keycloak_data": {}, "postgres_data": {}}
    assert keycloak["image"] == "quay.io/keycloak/keycloak:26.3.5"
    assert keycloak["container_name"] == keycloak["hostname"] == "keycloak"
    assert keycloak["ports"] == ["8180:8080"]
    assert keycloak["volumes"][0] == "keycloak_data:/opt/keycloak/data"
    assert keycloak["environment"] == {
        "KC_BOOTSTRAP_ADMIN_USERNAME": "admin",
        "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin",
        "KC_HTTP_ENABLED": "true",
        "KC_HOSTNAME": "http://localhost:8180",
        "KC_HOSTNAME_STRICT": "false",
        "KC_HOSTNAME_BACKCHANNEL_DYNAMIC": "true",
    }


def test_keycloak_imports_the_realm_which_it_cannot_write() -> None:
    source, target, mode = service("keycloak")["volumes"][1].split(":")

    assert service("keycloak")["command"] == "start-dev --import-realm"
    assert (FOLDER / source).is_file()
    assert target == "/opt/keycloak/data/import/myrealm-realm.json"
    assert mode == "ro"


def test_the_app_finds_keycloak_on_the_host() -> None:
    app = service("app")
    published, _ = service("keycloak")["ports"][0].split(":")

    assert app["extra_hosts"] == ["keycloak:host-gateway"]
    assert CALLED.startswith(f"http://keycloak:{published}/")
    assert ISSUER.startswith(service("keycloak")["environment"]["KC_HOSTNAME"] + "/")


def test_the_app_is_configured_by_its_environment() -> None:
    app = service("app")
    environment = {name: default_of(value) for name, value in app["environment"].items()}
    postgres = {name: default_of(value) for name, value in service("postgres")["environment"].items()}

    assert environment["TRUSTED_HOSTS"] == "localhost,127.0.0.1"
    assert environment["FOREIGN_TOKEN_CREATE_USER"] == "true"
    assert environment["FOREIGN_TOKEN_ADMIN_CLIENT_ID"] == "operator"
    assert environment["SQLALCHEMY_DATABASE_URI"] == (
        "postgresql+psycopg://{POSTGRES_USER}:{POSTGRES_PASSWORD}@postgres/{POSTGRES_DB}".format(**postgres)
    )
    assert app["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_started"},
    }
    assert environment["FOREIGN_TOKEN_CACHE_URL"] == "redis://redis:6379/0"
    assert app["ports"] == ["127.0.0.1:8080:8080"]


def test_the_operators_secret_is_an_example_that_says_so() -> None:
    given = service("app")["environment"]["FOREIGN_TOKEN_ADMIN_CLIENT_SECRET"]

    assert given.startswith("${OPERATOR_SECRET:-change-this-")
    assert len(default_of(given)) >= MIN_SECRET


def test_the_key_of_the_cache_is_an_example_that_says_so() -> None:
    given = service("app")["environment"]["FOREIGN_TOKEN_CACHE_KEY"]

    assert given.startswith("${CACHE_KEY:-change-this-")
    assert len(default_of(given)) >= MIN_KEY


def test_every_service_is_looked_after() -> None:
    assert set(COMPOSE["services"]) == {"keycloak", "postgres", "redis", "app"}
    assert all("healthcheck" in one for one in COMPOSE["services"].values())


def test_the_image_is_built_from_the_whole_repository() -> None:
    build = service("app")["build"]

    assert (FOLDER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).samefile(FOLDER / "Dockerfile")


def test_the_image_copies_only_what_it_is_sent() -> None:
    sent = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    lines = re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE)
    copied = {source for line in lines for source in line.split()}

    assert "*" in sent
    assert copied == {line[1:] for line in sent if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_serves_with_several_workers_and_long_headers_and_not_as_root() -> None:
    command = command_of_the_image()

    assert command[0] == "gunicorn"
    assert int(command[command.index("--workers") + 1]) > 1
    assert command[command.index("--limit-request-field_size") + 1] == "17000"
    assert command[command.index("--bind") + 1] == "0.0.0.0:8080"
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["app"]


def test_the_image_has_the_client_of_the_redis_that_it_is_given() -> None:
    (installed,) = re.findall(r"^RUN pip install (.+)$", DOCKERFILE, re.MULTILINE)

    assert '".[redis]"' in installed.split()


def test_the_realm_has_what_the_tutorial_makes_by_hand() -> None:
    (client,), (person,) = REALM["clients"], REALM["users"]

    assert (REALM["realm"], REALM["enabled"]) == ("myrealm", True)
    assert (client["clientId"], client["publicClient"]) == ("my-client", False)
    assert (
        client["standardFlowEnabled"] is client["directAccessGrantsEnabled"] is client["serviceAccountsEnabled"] is True
    )
    assert client["redirectUris"] == client["webOrigins"] == ["/*"]
    assert (person["username"], person["email"], person["emailVerified"]) == ("testuser", "testuser@example.com", True)
    assert person["credentials"] == [{"type": "password", "value": "testpass123", "temporary": False}]


def test_the_realms_person_has_the_names_and_the_role_that_tokens_need() -> None:
    (person,) = REALM["users"]

    assert person["firstName"]
    assert person["lastName"]
    assert person["realmRoles"] == ["default-roles-myrealm"]
