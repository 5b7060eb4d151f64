"""What is sent to the REST API, and in which form it answers."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.admin.bodies import MAX_BODY
from flask_foreign_token.documents import read_yaml

from ..apps import ask
from ..conftest import MakeApp
from .asking import ADMIN, BODIES, basic, operate

POLICY = BODIES["AccessPolicy"]
PATH = "/AccessPolicy/other"
AS_JSON = json.dumps(POLICY)
AS_YAML = "engine: matcho\nmatcho:\n  jwt:\n    iss: https://other.example\n"

# The tutorial's bodies; only its issuer's keys are elsewhere.
TUTORIAL = [
    (
        "/IdentityProvider/keycloak",
        """\
id: keycloak
scopes:
  - profile
  - openid
system: keycloak
userinfo_endpoint: http://keycloak:8180/realms/myrealm/protocol/openid-connect/userinfo
userinfo-source: userinfo-endpoint
resourceType: IdentityProvider
title: Keycloak
active: true
""",
    ),
    (
        "/TokenIntrospector/keycloak-jwt-introspector",
        """\
resourceType: TokenIntrospector
type: jwt
jwt:
  iss: http://localhost:8180/realms/myrealm
jwks_uri: http://keycloak:8180/realms/myrealm/protocol/openid-connect/certs
identity_provider:
  reference: IdentityProvider/keycloak
""",
    ),
    (
        "/AccessPolicy/keycloak-users-policy",
        """\
resourceType: AccessPolicy
engine: matcho
matcho:
  jwt:
    iss: http://localhost:8180/realms/myrealm
""",
    ),
]


@pytest.mark.parametrize("content_type", ["text/yaml", None])
def test_the_tutorials_bodies_are_taken_as_they_stand(make_app: MakeApp, content_type: str | None) -> None:
    app = make_app(
        **ADMIN, FOREIGN_TOKEN_REQUIRE_AUDIENCE=False, FOREIGN_TOKEN_ALLOW_HTTP_HOSTS="localhost,127.0.0.1,keycloak"
    )

    answers = [operate(app, "PUT", path, body, content_type=content_type) for path, body in TUTORIAL]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    for (path, body), answer in zip(TUTORIAL, answers, strict=True):
        shown = {name: value for name, value in answer.json.items() if name != "meta"}
        written: Any = read_yaml(body.encode())
        assert shown == {**written, "id": path.rpartition("/")[2]}
        assert operate(app, "GET", path).json == answer.json


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", AS_JSON),
        ("application/json; charset=UTF-8", AS_JSON),
        ('application/json; charset="utf-8"', AS_JSON),
        ("Application/JSON", AS_JSON),
        ("application/fhir+json", AS_JSON),
        ("text/yaml", AS_YAML),
        ("text/yaml; charset=utf-8", AS_YAML),
        ("text/x-yaml", AS_YAML),
        ("application/yaml", AS_YAML),
        ("application/x-yaml", AS_YAML),
        ("application/fhir+yaml", AS_YAML),
        ("text/yaml", AS_JSON),
        (None, AS_YAML),
        (None, AS_JSON),
        ("", AS_YAML),
    ],
)
def test_json_and_yaml_are_read(app: Flask, content_type: str | None, body: str) -> None:
    answer = operate(app, "PUT", PATH, body, content_type=content_type)

    assert (answer.status_code, answer.json["matcho"]) == (201, POLICY["matcho"])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, AS_YAML),
        ({"Content-Type": "multipart/form-data; boundary=x"}, AS_YAML),
        ({"Content-Type": "text/plain"}, AS_YAML),
        ({"Content-Type": "application/xml"}, "<a/>"),
        ({"Content-Type": "nonsense"}, AS_YAML),
        ({"Content-Type": "text/fhir+json"}, AS_JSON),
        ({"Content-Type": "application/json; charset=latin-1"}, AS_JSON),
        ({"Content-Type": "text/yaml; charset=utf-16"}, AS_YAML),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, AS_JSON),
    ],
)
def test_anything_else_is_415_and_told_what_to_send(app: Flask, headers: dict[str, str], body: str) -> None:
    answer = operate(app, "PUT", PATH, body, headers=headers)

    assert (answer.status_code, answer.json["error"]) == (415, "unsupported_media_type")
    assert "Content-Type: text/yaml" in answer.json["error_description"]
    assert operate(app, "GET", PATH).status_code == 404


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("application/json", AS_YAML, "not JSON"),
        ("application/json", "", "not JSON"),
        ("application/json", '{"engine": "allow", "engine": "matcho"}', "duplicate"),
        ("application/json", b'{"description": "\xff"}', "not UTF-8"),
        ("application/json", "[" * 70 + "]" * 70, "too deep"),
        ("application/json", "[]", "must be an object"),
        ("application/json", "null", "must be an object"),
        ("text/yaml", "", "must be an object"),
        ("text/yaml", "engine: allow\nengine: matcho", "duplicate key (line 2, column 1)"),
        ("text/yaml", "engine: &a allow", "anchor"),
        ("text/yaml", "engine: 'allow", "line 1"),
        ("text/yaml", "engine: allow\n---\nengine: allow", "more than one"),
        (None, '{"engine": "allow", "engine": "matcho"}', "duplicate"),
    ],
)
def test_what_cannot_be_read_is_422(app: Flask, content_type: str | None, body: str | bytes, reason: str) -> None:
    answer = operate(app, "PUT", PATH, body, content_type=content_type)

    assert (answer.status_code, answer.json["error"]) == (422, "unprocessable")
    (issue,) = answer.json["issues"]
    assert issue["path"] == ""
    assert reason in issue["message"]


# ---- size


def padded(size: int) -> str:
    """The policy as YAML, of so many bytes."""
    return AS_YAML + "#" * (size - len(AS_YAML))


@pytest.mark.parametrize("streamed", [False, True])
def test_a_body_of_a_mebibyte_is_read(app: Flask, streamed: bool) -> None:
    assert send(app, padded(MAX_BODY).encode(), streamed)[0] == 201


@pytest.mark.parametrize("streamed", [False, True])
def test_a_larger_body_is_413_and_not_read_to_its_end(app: Flask, streamed: bool) -> None:
    status, read = send(app, padded(64 * MAX_BODY).encode(), streamed)

    assert status == 413
    assert read <= (MAX_BODY + 1 if streamed else 0)


def test_a_caller_who_is_not_let_in_has_nothing_read(app: Flask) -> None:
    status, read = send(app, AS_YAML.encode(), streamed=True, headers={})

    assert (status, read) == (401, 0)


@pytest.mark.parametrize(("limit", "status"), [(100, 201), (99, 413), (64 * MAX_BODY, 201)])
def test_the_apps_own_limit_holds_as_well(app: Flask, limit: int, status: int) -> None:
    app.config["MAX_CONTENT_LENGTH"] = limit

    answer = operate(app, "PUT", PATH, padded(100))

    assert answer.status_code == status
    assert status == 201 or answer.json["error"] == "content_too_large"


def test_a_limit_of_the_apps_that_is_larger_does_not_count_here(app: Flask) -> None:
    app.config["MAX_CONTENT_LENGTH"] = 64 * MAX_BODY

    assert operate(app, "PUT", PATH, padded(MAX_BODY + 1)).status_code == 413


class Counted(io.BytesIO):
    """Knows how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        self.taken += len(found)
        return found

    def readinto(self, buffer: Any, /) -> int:
        size = super().readinto(buffer)
        self.taken += size
        return size


