"""A registry in a file: read over HTTP, changed by commands, and kept as its author wrote it."""

from __future__ import annotations

import json
import stat

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import ask, bearer, policy, provider, registry_of, trusting
from ..conftest import MakeApp
from .callers import (
    BODIES,
    OPERATOR_SETTINGS,
    REGISTRY_TYPES,
    SIGNING_SECRET,
    Operated,
    ids,
    linked,
    operate,
    parsed,
    read,
    run,
    secret_introspector,
    secret_provider,
    write,
)


@pytest.fixture
def filed(make_app: MakeApp, issuer: Issuer) -> Flask:
    return make_app(trusting(issuer), **OPERATOR_SETTINGS)


def text_of(app: Flask) -> str:
    return registry_of(app).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REGISTRY_TYPES)
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_writes_are_answered_405_with_the_reason(filed: Flask, name, method):
    before = text_of(filed)
    [only] = ids(filed, name)
    path = f"/fhir/{name}" if method == "POST" else f"/fhir/{name}/{only}"

    answer = operate(filed, method, path, None if method == "DELETE" else BODIES[name])

    assert answer.status_code == 405
    assert "file" in answer.json["error_description"]
    assert "GET" in answer.headers["Allow"]
    assert method not in answer.headers["Allow"].replace(" ", "").split(",")
    assert text_of(filed) == before


@pytest.mark.parametrize("name", REGISTRY_TYPES)
def test_resources_are_read_and_searched(filed: Flask, name):
    [only] = ids(filed, name)

    answer = operate(filed, "GET", f"/fhir/{name}/{only}")

    assert answer.status_code == 200
    assert answer.json["id"] == only


@pytest.mark.parametrize("name", REGISTRY_TYPES)
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_nobody_else_is_let_in(filed: Flask, issuer: Issuer, name, method):
    path = f"/fhir/{name}" if method == "POST" else f"/fhir/{name}/x"
    client = filed.test_client()

    assert client.open(path, method=method).status_code == 401
    assert client.open(path, method=method, headers=bearer(issuer.token())).status_code == 403


def test_a_token_whom_a_policy_lets_write_gets_405_as_well(make_app: MakeApp, issuer: Issuer):
    resources = [*trusting(issuer), linked("opens", "Operation/foreign_token.update_access_policy")]
    app = make_app(resources, **OPERATOR_SETTINGS)

    answer = app.test_client().put("/fhir/AccessPolicy/x", json={"engine": "allow"}, headers=bearer(issuer.token()))

    assert answer.status_code == 405


