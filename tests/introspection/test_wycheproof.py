"""Project Wycheproof's vectors against the function that checks a signature with keys and permitted algorithms."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection import base64url
from flask_foreign_token.introspection.jwt import permitted, verified_by
from flask_foreign_token.introspection.key_set import read_key_set
from flask_foreign_token.introspection.keys import KeySource, UnusableKey, VerificationKey
from flask_foreign_token.introspection.parse import split
from flask_foreign_token.introspection.static_keys import StaticKeys, symmetric_key

from .. import vectors

# 367 and 370 are to show padding and have none: their texts are that of 357, which is valid, to the letter. What they
# mean is in test_parse.
CONTRADICTION = pytest.mark.xfail(reason="the same text with the same key is valid elsewhere in the file", strict=True)


class Vector(NamedTuple):
    jwks: list[dict[str, Any]]
    token: str
    valid: bool

    @property
    def symmetric(self) -> bool:
        return all(jwk["kty"] == "oct" for jwk in self.jwks)

    @property
    def algorithms(self) -> frozenset[str]:
        """The algorithms of the keys, or all where a key has none."""
        named = [jwk["alg"] for jwk in self.jwks if "alg" in jwk]
        return permitted(named or None)

    @property
    def payload(self) -> bytes:
        part = self.token.split(".")[1]
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def every(name: str) -> Iterator[tuple[str, Vector]]:
    """Each test of a file with its number; what we expect stands in a file of its own where it differs."""
    ours = vectors.read(vectors.WYCHEPROOF_EXPECTED)[name.partition("/")[2]]["differs_for_us"]
    for group in vectors.read(name)["testGroups"]:
        keys = group.get("public") or group["private"]
        for test in group["tests"]:
            number = str(test["tcId"])
            valid = test["result"] == "valid" and ours.get(number, {}).get("ours") != "refused"
            yield number, Vector(keys.get("keys", [keys]), test["jws"], valid)


def signatures() -> Iterator[pytest.ParameterSet]:
    every_vector = list(every(vectors.WYCHEPROOF_SIGNATURES))
    valid = [vector for _number, vector in every_vector if vector.valid]
    for number, vector in every_vector:
        impossible = not vector.valid and vector._replace(valid=True) in valid
        yield pytest.param(vector, id=number, marks=[CONTRADICTION] if impossible else [])


def key_sets() -> Iterator[pytest.ParameterSet]:
    return (pytest.param(vector, id=number) for number, vector in every(vectors.WYCHEPROOF_KEYS))


def configured_keys() -> Iterator[pytest.ParameterSet]:
    # Keys in the configuration have no `kid`, so the one test where two share it (4) says nothing there.
    return (
        pytest.param(vector, id=number)
        for number, vector in every(vectors.WYCHEPROOF_KEYS)
        if vector.symmetric and number != "4"
    )


def configured(jwks: list[dict[str, Any]]) -> StaticKeys:
    """Symmetric keys as `jwt.keys` holds them."""
    return StaticKeys([configured_key(jwk) for jwk in jwks])


def configured_key(jwk: dict[str, Any]) -> VerificationKey:
    return symmetric_key(base64url.decode(jwk["k"].encode()), jwk["alg"])


def published(jwks: list[dict[str, Any]]) -> KeySource:
    return read_key_set({"keys": jwks}, ("RS256",))


def payload_of(vector: Vector, keys: KeySource) -> bytes:
    jws = split(vector.token)
    verified_by(jws, keys, vector.algorithms)
    return jws.payload


def check(vector: Vector, keys: KeySource) -> None:
    if vector.valid:
        assert payload_of(vector, keys) == vector.payload
    else:
        with pytest.raises(InvalidToken):
            payload_of(vector, keys)


@pytest.mark.parametrize("vector", vectors.cases("wycheproof signatures", signatures))
def test_a_signature_is_judged_as_wycheproof_says(vector: Vector) -> None:
    check(vector, configured(vector.jwks) if vector.symmetric else published(vector.jwks))


@pytest.mark.parametrize("vector", vectors.cases("wycheproof keys", key_sets))
def test_a_published_key_is_judged_as_wycheproof_says(vector: Vector) -> None:
    refused = vector._replace(valid=vector.valid and not vector.symmetric)

    check(refused, published(vector.jwks))


@pytest.mark.parametrize("vector", vectors.cases("wycheproof keys", configured_keys))
def test_a_configured_key_is_judged_as_wycheproof_says(vector: Vector) -> None:
    try:
        keys = configured(vector.jwks)
    except UnusableKey:
        assert not vector.valid
    else:
        check(vector, keys)
