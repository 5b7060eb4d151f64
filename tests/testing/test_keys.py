from __future__ import annotations

import time
from typing import Any

import pytest
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, RSAKey

from flask_foreign_token.testing.keys import ALGORITHMS, SigningKeys, sign

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "k"}


@pytest.fixture(scope="module")
def keys() -> SigningKeys:
    return SigningKeys()


def signed(keys: SigningKeys, algorithm: str = "RS256", **claims: object) -> str:
    key = keys.find(algorithm)
    return sign({"exp": time.time() + 60, **claims}, {"alg": algorithm, "kid": key.kid}, key)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_a_key_signs_is_verified(keys: SigningKeys, algorithm: str) -> None:
    assert keys.verify(signed(keys, algorithm, sub="alice"))["sub"] == "alice"


def test_each_algorithm_has_a_key_that_says_what_it_is_for(keys: SigningKeys) -> None:
    served = keys.served()["keys"]

    assert [(key["alg"], key["use"], key["kty"]) for key in served] == [
        ("RS256", "sig", "RSA"),
        ("ES256", "sig", "EC"),
        ("EdDSA", "sig", "OKP"),
    ]
    assert len({key["kid"] for key in served}) == 3


def test_private_parts_are_not_served(keys: SigningKeys) -> None:
    assert all(PRIVATE.isdisjoint(key) for key in keys.served()["keys"])


def test_a_token_of_a_strangers_key_is_not_verified(keys: SigningKeys) -> None:
    stranger = RSAKey.generate_key(2048)

    with pytest.raises(JoseError):
        keys.verify(sign({"exp": time.time() + 60}, {"alg": "RS256", "kid": keys.find("RS256").kid}, stranger))


@pytest.mark.parametrize("claims", [{"exp": 1}, {"exp": None}, {"exp": "soon"}, {"nbf": 4_000_000_000}])
def test_a_token_whose_times_do_not_hold_is_not_verified(keys: SigningKeys, claims: dict[str, Any]) -> None:
    with pytest.raises(JoseError):
        keys.verify(signed(keys, **claims))


def test_an_algorithm_that_is_not_the_issuers_is_not_verified(keys: SigningKeys) -> None:
    secret = OctKey.generate_key(256)

    with pytest.raises(JoseError):
        keys.verify(sign({"exp": time.time() + 60}, {"alg": "HS256", "kid": keys.find("RS256").kid}, secret))
    with pytest.raises(JoseError):
        keys.verify(sign({"exp": time.time() + 60}, {"alg": "none"}, None))


def test_rotation_withdraws_the_keys_before() -> None:
    keys = SigningKeys()
    old = signed(keys)

    keys.rotate(keep=False)

    assert len(keys.served()["keys"]) == 3
    with pytest.raises(JoseError):
        keys.verify(old)
    assert keys.verify(signed(keys))


def test_rotation_may_keep_the_keys_before() -> None:
    keys = SigningKeys()
    old = signed(keys)

    keys.rotate(keep=True)

    assert len(keys.served()["keys"]) == 6
    assert keys.verify(old)
    assert keys.verify(signed(keys))


def test_a_withdrawn_key_can_still_be_found_by_its_id() -> None:
    keys = SigningKeys()
    old = keys.find("ES256")

    keys.rotate(keep=False)

    assert keys.find("ES256", old.kid) is old
    assert keys.find("ES256") is not old


@pytest.mark.parametrize(("algorithm", "key_id"), [("HS256", None), ("RS256", "nobody")])
def test_a_key_that_is_not_there_is_an_error(keys: SigningKeys, algorithm: str, key_id: str | None) -> None:
    with pytest.raises(ValueError, match=f"no {algorithm} key"):
        keys.find(algorithm, key_id)


def test_headers_that_no_honest_issuer_writes_are_signed(keys: SigningKeys) -> None:
    token = sign({}, {"alg": "EdDSA", "crit": ["unheard-of"], "kid": 7, "jku": []}, keys.find("EdDSA"))

    assert token.count(".") == 2
    with pytest.raises(JoseError):
        keys.verify(token)
