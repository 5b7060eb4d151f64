"""Mistakes that others made and published, each of which must not be possible here."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token import require_policy
from flask_foreign_token.errors import ProviderUnavailable, Rejected
from flask_foreign_token.http import Http
from flask_foreign_token.settings import Settings
from flask_foreign_token.testing import Issuer

from ..apps import (
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
    users_in,
    write_registry,
)
from ..attacks.opaque import asking
from ..conftest import MakeApp
from ..http_servers import answer, answering, self_signed, serving
from ..introspection.introspecting import Introspecting
from ..introspection.signing import ISSUER, encoded, header, jwk, key_for
from ..publishing import OPENID, metadata
from ..vectors import VECTORS
from .advisories import COVERED, FILE, is_there, published
from .clinic import KEYS, Clinic, all_refused, statuses, token


def test_every_advisory_has_a_test() -> None:
    try:
        ids = published()
    except FileNotFoundError:
        pytest.skip(f"the vectors {FILE} are not in {VECTORS}")

    assert sorted(COVERED) == sorted(ids)


def test_the_tests_that_are_named_are_there() -> None:
    named = [test for tests in COVERED.values() for test in tests]

    assert [test for test in named if not is_there(test)] == []


# ---- secrets


def test_a_secret_that_is_emptied_while_the_app_runs_verifies_nothing_more(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(), FOREIGN_TOKEN_REGISTRY_POLL=0)
    known = secret_token(issuer)
    assert statuses(app, known) == [200]

    for secret in ("", "   ", "short"):
        write_registry(registry_of(app), trusting_a_secret(jwt={"secret": secret}))
        assert statuses(app, known, secret_token(issuer)) == [503, 503]

    write_registry(registry_of(app), trusting_a_secret())
    assert statuses(app, secret_token(issuer)) == [200]


def texts_of_a_key() -> dict[str, str]:
    key: Any = key_for("RS256")
    public, der = key.as_dict(private=False), key.as_der(private=False)
    return {
        "PEM": key.as_pem(private=False).decode(),
        "PEM on one line": key.as_pem(private=False).decode().replace("\n", "\\n"),
        "DER in base64": base64.b64encode(der).decode(),
        "DER in base64url": base64.urlsafe_b64encode(der).decode().rstrip("="),
        "DER in hex": der.hex(),
        "JWK": json.dumps(public),
        "JWK Set": json.dumps({"keys": [public]}, indent=2),
        "SSH": "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 somebody@example.org",
    }


@pytest.mark.parametrize("form", texts_of_a_key())
def test_a_key_in_any_form_is_not_stored_as_a_secret(make_app: MakeApp, form: str) -> None:
    app, text = make_app(), texts_of_a_key()[form]

    with pytest.raises(Rejected, match="the text of a key"):
        store(app, trusting_a_secret(jwt={"secret": text}))
    keys = [{"kty": "OCT", "alg": "HS256", "format": "plain", "k": text}]
    with pytest.raises(Rejected, match="the text of a key"):
        store(app, [provider(), introspector("keys", jwt={"iss": SECRET_ISSUER, "keys": keys})])
    store(app, trusting_a_secret())


# ---- addresses

SCHEMES = ["file:///etc/passwd", "ftp://id.example/keys", "data:application/json,{}", "gopher://id.example/", "//id"]


@pytest.mark.parametrize("address", SCHEMES)
def test_an_address_of_another_scheme_is_not_stored(make_app: MakeApp, address: str) -> None:
    for name in ("jwks_uri", "userinfo_endpoint", "introspection_endpoint"):
        with pytest.raises(Rejected, match=name):
            store(make_app(), [provider(**{name: address})])
    with pytest.raises(Rejected, match="issuer"):
        store(make_app(), [provider(issuer=address), introspector("found", jwt={"iss": ISSUER})])
    with pytest.raises(Rejected, match="jwks_uri"):
        store(make_app(), [provider(), introspector("keys", jwt={"iss": ISSUER}, jwks_uri=address)])


# ---- every way of configuring


def by_its_own_address(clinic: Clinic) -> list[Resource]:
    return clinic.resources()


def by_the_providers_address(clinic: Clinic) -> list[Resource]:
    at_provider, of_provider, *rest = clinic.resources()
    at_provider["jwks_uri"] = of_provider.pop("jwks_uri")
    return [at_provider, of_provider, *rest]


def by_keys(clinic: Clinic) -> list[Resource]:
    pem = key_for("RS256").as_pem(private=False).decode()  # type: ignore[union-attr]
    return clinic.resources(jwt={"keys": [{"kty": "RSA", "alg": "RS256", "format": "PEM", "pub": pem}]})


def by_a_client_id(clinic: Clinic) -> list[Resource]:
    return clinic.resources(jwt={"client_id": ["app"]})


def by_a_type(clinic: Clinic) -> list[Resource]:
    return clinic.resources(jwt={"typ": "JWT"})


def by_algorithms(clinic: Clinic) -> list[Resource]:
    return clinic.resources(jwt={"algorithms": ["RS256", "ES256"]})


def without_a_provider(clinic: Clinic) -> list[Resource]:
    _, alone, *rest = clinic.resources()
    del alone["identity_provider"]
    return [alone, *rest]


@pytest.mark.parametrize(
    "configured",
    [
        by_its_own_address,
        by_the_providers_address,
        by_keys,
        by_a_client_id,
        by_a_type,
        by_algorithms,
        without_a_provider,
    ],
)
def test_every_way_of_configuring_an_introspector_checks_everything(
    clinic: Clinic, make_app: MakeApp, configured: Callable[[Clinic], list[Resource]]
) -> None:
    clinic.publish(jwk("RS256"))
    app = make_app(configured(clinic))

    assert statuses(app, token()) == [200]
    assert all_refused(app, wrong(ISSUER))


def wrong(issuer: str) -> list[str]:
    """Tokens of `issuer` that are each wrong in one thing."""
    now = int(time.time())
    said: dict[str, object] = {"iss": issuer}
    unsigned = f"{encoded(header('none'))}.{token(**said).split('.')[1]}."
    return [
        unsigned,
        token(key=key_for("RS256", "another"), **said),
        token(header("RS512", kid="RS256"), algorithm="RS512", **said),
        *(
            token(**{**said, **changes})
            for changes in (
                {"iss": f"{issuer}/"},
                {"iss": issuer.upper()},
                {"iss": None},
                {"aud": "elsewhere"},
                {"aud": None},
                {"exp": now - 60},
                {"exp": None},
                {"nbf": now + 90},
                {"iat": now + 90},
                {"sub": None},
                {"sub": ""},
                {"typ": "ID"},
                {"cnf": {"jkt": "x"}},
                {"events": {}},
            )
        ),
    ]


def test_keys_that_are_discovered_check_everything_too(clinic: Clinic, make_app: MakeApp) -> None:
    issuer = clinic.publisher.origin
    clinic.publisher.publish(OPENID, metadata(issuer))
    clinic.publish(jwk("RS256"))
    described, found, *rest = clinic.resources(jwt={"iss": issuer})
    del found["jwks_uri"]
    app = make_app([{**described, "issuer": issuer}, found, *rest])

    assert statuses(app, token(iss=issuer)) == [200]
    assert clinic.publisher.asked == [OPENID, KEYS]
    assert all_refused(app, wrong(issuer))


# ---- what is remembered


def test_what_one_introspector_verified_counts_for_no_other(
    make_app: MakeApp, asked: Introspecting, issuer: Issuer
) -> None:
    app = make_app(trusting_a_secret(policy("all")), FOREIGN_TOKEN_REGISTRY_POLL=0)
    known = secret_token(issuer)
    assert statuses(app, known) == [200]

    others: list[list[Resource]] = [
        trusting_a_secret(policy("all"), jwt={"aud": "elsewhere"}),
        trusting_a_secret(policy("all"), jwt={"secret": "another secret that is also long enough!"}),
        trusting_a_secret(policy("all"), jwt={"iss": "https://elsewhere.example"}),
        [*asking(asked.url, jwt={"iss": "https://elsewhere.example"}), policy("all")],
    ]
    for resources in others:
        write_registry(registry_of(app), resources)
        assert all_refused(app, [known])
    assert asked.calls == 0

    write_registry(registry_of(app), [*asking(asked.url, jwt={"iss": SECRET_ISSUER}), policy("all")])
    assert all_refused(app, [known])
    assert asked.calls == 1


def test_what_one_app_verified_counts_for_no_other(make_app: MakeApp, issuer: Issuer) -> None:
    trusting, other = make_app(trusting_a_secret()), make_app(trusting_a_secret(jwt={"aud": "elsewhere"}))
    known = secret_token(issuer)

    for _ in range(2):
        assert statuses(trusting, known) == [200]
        assert all_refused(other, [known])


def test_what_a_view_asks_for_is_asked_of_known_tokens_too(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("ann", {"jwt": {"sub": "ann"}}), policy("nobody", {"uri": "/nowhere"})))
    app.add_url_rule("/write", "write", require_policy(scope="write")(lambda: "in"))
    app.add_url_rule("/other", "other", require_policy("nobody")(lambda: "in"))
    known = secret_token(issuer, sub="ann", scope="read")

    for _ in range(2):
        assert [ask(app, known, path).status_code for path in ("/patients", "/write", "/other")] == [200, 403, 403]


# ---- users

CHOSEN: list[dict[str, object]] = [
    {"email": "ann@example.org", "email_verified": True},
    {"email": "ann@example.org@evil.example", "email_verified": True},
    {"preferred_username": "ann"},
    {"username": "ann", "name": "Ann", "phone_number": "1"},
    {"box_user": "ann", "id": "ann", "user_id": "ann"},
]


def test_nobody_is_found_by_what_they_say_of_themselves(make_app: MakeApp, issuer: Issuer) -> None:
    app = make_app(trusting_a_secret(policy("all"), toScim={"email": ["email"], "preferred_username": ["userName"]}))
    everything = {name: value for claims in reversed(CHOSEN) for name, value in claims.items()}

    def user(sub: str, **claims: object) -> object:
        return ask(app, secret_token(issuer, sub=sub, **claims), "/me").json["user"]

    ann = user("ann-subject", **everything)
    others = [user(f"thief-{number}", **claims) for number, claims in enumerate(CHOSEN)]

    assert len({ann, *others}) == users_in(app) == 1 + len(CHOSEN)


# ---- what is told


def test_nothing_of_a_token_that_is_refused_reaches_log_or_answer(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    app = clinic.app()
    marked = {"sub": "patient-4711", "email": "patient-4711@example.org"}
    refused = [
        token(exp=1, **marked),
        token(aud="patient-4711", **marked),
        token(key=key_for("RS256", "another"), **marked),
        token(header(kid="patient-4711"), **marked),
        token(header("none", kid="patient-4711"), **marked),
        token(body=b'{"sub": "patient-4711", "sub": 1}'),
        token(body=b'{"sub": "patient-4711"'),
        token(iss="https://patient-4711.example"),
    ]

    with caplog.at_level(logging.DEBUG):
        answers = [ask(app, sent) for sent in refused]

    assert [reply.status_code for reply in answers] == [401] * len(refused)
    seen = caplog.text + "".join(reply.text + str(reply.headers) for reply in answers)
    assert "patient-4711" not in seen
    assert not any(part in seen for sent in refused for part in sent.split(".") if len(part) > 20)


def test_no_setting_and_no_variable_turns_the_checks_of_certificates_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONHTTPSVERIFY", "SSL_VERIFY", "CURL_INSECURE", "NODE_TLS_REJECT_UNAUTHORIZED"):
        monkeypatch.setenv(name, "0")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "")
    certificate, context = self_signed(tmp_path, "127.0.0.1")

    with serving(answering(answer()), tls=context) as server:
        with closing(Http()) as http, pytest.raises(ProviderUnavailable) as refused:
            http.get(server.origin)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with closing(Http()) as http:
            assert http.get(server.origin).json == {"a": 1}

    assert refused.value.hint is not None
    assert "its certificate is not trusted" in refused.value.hint
    assert not [
        item.name for item in fields(Settings) if {"verify", "tls", "ssl", "insecure"} & {*item.name.split("_")}
    ]


EMPTY: list[Resource] = [
    {"engine": "matcho", "matcho": {}},
    {"engine": "matcho"},
    {"engine": "json-schema", "schema": {}},
    {"engine": "json-schema"},
    {"engine": "sql", "sql": {"query": ""}},
    {"engine": "sql"},
    {"engine": "complex", "and": []},
    {"engine": "complex", "or": []},
    {},
]


@pytest.mark.parametrize("body", EMPTY, ids=str)
def test_a_policy_that_looks_at_nothing_is_not_stored(make_app: MakeApp, body: Resource) -> None:
    with pytest.raises(Rejected):
        store(make_app(), [{"resourceType": "AccessPolicy", "id": "empty", **body}])
    store(make_app(), [policy("all"), policy("some", {"jwt": "present?"})])
