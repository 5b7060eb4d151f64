"""Tokens that are issued and not taken: each reason, with the remedy for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import OctKey

from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.http import Http
from flask_foreign_token.testing import Issuer

from ..apps import Resource
from .checking import CLIENT, about, asking, examined, issuing, trusting

Make = Callable[[Issuer], str]
NOW = int(time.time())


def of_jwt(http: Http, issuer: Issuer, token: str, jwt: Resource) -> Finding:
    with issuing(token) as token_endpoint:
        findings = examined(http, trusting(issuer, jwt=jwt, token_endpoint=token_endpoint), CLIENT)
    assert token not in repr(findings)
    return about(findings, "client credentials: token")


def of_opaque(http: Http, issuer: Issuer, token: str, **attributes: Any) -> Finding:
    with issuing(token) as token_endpoint:
        findings = examined(http, asking(issuer, provider={"token_endpoint": token_endpoint}, **attributes), CLIENT)
    assert token not in repr(findings)
    return about(findings, "client credentials: token")


def signed_by_nobody_known(issuer: Issuer) -> str:
    return issuer.token(key=OctKey.import_key("s" * 40), algorithm="HS256")


@pytest.mark.parametrize(
    ("make", "jwt", "reason", "remedy"),
    [
        (lambda it: it.token(iss="https://other.example"), {}, "the issuer is not known", "it is not called where"),
        (lambda it: it.token(iss=None), {}, "iss is missing", "character by character"),
        (lambda it: it.token(aud="other"), {}, "aud names another audience", "set jwt.aud"),
        (lambda it: it.token(), {"client_id": "other"}, "issued to another client", "jwt.client_id"),
        (lambda it: it.token(lifetime=-3600), {}, "the token has expired", "NTP"),
        (lambda it: it.token(nbf=NOW + 3600), {}, "nbf lies ahead", "jwt.leeway"),
        (lambda it: it.token(iat=NOW + 3600), {}, "iat lies ahead", "jwt.leeway"),
        (lambda it: it.token(exp=None), {}, "exp is missing", "put exp into"),
        (lambda it: it.token(headers={"typ": "logout+jwt"}), {}, "the typ of the header", "Leave jwt.typ out"),
        (lambda it: it.token(), {"typ": "at+jwt"}, "the typ of the header", "Leave jwt.typ out"),
        (lambda it: it.token(headers={"typ": None}), {"typ": "at+jwt"}, "the header has no typ", "Leave jwt.typ out"),
        (lambda it: it.token(headers={"typ": "at+jwt"}, jti=None), {"typ": "at+jwt"}, "jti is missing", "RFC 9068"),
        (lambda it: it.token(typ="ID"), {}, "the claim typ", "It is an ID token"),
        (lambda it: it.token(typ="Refresh"), {}, "the claim typ", "a refresh token"),
        (lambda it: it.token(token_use="id"), {}, "the claim token_use", "It is an ID token"),
        (lambda it: it.token(at_hash="x"), {}, "a token with at_hash", "It is an ID token"),
        (lambda it: it.token(events={}), {}, "a token with events", "a logout token"),
        (lambda it: it.token(cnf={"jkt": "x"}), {}, "bound to a key", "DPoP"),
        (lambda it: it.token(token_type="DPoP"), {}, "bound to a key", "DPoP"),
        (lambda it: it.token(), {"algorithms": ["ES256"]}, "the algorithm is not permitted", "jwt.algorithms"),
        (lambda it: it.token(algorithm="none"), {}, "the algorithm is not permitted", "jwt.algorithms"),
        (signed_by_nobody_known, {}, "no key of the issuer", "jwks_uri is that of the very provider"),
        (lambda it: it.token(headers={"kid": "?"}), {}, "no key of the issuer", "jwks_uri is that of the very"),
        (lambda it: it.token()[:-8] + "AAAAAAAA", {}, "the signature is wrong", "jwks_uri is that of the very"),
        (lambda it: it.token(aud=None), {}, "aud is missing", "a lightweight access token has none"),
        (lambda it: it.token(aud=None), {}, "aud is missing", "a mapper of the type Audience"),
        (lambda it: it.token(sub=None), {}, "the subject is missing", "subject_claim"),
        (lambda it: it.token(sub=None), {}, "the subject is missing", "the client scope basic"),
        (lambda it: it.token(sub=""), {}, "the subject is empty", "subject_claim"),
        (lambda it: it.opaque_token(), {}, "the token has not three parts", "TokenIntrospector of type opaque"),
        (lambda it: "a.b.c.d.e", {}, "the token is encrypted", "TokenIntrospector of type opaque"),
    ],
)
def test_a_jwt(http: Http, issuer: Issuer, make: Make, jwt: Resource, reason: str, remedy: str) -> None:
    finding = of_jwt(http, issuer, make(issuer), jwt)

    assert finding.mark == "failed"
    assert f"it is refused: {reason}" in finding.found or (
        finding.found.startswith("it is") and reason in finding.found
    )
    assert remedy in "\n".join(finding.remedy)


def test_a_jwt_that_is_well(http: Http, issuer: Issuer) -> None:
    assert of_jwt(http, issuer, issuer.token(), {}).mark == "ok"


def revoked(issuer: Issuer) -> str:
    token = issuer.opaque_token()
    issuer.revoke(token)
    return token


@pytest.mark.parametrize(
    ("make", "attributes", "reason", "remedy"),
    [
        (lambda it: "somebody-elses", {}, "the token is not active", "of the very realm"),
        (revoked, {}, "the token is not active", "of the very realm"),
        (lambda it: it.opaque_token(lifetime=-3600), {}, "the token is not active", "of the very realm"),
        (lambda it: it.opaque_token(iss="https://other.example"), {}, "iss is not the issuer", "character by"),
        (lambda it: it.opaque_token(aud="other"), {}, "aud names another audience", "set jwt.aud"),
        (lambda it: it.opaque_token(aud=None), {}, "aud is missing", "a lightweight access token has none"),
        (lambda it: it.opaque_token(iat=NOW + 3600), {}, "iat lies ahead", "NTP"),
        (lambda it: it.opaque_token(typ="Refresh"), {}, "the claim typ", "a refresh token"),
        (lambda it: it.opaque_token(token_use="refresh_token"), {}, "the claim token_use", "a refresh token"),
        (lambda it: it.opaque_token(cnf={"jkt": "x"}), {}, "bound to a key", "DPoP"),
        (lambda it: it.opaque_token(token_type="DPoP"), {}, "bound to a key", "DPoP"),
        (lambda it: it.opaque_token(token_type="mac"), {}, "the token_type is not Bearer", "names another type"),
        (
            lambda it: it.opaque_token(token_type=None),
            {"token_type": "Bearer"},
            "the token_type is not Bearer",
            "as of a refresh token",
        ),
        (lambda it: it.opaque_token(sub=""), {}, "the subject is empty", "subject_claim"),
        (lambda it: it.opaque_token(prefix="b_"), {"token_prefix": "a_"}, "not of a known form", "token_prefix"),
    ],
)
def test_an_opaque_token(
    http: Http, issuer: Issuer, make: Make, attributes: Resource, reason: str, remedy: str
) -> None:
    finding = of_opaque(http, issuer, make(issuer), **attributes)

    assert finding.mark == "failed"
    assert reason in finding.found
    assert remedy in "\n".join(finding.remedy)


def test_an_opaque_token_that_was_issued_to_another_client(http: Http, issuer: Issuer) -> None:
    jwt = {"iss": issuer.issuer, "aud": "account", "client_id": "other"}

    finding = of_opaque(http, issuer, issuer.opaque_token(), jwt=jwt)

    assert (finding.mark, "issued to another client" in finding.found) == ("failed", True)


def test_an_opaque_token_that_is_well(http: Http, issuer: Issuer) -> None:
    assert of_opaque(http, issuer, issuer.opaque_token()).mark == "ok"


def test_a_jwt_where_nobody_names_an_issuer(http: Http, issuer: Issuer) -> None:
    finding = of_opaque(http, issuer, issuer.token(), jwt={"aud": "account"})

    assert (finding.mark, finding.found) == ("failed", "it is refused: the issuer is not known")
    assert finding.remedy[-1].startswith("Set jwt.iss of the introspector of type opaque")