def send(app: Flask, body: bytes, streamed: bool, headers: dict[str, str] | None = None) -> tuple[int, int]:
    """The status of a PUT, and how much of the body was read; streamed: as a server hands on what comes in chunks."""
    stream = Counted(body)
    environ: dict[str, Any] = {"wsgi.input": stream}
    if streamed:
        environ |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    else:
        environ["CONTENT_LENGTH"] = str(len(body))
    headers = basic() if headers is None else headers
    answer = ask(app, None, f"/fhir{PATH}", "PUT", headers=headers, environ_overrides=environ)
    return answer.status_code, stream.taken


# ---- answers


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json; charset=utf-8"),
        ("", "application/json; charset=utf-8"),
        ("*/*", "application/json; charset=utf-8"),
        ("application/*", "application/json; charset=utf-8"),
        ("application/json", "application/json; charset=utf-8"),
        ("application/fhir+json", "application/fhir+json; charset=utf-8"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json; charset=utf-8"),
        ("application/yaml", "application/yaml; charset=utf-8"),
        ("text/yaml", "text/yaml; charset=utf-8"),
        ("application/json;q=0.5, text/yaml", "text/yaml; charset=utf-8"),
        ("text/*", "text/yaml; charset=utf-8"),
    ],
)
def test_the_answer_has_the_form_that_the_caller_likes_best(app: Flask, accept: str | None, content_type: str) -> None:
    headers = {} if accept is None else {"Accept": accept}

    answer = operate(app, "PUT", PATH, POLICY, headers=headers)

    assert (answer.status_code, answer.headers["Content-Type"]) == (201, content_type)
    assert answer.headers["Cache-Control"] == "no-store"
    shown: Any = read_yaml(answer.data)
    assert list(shown) == ["resourceType", "id", "engine", "matcho", "meta"]
    assert answer.data.startswith(b"{" if "json" in content_type else b"resourceType: AccessPolicy\n")


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*;q=0"])
def test_a_caller_who_takes_neither_is_refused_before_anything_is_done(app: Flask, method: str, accept: str) -> None:
    answer = operate(app, method, PATH, POLICY if method == "PUT" else None, headers={"Accept": accept})

    assert (answer.status_code, answer.json["error"]) == (406, "not_acceptable")
    assert operate(app, "GET", PATH).status_code == 404


def test_a_search_can_be_answered_in_yaml(app: Flask) -> None:
    operate(app, "PUT", PATH, POLICY)

    answer = operate(app, "GET", "/AccessPolicy", headers={"Accept": "text/yaml"})

    assert read_yaml(answer.data) == operate(app, "GET", "/AccessPolicy").json
