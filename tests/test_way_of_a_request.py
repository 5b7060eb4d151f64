"""Credential, token, user: what is let in, and as whom."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from flask_foreign_token.testing import Issuer

from .apps import (
    AUDIENCE,
    SECRET,
    SECRET_ISSUER,
    ask,
    introspector,
    policy,
    provider,
    rows,
    secret_token,
    trusting,
    trusting_a_secret,
    users_in,
)
from .conftest import MakeApp

RSA, EC, ED = RSAKey.generate_key(2048), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
STRANGERS = {
    "RS256": RSAKey.generate_key(2048),
    "ES256": ECKey.generate_key("P-256"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "HS256": OctKey.import_key("another secret that is also long enough!"),
}


def pem(key: Key) -> str:
    return key.as_pem(private=False).decode()


# ---- keys


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_signed_by_a_key_of_the_jwks_uri_is_let_in(make_app: MakeApp, issuer: Issuer, algorithm: str) -> None:
    app = make_app(trusting(issuer))

    answer = ask(app, issuer.token(sub="ann", algorithm=algorithm))

    assert (answer.status_code, answer.json) == (200, {"subject": "ann"})


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_token_signed_by_a_strangers_key_is_refused(make_app: MakeApp, issuer: Issuer, algorithm: str) -> None:
    app = make_app(trusting(issuer))
    forged = issuer.token(
        sub="ann", algorithm=algorithm, key=STRANGERS[algorithm], headers={"kid": issuer.key_id(algorithm)}
    )

    assert ask(app, forged).status_code == 401


def test_a_token_signed_with_the_secret_is_let_in(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret())

    assert ask(app, secret_token(issuer, sub="ann")).json == {"subject": "ann"}


def test_a_token_signed_with_another_secret_is_refused(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret())

    assert ask(app, secret_token(issuer, SECRET.upper())).status_code == 401


STATIC_KEYS = [
    ("RS256", RSA, {"kty": "RSA", "alg": "RS256", "format": "PEM", "pub": pem(RSA)}),
    ("RS384", RSA, {"kty": "RSA", "alg": "RS384", "format": "PEM", "pub": pem(RSA)}),
    ("RS512", RSA, {"kty": "RSA", "alg": "RS512", "format": "PEM", "pub": pem(RSA)}),
    ("PS256", RSA, {"kty": "RSA", "alg": "PS256", "format": "PEM", "pub": pem(RSA)}),
    ("ES256", EC, {"kty": "EC", "alg": "ES256", "format": "PEM", "pub": pem(EC)}),
    ("HS256", OctKey.import_key(SECRET), {"kty": "OCT", "alg": "HS256", "format": "plain", "k": SECRET}),
]


@pytest.mark.parametrize(("algorithm", "key", "written"), STATIC_KEYS, ids=[row[0] for row in STATIC_KEYS])
def test_a_token_signed_by_one_of_the_written_keys_is_let_in_and_no_other(
    make_app: MakeApp, issuer: Issuer, algorithm: str, key: Key, written: dict[str, str]
) -> None:
    app = make_app([provider(), introspector("keys", jwt={"iss": SECRET_ISSUER, "keys": [written]}), policy("all")])
    stranger = STRANGERS[{"RS": "RS256", "PS": "RS256"}.get(algorithm[:2], algorithm)]

    good, forged = (
        ask(app, issuer.token(iss=SECRET_ISSUER, algorithm=algorithm, key=signer, headers={"kid": None}))
        for signer in (key, stranger)
    )

    assert (good.status_code, forged.status_code) == (200, 401)


def test_a_key_that_the_issuer_rotated_in_is_fetched_when_a_token_names_it(
    make_app: MakeApp, own_issuer: Issuer
) -> None:
    app = make_app(trusting(own_issuer))
    assert ask(app, own_issuer.token()).status_code == 200

    own_issuer.rotate(keep=True)

    assert ask(app, own_issuer.token()).status_code == 200


def test_the_issuer_that_is_named_and_the_host_that_is_called_may_differ(make_app: MakeApp) -> None:
    with Issuer("https://outside.example/realms/myrealm") as issuer:
        app = make_app(trusting(issuer))

        assert ask(app, issuer.token()).status_code == 200


# ---- claims


class FromNow(float):
    """Seconds from the moment in which the test runs."""


CLAIMS = [
    ("the issuer's own", {}, 200),
    ("expired an hour ago", {"exp": FromNow(-3600)}, 401),
    ("expired ten seconds ago, within the leeway of thirty", {"exp": FromNow(-10)}, 200),
    ("no exp", {"exp": None}, 401),
    ("exp with a fraction", {"exp": FromNow(60.5)}, 200),
    ("not before an hour from now", {"nbf": FromNow(3600)}, 401),
    ("not before ten seconds from now, within the leeway", {"nbf": FromNow(10)}, 200),
    ("not before a minute ago", {"nbf": FromNow(-60)}, 200),
    ("an unknown issuer", {"iss": "https://elsewhere.example"}, 401),
    ("the issuer and a slash", {"iss": SECRET_ISSUER + "/"}, 401),
    ("the issuer in capitals", {"iss": SECRET_ISSUER.upper()}, 401),
    ("a part of the issuer", {"iss": SECRET_ISSUER[:-1]}, 401),
    ("no issuer", {"iss": None}, 401),
    ("another audience", {"aud": "elsewhere"}, 401),
    ("no audience", {"aud": None}, 401),
    ("our audience among others", {"aud": ["elsewhere", AUDIENCE]}, 200),
    ("other audiences only", {"aud": ["elsewhere", "nowhere"]}, 401),
    ("a part of our audience", {"aud": AUDIENCE[:-1]}, 401),
    ("an audience that holds ours", {"aud": AUDIENCE + "s"}, 401),
    ("no subject", {"sub": None}, 401),
]


@pytest.mark.parametrize(("claims", "status"), [row[1:] for row in CLAIMS], ids=[row[0] for row in CLAIMS])
def test_claims_decide(make_app: MakeApp, issuer: Issuer, claims: dict[str, Any], status: int) -> None:
    app = make_app(trusting_a_secret())
    said = {name: time.time() + value if isinstance(value, FromNow) else value for name, value in claims.items()}

    assert ask(app, secret_token(issuer, **said)).status_code == status


@pytest.mark.parametrize(("leeway", "status"), [(0, 401), (120, 200)])
def test_the_leeway_is_the_introspectors(make_app: MakeApp, issuer: Issuer, leeway: int, status: int) -> None:
    app = make_app(trusting_a_secret(jwt={"leeway": leeway}))

    assert ask(app, secret_token(issuer, exp=time.time() - 60)).status_code == status


@pytest.mark.parametrize(
    ("audiences", "settings", "claims", "status"),
    [
        pytest.param({"aud": ["one", "two"]}, {}, {"aud": "two"}, 200, id="any of several"),
        pytest.param({"aud": ["one", "two"]}, {}, {"aud": "three"}, 401, id="none of several"),
        pytest.param({}, {"RESOURCE": "https://api.example"}, {"aud": "https://api.example"}, 200, id="RESOURCE"),
        pytest.param({}, {"RESOURCE": "https://api.example"}, {"aud": AUDIENCE}, 401, id="not RESOURCE"),
        pytest.param(
            {"aud": "own"}, {"RESOURCE": "https://api.example"}, {"aud": "own"}, 200, id="jwt.aud over RESOURCE"
        ),
        pytest.param({"client_id": "app"}, {}, {"aud": None, "azp": None, "client_id": "app"}, 200, id="client_id"),
        pytest.param({"client_id": "app"}, {}, {"aud": None, "azp": "app"}, 200, id="azp"),
        pytest.param({"client_id": ["app", "b"]}, {}, {"aud": None, "azp": "b"}, 200, id="one of the clients"),
        pytest.param({"client_id": "app"}, {}, {"aud": None, "azp": "b"}, 401, id="another client"),
        pytest.param({"client_id": "app"}, {}, {"aud": None, "azp": None}, 401, id="no client"),
        pytest.param({}, {"REQUIRE_AUDIENCE": False}, {"aud": "anything"}, 200, id="REQUIRE_AUDIENCE off"),
        pytest.param({}, {"REQUIRE_AUDIENCE": False}, {"aud": None}, 200, id="REQUIRE_AUDIENCE off, none"),
        pytest.param(
            {"aud": "own"}, {"REQUIRE_AUDIENCE": False}, {"aud": "b"}, 401, id="REQUIRE_AUDIENCE off, jwt.aud"
        ),
        pytest.param({}, {}, {}, 503, id="none that could be required"),
    ],
)
def test_the_audience_is_required(
    make_app: MakeApp,
    issuer: Issuer,
    audiences: dict[str, Any],
    settings: dict[str, Any],
    claims: dict[str, Any],
    status: int,
) -> None:
    resources = trusting_a_secret()
    resources[1]["jwt"] = {"iss": SECRET_ISSUER, "secret": SECRET, **audiences}
    app = make_app(resources, **{f"FOREIGN_TOKEN_{name}": value for name, value in settings.items()})

    assert ask(app, secret_token(issuer, **claims)).status_code == status


# ---- users


def sees(**user: object) -> dict[str, Any]:
    """A policy that allows who looks like this to policies."""
    return policy("looks", {"user": user})


def test_the_user_has_the_shape_of_the_tutorial(make_app: MakeApp, issuer: Issuer) -> None:
    created = {"url": "https://aidbox.app/ex/createdAt", "valueInstant": "#^\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z$"}
    shape = sees(
        resourceType="User",
        id="not-blank?",
        identifier=[{"system": "keycloak", "value": "ann"}],
        data={"sub": "ann", "preferred_username": "annie"},
        meta={"versionId": "not-blank?", "lastUpdated": "not-blank?", "extension": [created]},
        inactive="nil?",
        email="nil?",
    )
    app = make_app(trusting(issuer, shape))

    assert ask(app, issuer.token(sub="ann", preferred_username="annie", scope="openid")).status_code == 200


def test_userinfo_from_the_endpoint_lands_in_data(make_app: MakeApp, own_issuer: Issuer) -> None:
    shape = sees(data={"sub": "ann", "nickname": "annie"})
    resources = trusting(
        own_issuer,
        shape,
        **{"userinfo-source": "userinfo-endpoint", "userinfo_endpoint": own_issuer.userinfo_endpoint},
    )
    app = make_app(resources)

    assert ask(app, own_issuer.token(sub="ann", nickname="annie")).status_code == 200
    assert own_issuer.requests["userinfo"] == 1


def test_userinfo_from_the_token_calls_nobody(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer, sees(data={"nickname": "annie"})))

    assert ask(app, own_issuer.token(sub="ann", nickname="annie")).status_code == 200
    assert own_issuer.requests == {"jwks": 1}


def test_to_scim_puts_userinfo_where_it_says(make_app: MakeApp, issuer: Issuer) -> None:
    rules = {"default_email": ["email"], "first_name": ["name", "givenName"], "absent": ["title"]}
    shape = sees(
        email="ann@example.com",
        name={"givenName": "Ann"},
        title="nil?",
        data={"default_email": "ann@example.com", "first_name": "Ann"},
    )
    app = make_app(trusting(issuer, shape, toScim=rules))

    answer = ask(app, issuer.token(sub="ann", default_email="ann@example.com", first_name="Ann"))

    assert answer.status_code == 200


def test_a_user_is_made_once_and_found_again(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting(issuer))

    first, second = (ask(app, issuer.token(sub="ann"), "/me").json for _ in range(2))

    assert first == second
    assert users_in(app) == 1


def test_one_subject_of_two_systems_is_two_users(make_app: MakeApp, issuer: Issuer) -> None:
    second = [provider("other"), introspector("secret", "other", jwt={"iss": SECRET_ISSUER, "secret": SECRET})]
    app = make_app([*trusting(issuer, policy("all")), *second])

    ask(app, issuer.token(sub="ann"))
    ask(app, secret_token(issuer, sub="ann"))

    assert users_in(app) == 2
    identifiers = rows(app, "SELECT system, value FROM foreign_token_identifier ORDER BY system")
    assert identifiers == [("keycloak", "ann"), ("other", "ann")]


@pytest.mark.parametrize("subjects", [("ann", "Ann"), ("ann", "ann "), ("straße", "strasse"), ("1", "01")])
def test_subjects_that_differ_in_anything_are_two_users(
    make_app: MakeApp, issuer: Issuer, subjects: tuple[str, str]
) -> None:
    app = make_app(trusting(issuer))

    first, second = (ask(app, issuer.token(sub=subject), "/me").json["user"] for subject in subjects)

    assert first != second


def test_the_subject_is_the_claim_that_the_provider_names(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting(issuer, sees(identifier=[{"value": "object-7"}]), subject_claim="oid"))

    assert ask(app, issuer.token(sub="pairwise", oid="object-7")).json == {"subject": "object-7"}


def test_without_a_linked_provider_a_token_has_no_user(make_app: MakeApp, issuer: Issuer) -> None:
    alone = introspector("alone", None, jwt={"iss": SECRET_ISSUER, "secret": SECRET})
    app = make_app([alone, policy("all", {"user": "nil?", "jwt": {"sub": "ann"}})])

    assert ask(app, secret_token(issuer, sub="ann"), "/me").json == {"user": None, "subject": "ann"}
    assert users_in(app) == 0


CREATE_USER = [
    (True, None, True),
    (False, None, False),
    (False, True, True),
    (True, False, False),
]


@pytest.mark.parametrize(("setting", "attribute", "made"), CREATE_USER)
def test_users_are_made_where_provider_or_else_setting_says_so(
    make_app: MakeApp, issuer: Issuer, setting: bool, attribute: bool | None, made: bool
) -> None:
    attributes = {} if attribute is None else {"create_user": attribute}
    expected = policy("all", {"jwt": {"sub": "ann"}, "user": "present?" if made else "nil?"})
    app = make_app(trusting(issuer, expected, **attributes), FOREIGN_TOKEN_CREATE_USER=setting)

    answer = ask(app, issuer.token(sub="ann"), "/me")

    assert (answer.status_code, answer.json["user"] is not None) == (200, made)
    assert users_in(app) == made


def test_with_creation_off_a_user_who_is_there_is_found(make_app: MakeApp, issuer: Issuer, tmp_path: Path) -> None:
    shared = f"sqlite:///{tmp_path}/shared.db"
    making = make_app(trusting(issuer), SQLALCHEMY_DATABASE_URI=shared)
    finding = make_app(trusting(issuer), SQLALCHEMY_DATABASE_URI=shared, FOREIGN_TOKEN_CREATE_USER=False)

    made, found = (ask(app, issuer.token(sub="ann"), "/me").json["user"] for app in (making, finding))

    assert made == found


def test_an_inactive_introspector_and_provider_are_as_good_as_none(make_app: MakeApp, issuer: Issuer) -> None:
    off, on = trusting_a_secret(), trusting_a_secret()
    off[1]["active"] = False

    assert ask(make_app(off), secret_token(issuer)).status_code == 401
    assert ask(make_app(on), secret_token(issuer)).status_code == 200
