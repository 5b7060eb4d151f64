"""A registry that must not be used: named where people look, and never a reason to fall over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import RSAKey

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import Rejected
from flask_foreign_token.testing import Issuer

from .apps import (
    SECRET,
    SECRET_ISSUER,
    Resource,
    ask,
    introspector,
    policy,
    provider,
    registry_of,
    secret_token,
    store,
    trusting_a_secret,
    write_registry,
)
from .conftest import MakeApp

FILE = "registry.json"


def changed(index: int, **attributes: object) -> list[Resource]:
    """The good resources, one of them with other attributes; provider 0, introspector 1, policy 2."""
    resources = trusting_a_secret()
    resources[index].update(attributes)
    return resources


def lacking(index: int, name: str) -> list[Resource]:
    resources = trusting_a_secret()
    del resources[index][name]
    return resources


def jwt(**attributes: object) -> list[Resource]:
    resources = trusting_a_secret()
    resources[1]["jwt"].update(attributes)
    return resources


def matcho(pattern: object) -> list[Resource]:
    return changed(2, matcho=pattern)


PEM = RSAKey.generate_key(2048).as_pem(private=False).decode()
PROVIDER, INTROSPECTOR, POLICY = "IdentityProvider/keycloak", "TokenIntrospector/secret", "AccessPolicy/known-issuer"

FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "no JSON": ("[{", ()),
    "nothing": ("", ()),
    "an object": ("{}", ()),
    "a text": ('"registry"', ()),
    "a member twice": ('[{"resourceType": "AccessPolicy", "id": "a", "id": "b", "engine": "allow"}]', ()),
    "NaN": ('[{"resourceType": "AccessPolicy", "id": "a", "engine": NaN}]', ()),
    "deep nesting": ("[" * 5000 + "]" * 5000, ()),
    "an item that is no object": ('["IdentityProvider"]', ()),
    "an item that is null": ("[null]", ()),
}
RESOURCES: dict[str, tuple[list[Resource], tuple[str, ...]]] = {
    "no resourceType": (lacking(2, "resourceType"), ("resourceType",)),
    "an unknown resourceType": (changed(2, resourceType="Policy"), ("resourceType",)),
    "a resourceType that is a number": (changed(2, resourceType=1), ("resourceType",)),
    "no id": (lacking(2, "id"), ("id",)),
    "an id of nothing": (changed(2, id=""), ("id",)),
    "an id that is a number": (changed(2, id=7), ("id",)),
    "one resource twice": ([*trusting_a_secret(), policy("known-issuer")], (POLICY,)),
    "an unknown attribute of a provider": (changed(0, issuerr="x"), (PROVIDER, "issuerr")),
    "an unknown attribute of an introspector": (changed(1, cache="x"), (INTROSPECTOR, "cache")),
    "an unknown attribute within": (jwt(audience="x"), (INTROSPECTOR, "jwt.audience")),
    "no system": (lacking(0, "system"), (PROVIDER, "system")),
    "yes for a boolean": (changed(0, active="yes"), (PROVIDER, "active")),
    "1 for a boolean": (changed(0, active=1), (PROVIDER, "active")),
    "3.7 for an integer": (changed(1, cache_ttl=3.7), (INTROSPECTOR, "cache_ttl")),
    "a text for an integer": (changed(1, cache_ttl="300"), (INTROSPECTOR, "cache_ttl")),
    "true for an integer": (changed(1, cache_ttl=True), (INTROSPECTOR, "cache_ttl")),
    "a cache_ttl of 0": (changed(1, cache_ttl=0), (INTROSPECTOR, "cache_ttl")),
    "a cache_ttl over a day": (changed(1, cache_ttl=86_401), (INTROSPECTOR, "cache_ttl")),
    "a number for a text": (changed(0, system=7), (PROVIDER, "system")),
    "a negative leeway": (jwt(leeway=-1), (INTROSPECTOR, "jwt.leeway")),
    "an unknown userinfo-source": (changed(0, **{"userinfo-source": "magic"}), (PROVIDER, "userinfo-source")),
    "an unknown type": (changed(1, type="jwe"), (INTROSPECTOR, "type")),
    "no issuer": (jwt(iss=None), (INTROSPECTOR, "jwt.iss")),
    "toScim to the id": (changed(0, toScim={"sub": ["id"]}), (PROVIDER, "toScim")),
    "toScim to the identifier": (changed(0, toScim={"sub": ["identifier", "0"]}), (PROVIDER, "toScim")),
    "toScim to meta": (changed(0, toScim={"sub": ["meta", "versionId"]}), (PROVIDER, "toScim")),
    "toScim to inactive": (changed(0, toScim={"off": ["inactive"]}), (PROVIDER, "toScim")),
    "toScim to data": (changed(0, toScim={"off": ["data", "x"]}), (PROVIDER, "toScim")),
    "a reference to nothing": (
        changed(1, identity_provider={"reference": "IdentityProvider/nobody"}),
        (INTROSPECTOR, "identity_provider", "IdentityProvider/nobody"),
    ),
    "a reference to something else": (
        changed(1, identity_provider={"reference": "AccessPolicy/known-issuer"}),
        (INTROSPECTOR, "identity_provider"),
    ),
    "two introspectors with one iss": (
        [*trusting_a_secret(), introspector("b", None, jwt={"iss": SECRET_ISSUER, "secret": SECRET})],
        ("TokenIntrospector/b", "jwt.iss"),
    ),
    "two providers with one system": (
        [*trusting_a_secret(), provider("b", system="keycloak")],
        ("IdentityProvider/b", "system"),
    ),
    "two sources of keys": (changed(1, jwks_uri="https://keys.example/jwks"), (INTROSPECTOR, "jwks_uri")),
    "keys over plain http": (
        [provider(), introspector("secret", jwt={"iss": SECRET_ISSUER}, jwks_uri="http://keys.example/jwks")],
        (INTROSPECTOR, "jwks_uri", "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS"),
    ),
    "keys from a file": (
        [provider(), introspector("secret", jwt={"iss": SECRET_ISSUER}, jwks_uri="file:///etc/passwd")],
        (INTROSPECTOR, "jwks_uri"),
    ),
    "no audience": (
        [provider(), {**introspector("secret", jwt={}), "jwt": {"iss": SECRET_ISSUER, "secret": SECRET}}],
        (INTROSPECTOR, "jwt.aud"),
    ),
    "a written key that is none": (
        [provider(), introspector("secret", jwt={"iss": "x", "keys": [{"kty": "RSA", "alg": "RS256", "pub": "x"}]})],
        (INTROSPECTOR, "jwt.keys"),
    ),
}
OUT_OF_SERVICE: dict[str, tuple[list[Resource], tuple[str, ...]]] = {
    "no engine": (lacking(2, "engine"), (POLICY, "engine")),
    "an engine that is a number": (changed(2, engine=5), (POLICY, "engine")),
    "yes for active": (changed(2, active="yes"), (POLICY, "active")),
    "an unknown attribute": (changed(2, mtcho={}), (POLICY, "mtcho")),
    "a number for a description": (changed(2, description=5), (POLICY, "description")),
    "a number for a role": (changed(2, roleName=5), (POLICY, "roleName")),
    "a number for links": (changed(2, link=5), (POLICY, "link")),
    "a link without a reference": (changed(2, link=[{}]), (POLICY, "link")),
    "an unknown engine": (changed(2, engine="magic"), (POLICY, "engine")),
    "matcho without a pattern": (lacking(2, "matcho"), (POLICY, "matcho")),
    "a pattern of nothing": (matcho({}), (POLICY, "matcho", "allow")),
    "null in a pattern": (matcho({"user": None}), (POLICY, "matcho.user", "nil?")),
    "an unknown operator": (matcho({"jwt": {"a": {"$or": [1]}}}), (POLICY, "matcho.jwt.a", "$or")),
    "an unknown word": (matcho({"jwt": {"a": "maybe?"}}), (POLICY, "matcho.jwt.a", "nil?")),
    "a key beside an operator": (matcho({"jwt": {"$not": "x", "a": 1}}), (POLICY, "matcho.jwt", "$not")),
    "look-ahead": (matcho({"uri": "#^(?=x)"}), (POLICY, "matcho.uri")),
    "a back-reference": (matcho({"uri": "#(a)\\1"}), (POLICY, "matcho.uri")),
    "a regular expression that does not parse": (matcho({"uri": "#(["}), (POLICY, "matcho.uri")),
    "a link to nothing we know": (changed(2, link=[{"reference": "Role/x"}]), (POLICY, "link")),
    "an attribute of another engine": (changed(2, schema={}), (POLICY, "schema")),
    "a condition of no engine": (
        trusting_a_secret(
            {**policy("known-issuer", engine="complex"), "and": [{"engine": "allow"}, {"engine": "magic"}]}
        ),
        (POLICY, "and.1.engine"),
    ),
}
BAD: dict[str, tuple[Any, tuple[str, ...]]] = {**FILES, **RESOURCES}


@pytest.mark.parametrize(("resources", "words"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_named_by_check_in_the_log_and_in_the_hint(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, resources: Any, words: tuple[str, ...]
) -> None:
    foreign_token = ForeignToken()
    app = make_app(resources, foreign_token)
    app.debug = True

    with caplog.at_level(logging.WARNING):
        answers = [ask(app, path="/open"), ask(app), ask(app, "wrong")]
    with app.app_context(), pytest.raises(Rejected) as refused:
        foreign_token.check()

    logged = [record.getMessage() for record in caplog.records if FILE in record.getMessage()]
    for word in (FILE, *words):
        assert word in str(refused.value)
        assert word in logged[0]
        assert word in answers[1].json["hint"]
    assert [answer.status_code for answer in answers[1:]] == [503, 503]
    assert len(logged) == 1


@pytest.mark.parametrize(("resources", "words"), OUT_OF_SERVICE.values(), ids=OUT_OF_SERVICE.keys())
def test_a_policy_that_cannot_be_used_allows_nothing_hides_no_other_and_is_named(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, resources: Any, words: tuple[str, ...]
) -> None:
    foreign_token = ForeignToken()
    app = make_app([*resources, policy("bob", {"jwt": {"sub": "bob"}})], foreign_token)

    statuses = [ask(app, secret_token(issuer, sub=name)).status_code for name in ("ann", "bob", "ann")]
    with app.app_context(), pytest.raises(Rejected) as refused:
        foreign_token.check()

    [logged] = {record.getMessage() for record in caplog.records if FILE in record.getMessage()}
    for word in (FILE, *words):
        assert word in str(refused.value)
        assert word in logged
    assert statuses == [403, 200, 403]


def test_the_good_file_that_all_others_are_made_from_is_good(make_app: MakeApp, issuer: Issuer) -> None:
    foreign_token = ForeignToken()
    app = make_app(trusting_a_secret(), foreign_token)

    with app.app_context():
        foreign_token.check()

    assert ask(app, secret_token(issuer)).status_code == 200


def test_every_fault_is_named_not_only_the_first(make_app: MakeApp) -> None:
    foreign_token = ForeignToken()
    resources = [provider(issuerr="x", active="yes"), policy("a", {"user": None}), policy("b", engine=7)]
    app = make_app(resources, foreign_token)

    with app.app_context(), pytest.raises(Rejected) as refused:
        foreign_token.check()

    for word in ("issuerr", "active", "AccessPolicy/a", "AccessPolicy/b"):
        assert word in str(refused.value)


def test_a_name_that_the_environment_lacks_is_a_fault(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLINIC_ABSENT", raising=False)
    foreign_token = ForeignToken()
    app = make_app(changed(0, title="${CLINIC_ABSENT}"), foreign_token)

    with app.app_context(), pytest.raises(Rejected, match="CLINIC_ABSENT"):
        foreign_token.check()


def test_secrets_are_not_told(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    foreign_token = ForeignToken()
    app = make_app(changed(1, cache_ttl=0), foreign_token)
    app.debug = True

    answer = ask(app)
    with app.app_context(), pytest.raises(Rejected) as refused:
        foreign_token.check()

    assert SECRET not in answer.text + caplog.text + str(refused.value)


WEAK = {
    "empty": "",
    "blank": "   ",
    "short": "short",
    "a public key": PEM,
    "a JWK": '{"kty": "RSA", "n": "x", "e": "AQAB"}',
}


@pytest.mark.parametrize("weak", WEAK.values(), ids=WEAK.keys())
def test_a_secret_that_is_none_takes_its_introspector_out_of_service(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, weak: str
) -> None:
    other = introspector("other", None, jwt={"iss": "https://other.example", "secret": weak})
    app = make_app([*trusting_a_secret(), other, policy("all")])

    refused = ask(app, secret_token(issuer, iss="https://other.example"))

    assert refused.status_code in (401, 503)
    assert ask(app, secret_token(issuer)).status_code == 200
    assert "TokenIntrospector/other" in caplog.text


# ---- later


def rewritten(app: Flask, resources: object) -> None:
    write_registry(registry_of(app), resources)


def test_a_bad_file_that_is_mended_is_picked_up(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app("[{", FOREIGN_TOKEN_REGISTRY_POLL=0)
    before = ask(app, secret_token(issuer)).status_code

    rewritten(app, trusting_a_secret())

    assert (before, ask(app, secret_token(issuer)).status_code) == (503, 200)


def test_a_file_that_appears_is_picked_up(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app([], FOREIGN_TOKEN_REGISTRY_POLL=0)
    registry_of(app).unlink()
    before = ask(app, secret_token(issuer)).status_code

    rewritten(app, trusting_a_secret())

    assert (before, ask(app, secret_token(issuer)).status_code) == (503, 200)


def test_a_good_file_that_changes_is_picked_up(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("a", {"jwt": {"sub": "ann"}})), FOREIGN_TOKEN_REGISTRY_POLL=0)
    token = secret_token(issuer, sub="bob")
    before = ask(app, token).status_code

    rewritten(app, trusting_a_secret(policy("a", {"jwt": {"sub": "bob"}})))

    assert (before, ask(app, token).status_code) == (403, 200)


def break_text(app: Flask) -> None:
    rewritten(app, "[{")


def break_provider(app: Flask) -> None:
    rewritten(app, changed(0, active="yes"))


def remove(app: Flask) -> None:
    registry_of(app).unlink()


@pytest.mark.parametrize("spoil", [break_text, break_provider, remove])
def test_the_last_good_state_stays_in_force(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture, spoil: Callable[[Flask], None]
) -> None:
    app = make_app(trusting_a_secret(policy("ann", {"jwt": {"sub": "ann"}})), FOREIGN_TOKEN_REGISTRY_POLL=0)
    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))
    assert ask(app, ann).status_code == 200

    spoil(app)
    during = [ask(app, token).status_code for token in (ann, bob, ann)]
    rewritten(app, trusting_a_secret(policy("bob", {"jwt": {"sub": "bob"}})))
    after = [ask(app, token).status_code for token in (ann, bob)]

    assert (during, after) == ([200, 403, 200], [403, 200])
    assert len([record for record in caplog.records if FILE in record.getMessage()]) == 1


def test_a_policy_that_was_good_and_is_edited_by_hand_denies_while_the_rest_of_the_file_is_in_force(
    make_app: MakeApp, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(trusting_a_secret(policy("ann", {"jwt": {"sub": "ann"}})), FOREIGN_TOKEN_REGISTRY_POLL=0)
    ann, bob = (secret_token(issuer, sub=name) for name in ("ann", "bob"))
    before = [ask(app, token).status_code for token in (ann, bob)]

    rewritten(app, trusting_a_secret(policy("ann", {"jwt": {"sub": None}}), policy("bob", {"jwt": {"sub": "bob"}})))
    during = [ask(app, token).status_code for token in (ann, bob, ann)]
    rewritten(app, trusting_a_secret(policy("ann", {"jwt": {"sub": "ann"}})))
    after = [ask(app, token).status_code for token in (ann, bob)]

    assert (before, during, after) == ([200, 403], [403, 200, 403], [200, 403])
    [logged, mended] = [record.getMessage() for record in caplog.records if FILE in record.getMessage()]
    assert "out of service: AccessPolicy/ann matcho.jwt.sub" in logged
    assert mended.endswith("no longer out of service: AccessPolicy/ann")


def test_a_bad_resource_never_enters_the_database_registry(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(FOREIGN_TOKEN_REGISTRY_POLL=0)
    store(app, trusting_a_secret())

    with pytest.raises(Rejected, match="AccessPolicy/bad"):
        store(app, [policy("good"), policy("bad", {"user": None})])

    assert ask(app, secret_token(issuer)).status_code == 200
    assert ask(app).status_code == 401


# ---- commands


@pytest.mark.parametrize(("resources", "absent"), [("[{", False), (changed(0, issuerr="x"), False), ([], True)])
def test_every_command_of_the_app_works_beside_a_bad_registry(make_app: MakeApp, resources: Any, absent: bool) -> None:
    app = make_app(resources, FOREIGN_TOKEN_PROTECT="all")
    if absent:
        registry_of(app).unlink()

    @app.cli.command("greet")
    def greet() -> None:
        print("hello")

    greeting = app.test_cli_runner().invoke(args=["greet"])

    assert (greeting.exit_code, greeting.output) == (0, "hello\n")
