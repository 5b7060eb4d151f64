from __future__ import annotations

from collections.abc import Mapping

import pytest

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection.choosing import ByIssuer, UnknownIssuer
from flask_foreign_token.introspection.jwt import JwtIntrospector, JwtRules
from flask_foreign_token.introspection.key_set import read_key_set
from flask_foreign_token.introspection.token import Credential, Versioned

from .signing import AUDIENCE, ISSUER, NOW, claims, jwk, key_for, sign

OTHER = "https://other.example"


def introspector(issuer: str, key_name: str) -> JwtIntrospector:
    rules = JwtRules(issuer, frozenset([AUDIENCE]), frozenset(), None, None, 30.0, "sub")
    keys = read_key_set({"keys": [jwk("RS256", name=key_name)]}, ("RS256",))
    return JwtIntrospector(Versioned(key_name, "1"), rules, keys, clock=lambda: NOW)


BY_ISSUER = ByIssuer({ISSUER: introspector(ISSUER, "current"), OTHER: introspector(OTHER, "other")})


def bearer(token: str) -> Credential:
    return Credential("bearer", token)


@pytest.mark.parametrize(("issuer", "key_name"), [(ISSUER, "current"), (OTHER, "other")])
def test_a_token_goes_to_the_introspector_of_its_issuer(issuer: str, key_name: str) -> None:
    token = BY_ISSUER.introspect(bearer(sign(body=claims(iss=issuer), key=key_for("RS256", key_name))))

    assert token.introspector.id == key_name


@pytest.mark.parametrize(("issuer", "key_name"), [(ISSUER, "other"), (OTHER, "current")])
def test_a_key_of_another_introspector_does_not_verify(issuer: str, key_name: str) -> None:
    with pytest.raises(InvalidToken, match="the signature is wrong"):
        BY_ISSUER.introspect(bearer(sign(body=claims(iss=issuer), key=key_for("RS256", key_name))))


@pytest.mark.parametrize("issuer", [ISSUER + "/", ISSUER[:-1], ISSUER.upper(), "", "https://evil.example"])
def test_an_issuer_that_nobody_named_is_unknown(issuer: str) -> None:
    with pytest.raises(UnknownIssuer, match="the issuer is not known"):
        BY_ISSUER.introspect(bearer(sign(body=claims(iss=issuer))))


@pytest.mark.parametrize("changes", [{"iss": None}, {"iss": [ISSUER]}, {"iss": {"a": 1}}, {"iss": 1}])
def test_a_token_without_an_issuer_is_refused(changes: Mapping[str, object]) -> None:
    with pytest.raises(InvalidToken, match="iss is missing or not a text"):
        BY_ISSUER.introspect(bearer(sign(body=claims(**changes))))


def test_what_is_not_a_token_is_refused() -> None:
    with pytest.raises(InvalidToken, match="three parts"):
        BY_ISSUER.introspect(bearer("opaque"))
