"""One bad row in the database, written by hand: named, left out, denied; the others go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import (
    SECRET_ISSUER,
    ask,
    introspector,
    policy,
    provider,
    secret_token,
    trusting,
    trusting_a_secret,
)
from ..conftest import MakeApp
from .callers import ids, operate, parsed, put_all, read, run, write
from .registries import health, insert, overwrite, ready, worker

MARK = "row-by-hand"


@pytest.fixture
def written(make_app: MakeApp, tmp_path: Path, issuer: Issuer) -> Flask:
    """The worker through which all is stored that tests spoil."""
    app = worker(make_app, tmp_path / "shared.sqlite")
    nobody = policy("nobody", {"jwt": {"sub": "nobody-of-that-name"}})
    put_all(app, [*trusting(issuer), provider(MARK), policy(MARK, {"uri": "/never"}), nobody])
    put_all(app, [introspector(MARK, MARK, jwt={"iss": SECRET_ISSUER, "secret": "s" * 40})])
    return app


def again(make_app: MakeApp, app: Flask) -> Flask:
    """A worker that starts on what is stored by now."""
    return worker(make_app, app.config["SQLALCHEMY_DATABASE_URI"])


def body(kind: str, **attributes: object) -> dict[str, object]:
    return {"resourceType": kind, "id": MARK, **attributes}


UNREADABLE = {
    "no JSON": "{",
    "nothing": "",
    "a list": "[]",
    "null": "null",
    "a number": "3",
    "an empty object": "{}",
    "another resource": json.dumps(policy("another")),
    "another type": json.dumps({"resourceType": "Patient", "id": MARK}),
    "deep": "[" * 5000,
    "a number that is none": '{"resourceType": "AccessPolicy", "id": "row-by-hand", "engine": "allow", "x": NaN}',
}
FAULTY = {
    "an unknown attribute": ("AccessPolicy", policy(MARK, unknown=1)),
    "an unknown engine": ("AccessPolicy", policy(MARK, engine="mathco")),
    "a list for a text": ("AccessPolicy", policy(MARK, engine=["allow"])),
    "an empty pattern": ("AccessPolicy", policy(MARK, {})),
    "a provider without system": ("IdentityProvider", body("IdentityProvider")),
    "a provider with a wrong type": ("IdentityProvider", body("IdentityProvider", system=7)),
    "an introspector of no type": ("TokenIntrospector", body("TokenIntrospector", jwt={"iss": SECRET_ISSUER})),
    "an introspector of nobody": (
        "TokenIntrospector",
        introspector(MARK, "does-not-exist", jwt={"iss": SECRET_ISSUER, "secret": "s" * 40}),
    ),
    "a time to live that is none": (
        "TokenIntrospector",
        introspector(MARK, MARK, jwt={"iss": SECRET_ISSUER, "secret": "s" * 40}, cache_ttl=0),
    ),
}


def all_bad() -> dict[str, tuple[str, object]]:
    return {**{name: ("AccessPolicy", text) for name, text in UNREADABLE.items()}, **FAULTY}


@pytest.fixture(params=all_bad())
def spoilt(request: pytest.FixtureRequest, make_app: MakeApp, written: Flask) -> tuple[Flask, str]:
    """A worker that starts on a database with a bad row, and which that is."""
    kind, content = all_bad()[request.param]
    overwrite(written, kind, MARK, content)
    return again(make_app, written), f"{kind}/{MARK}"


def test_the_others_go_on(spoilt, issuer: Issuer):
    app, _ = spoilt

    assert ask(app, issuer.token()).status_code == 200
    assert ask(app).status_code == 401
    assert ready(app) == 200


def test_it_is_logged_once_with_its_name(spoilt, issuer: Issuer, caplog):
    app, name = spoilt

    ask(app, issuer.token())
    named = [record.getMessage() for record in caplog.records if name in record.getMessage()]
    for _ in range(3):
        ask(app, issuer.token())

    assert named
    assert [record.getMessage() for record in caplog.records if name in record.getMessage()] == named


def test_the_doctor_names_it_and_fails(spoilt):
    app, name = spoilt

    result = run(app, "doctor", status=1)

    assert name in result.output
    assert "Traceback" not in result.output


def test_the_operator_sees_its_name_in_health(spoilt):
    app, name = spoilt

    assert name in json.dumps(health(app))


def test_nobody_else_sees_its_name_in_health(spoilt):
    app, _ = spoilt

    for path in ("live", "ready"):
        assert MARK not in app.test_client().get(f"/fhir/health/{path}").get_data(as_text=True)


def test_check_names_it(spoilt):
    app, name = spoilt

    with pytest.raises(Exception, match=name), app.app_context():
        app.extensions["foreign_token"].check()


def test_the_other_resources_are_listed(spoilt):
    app, _ = spoilt

    assert "keycloak" in ids(app, "IdentityProvider")
    assert "keycloak-jwt" in ids(app, "TokenIntrospector")
    assert "known-issuer" in ids(app, "AccessPolicy")


def test_other_resources_can_be_written_and_are_in_force(spoilt, issuer: Issuer):
    app, _ = spoilt

    put_all(app, [policy("known-issuer", {"jwt": {"sub": "nobody-at-all"}}), policy("nobody", {"uri": "/x"})])

    assert read(app, "AccessPolicy/known-issuer")["matcho"] == {"jwt": {"sub": "nobody-at-all"}}
    assert ask(app, issuer.token(), "/patients").status_code == 403


def test_delete_mends_it(spoilt):
    app, name = spoilt
    if name != f"AccessPolicy/{MARK}":
        operate(app, "DELETE", f"/fhir/TokenIntrospector/{MARK}")

    operate(app, "DELETE", f"/fhir/{name}")

    assert name not in json.dumps(health(app))


def test_apply_mends_it(spoilt, tmp_path: Path):
    app, name = spoilt
    good = {
        "AccessPolicy": policy(MARK, {"uri": "/x"}),
        "IdentityProvider": provider(MARK),
        "TokenIntrospector": introspector(MARK, MARK, jwt={"iss": SECRET_ISSUER, "secret": "t" * 40}),
    }[name.partition("/")[0]]

    run(app, "apply", write(tmp_path, "good.json", good), "--yes")

    assert name not in json.dumps(health(app))
    assert [item for item in parsed(app, "list", name.partition("/")[0]) if item["id"] == MARK]


POLICIES = [name for name, (kind, _) in all_bad().items() if kind == "AccessPolicy"]


@pytest.mark.parametrize("spoilt", POLICIES, indirect=True)
def test_a_policy_that_is_left_out_allows_nothing(spoilt, issuer: Issuer):
    app, _ = spoilt

    assert operate(app, "DELETE", "/fhir/AccessPolicy/known-issuer").status_code == 204

    assert ask(app, issuer.token()).status_code == 403


INTROSPECTORS = [name for name, (kind, _) in all_bad().items() if kind == "TokenIntrospector"]


@pytest.mark.parametrize("spoilt", INTROSPECTORS, indirect=True)
def test_tokens_of_an_introspector_that_is_left_out_are_refused(spoilt, issuer: Issuer):
    app, _ = spoilt

    assert ask(app, secret_token(issuer, "s" * 40)).status_code in {401, 503}


def test_a_provider_that_is_left_out_takes_its_introspector_with_it(make_app: MakeApp, written: Flask, issuer: Issuer):
    put_all(written, [policy("secret-too", {"jwt": {"iss": SECRET_ISSUER}})])
    token = secret_token(issuer, "s" * 40)
    assert ask(written, token).status_code == 200

    overwrite(written, "IdentityProvider", MARK, body("IdentityProvider", system=7))

    app = again(make_app, written)
    assert ask(app, token).status_code in {401, 503}
    assert ask(app, issuer.token()).status_code == 200
    assert f"TokenIntrospector/{MARK}" in json.dumps(health(app))


CONFLICTS: dict[str, tuple[tuple[str, str], str, Any]] = {
    "one system": (("IdentityProvider", MARK), "twin", lambda _: provider("twin", system=MARK)),
    "one issuer": (
        ("TokenIntrospector", MARK),
        "twin",
        lambda _: introspector("twin", None, jwt={"iss": SECRET_ISSUER, "secret": "u" * 40}),
    ),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_of_two_that_conflict_neither_serves(make_app: MakeApp, written: Flask, issuer: Issuer, name: str):
    put_all(written, [policy("secret-too", {"jwt": {"iss": SECRET_ISSUER}})])
    like, twin, made = CONFLICTS[name]
    insert(written, like, twin, made(None))

    app = again(make_app, written)

    assert ask(app, issuer.token()).status_code == 200
    assert ask(app, secret_token(issuer, "s" * 40)).status_code in {401, 503}
    assert ask(app, secret_token(issuer, "u" * 40)).status_code in {401, 503}
    said = json.dumps(health(app))
    assert f"{like[0]}/{MARK}" in said
    assert f"{like[0]}/twin" in said


def test_when_one_of_two_that_conflict_is_deleted_the_other_serves(make_app: MakeApp, written: Flask, issuer: Issuer):
    put_all(written, [policy("secret-too", {"jwt": {"iss": SECRET_ISSUER}})])
    like, twin, made = CONFLICTS["one issuer"]
    insert(written, like, twin, made(None))
    app = again(make_app, written)
    assert ask(app, secret_token(issuer, "s" * 40)).status_code != 200

    assert operate(app, "DELETE", "/fhir/TokenIntrospector/twin").status_code == 204

    assert ask(app, secret_token(issuer, "s" * 40)).status_code == 200


def test_a_running_worker_that_meets_it_names_it_and_goes_on(written: Flask, issuer: Issuer):
    """It is changed by hand and through REST, so that whoever looks reads it."""
    overwrite(written, "AccessPolicy", MARK, policy(MARK, unknown=1))

    put_all(written, [policy("nobody", {"uri": "/y"})])

    assert ask(written, issuer.token()).status_code == 200


def test_of_many_bad_rows_every_one_is_named(make_app: MakeApp, written: Flask, issuer: Issuer):
    put_all(written, [policy(f"bad-{number}") for number in range(12)])
    for number in range(12):
        overwrite(written, "AccessPolicy", f"bad-{number}", "{")

    app = again(make_app, written)

    assert ask(app, issuer.token()).status_code == 200
    said = json.dumps(health(app))
    assert all(f"AccessPolicy/bad-{number}" in said for number in range(12))


def test_where_all_rows_are_bad_everything_is_denied(make_app: MakeApp, tmp_path: Path, issuer: Issuer):
    first = worker(make_app, tmp_path / "one.sqlite")
    put_all(first, trusting_a_secret())
    for kind, name in [
        ("AccessPolicy", "known-issuer"),
        ("TokenIntrospector", "secret"),
        ("IdentityProvider", "keycloak"),
    ]:
        overwrite(first, kind, name, "{")

    app = again(make_app, first)

    assert ask(app, secret_token(issuer)).status_code in {401, 503}
    assert ask(app).status_code == 401


def test_what_is_wrong_with_it_shows_no_secret(make_app: MakeApp, written: Flask, caplog):
    secret = "never-shown-" * 4
    overwrite(
        written,
        "TokenIntrospector",
        MARK,
        introspector(MARK, MARK, jwt={"iss": SECRET_ISSUER, "secret": secret, "secrets": secret}, client_secret=secret),
    )
    app = again(make_app, written)

    said = json.dumps(health(app)) + run(app, "doctor", status=None).output + run(app, "export", status=None).output

    assert secret not in said + caplog.text