@pytest.fixture
def templated(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setenv("ACME_SECRET", SIGNING_SECRET)
    monkeypatch.setenv("ACME_TITLE", "expanded-title")
    introspector = secret_introspector()
    introspector["jwt"] = {**introspector["jwt"], "secret": "${ACME_SECRET}", "aud": "${ACME_AUD:-account}"}
    resources = [
        {**secret_provider(), "title": "${ACME_TITLE}"},
        {**introspector, "identity_provider": {"reference": "IdentityProvider/acme"}},
        policy("readers", {"request-method": "get"}),
    ]
    return make_app(json.dumps(resources, indent=4), **OPERATOR_SETTINGS)


def test_apply_keeps_what_other_resources_refer_to(templated: Flask, tmp_path):
    run(templated, "apply", write(tmp_path, "p.json", policy("writers")))

    text = text_of(templated)
    assert "${ACME_SECRET}" in text
    assert "${ACME_TITLE}" in text
    assert "${ACME_AUD:-account}" in text
    assert SIGNING_SECRET not in text
    assert "expanded-title" not in text
    assert {resource["id"] for resource in json.loads(text)} == {"acme", "acme-tokens", "readers", "writers"}


def test_delete_keeps_what_other_resources_refer_to(templated: Flask):
    run(templated, "delete", "AccessPolicy", "readers", "--yes")

    text = text_of(templated)
    assert "${ACME_SECRET}" in text
    assert SIGNING_SECRET not in text
    assert "readers" not in text


def test_what_is_exported_and_applied_keeps_its_secret_a_reference(templated: Flask, tmp_path):
    exported = run(templated, "export").stdout
    assert SIGNING_SECRET not in exported

    run(templated, "apply", write(tmp_path, "all.yaml", exported))

    text = text_of(templated)
    assert "${ACME_SECRET}" in text
    assert SIGNING_SECRET not in text
    assert "********" not in text


def test_a_resource_that_was_read_back_and_applied_keeps_its_references(templated: Flask, tmp_path):
    shown = run(templated, "get", "TokenIntrospector", "acme-tokens").stdout

    run(templated, "apply", write(tmp_path, "one.yaml", shown))

    assert "${ACME_SECRET}" in text_of(templated)


def test_a_reference_may_be_applied(templated: Flask, tmp_path):
    body = secret_introspector("second")
    body["jwt"] = {"iss": "https://second.example", "aud": "account", "secret": "${ACME_SECRET}"}

    run(templated, "apply", write(tmp_path, "second.json", body))

    assert text_of(templated).count("${ACME_SECRET}") == 2
    assert "second" in ids(templated, "TokenIntrospector")


def test_a_reference_to_an_unset_variable_is_refused_and_changes_nothing(templated: Flask, tmp_path):
    body = secret_introspector("second")
    body["jwt"] = {"iss": "https://second.example", "aud": "account", "secret": "${NOT_SET_ANYWHERE}"}
    before = text_of(templated)

    result = run(templated, "apply", write(tmp_path, "second.json", body), status=1)

    assert "NOT_SET_ANYWHERE" in result.stderr
    assert "TokenIntrospector/second" in result.stderr
    assert text_of(templated) == before


def test_a_policy_keeps_its_dollar_signs_as_text(templated: Flask, tmp_path):
    run(templated, "apply", write(tmp_path, "p.json", policy("odd", {"uri": "/${ACME_TITLE}"})))

    assert read(templated, "AccessPolicy/odd")["matcho"] == {"uri": "/${ACME_TITLE}"}


def test_a_file_that_is_absent_is_made(make_app: MakeApp, tmp_path, issuer: Issuer):
    app = make_app(**OPERATOR_SETTINGS, FOREIGN_TOKEN_REGISTRY="made.json")
    file = registry_of(app).with_name("made.json")
    assert not file.exists()

    run(app, "apply", *(write(tmp_path, f"{n}.json", resource) for n, resource in enumerate(trusting(issuer))))

    assert len(json.loads(file.read_text())) == 3
    assert ask(app, issuer.token()).status_code == 200


def test_the_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it(filed: Flask, tmp_path):
    file = registry_of(filed)
    inode = file.stat().st_ino

    run(filed, "apply", write(tmp_path, "p.json", policy("writers")))

    assert file.stat().st_ino != inode
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == [file.name]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_file_keeps_its_mode(filed: Flask, tmp_path, mode):
    registry_of(filed).chmod(mode)

    run(filed, "apply", write(tmp_path, "p.json", policy("writers")))

    assert stat.S_IMODE(registry_of(filed).stat().st_mode) == mode


def test_a_link_to_the_file_stays_a_link(filed: Flask, tmp_path):
    file = registry_of(filed)
    real = tmp_path / "real.json"
    file.rename(real)
    file.symlink_to(real)

    run(filed, "apply", write(tmp_path, "p.json", policy("writers")))

    assert file.is_symlink()
    assert "writers" in real.read_text()


def test_a_wrong_resource_leaves_the_file_as_it_is(filed: Flask, tmp_path):
    before, changed = text_of(filed), registry_of(filed).stat().st_mtime_ns

    run(filed, "apply", write(tmp_path, "p.json", policy("ok")), write(tmp_path, "q.json", {"id": "q"}), status=1)

    assert (text_of(filed), registry_of(filed).stat().st_mtime_ns) == (before, changed)


def test_a_command_changes_what_a_running_app_serves(filed: Flask, issuer: Issuer):
    token = issuer.token()
    assert ask(filed, token).status_code == 200

    run(filed, "delete", "AccessPolicy", "known-issuer", "--yes")

    assert ask(filed, token).status_code == 403


BROKEN = ["{", "", "[{}]", '[{"resourceType": "IdentityProvider", "id": "x", "system": 7}]', "\x00", "null"]


@pytest.mark.parametrize("content", BROKEN, ids=repr)
def test_a_broken_file_is_an_outage_for_tokens_and_no_command_ends_in_a_traceback(
    make_app: MakeApp, issuer: Issuer, content
):
    app = make_app(content, **OPERATOR_SETTINGS)

    assert ask(app, issuer.token()).status_code == 503
    for words in [("list", "AccessPolicy"), ("export",), ("users", "list"), ("doctor",)]:
        result = run(app, *words, status=None)
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        assert "Traceback" not in result.output


def test_a_faulty_resource_of_a_file_is_mended_by_apply(make_app: MakeApp, issuer: Issuer, tmp_path):
    app = make_app([*trusting(issuer), provider("bad", system=7)], **OPERATOR_SETTINGS)
    assert ask(app, issuer.token()).status_code == 503

    run(app, "apply", write(tmp_path, "good.json", provider("bad", system="other")))

    assert ask(app, issuer.token()).status_code == 200


def test_a_faulty_resource_of_a_file_is_mended_by_delete(make_app: MakeApp, issuer: Issuer):
    app = make_app([*trusting(issuer), provider("bad", system=7)], **OPERATOR_SETTINGS)

    run(app, "delete", "IdentityProvider", "bad", "--yes")

    assert ask(app, issuer.token()).status_code == 200


def test_list_as_json_parses_with_a_file_as_with_the_database(filed: Flask, operated: Operated, issuer: Issuer):
    database = operated(trusting(issuer))

    def names(app: Flask) -> list[str]:
        return [resource["id"] for resource in parsed(app, "list", "TokenIntrospector")]

    assert names(filed) == names(database) == ["keycloak-jwt"]
