from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, OKPKey

from flask_foreign_token.errors import ProviderUnavailable
from flask_foreign_token.introspection import base64url
from flask_foreign_token.introspection.key_set import KeySet, read_key_set
from flask_foreign_token.introspection.keys import VerificationKey
from flask_foreign_token.introspection.parse import split

from .signing import header, jwk, key_for, sign

ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
RSA = ASYMMETRIC[:6]


def key_set(*entries: object, rsa_algorithms: tuple[str, ...] = ("RS256",), known: KeySet | None = None) -> KeySet:
    return read_key_set({"keys": list(entries)}, rsa_algorithms, known)


def number(value: int) -> str:
    return base64url.encode(value.to_bytes((value.bit_length() + 7) // 8)).decode()


def verifies(key: VerificationKey, token: str) -> bool:
    jws = split(token)
    return key.verify(jws.signing_input, jws.signature)


def public(key: Any) -> dict[str, Any]:
    return dict(key.as_dict(private=False))


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_key_serves_its_own_algorithm(algorithm: str) -> None:
    keys = key_set(jwk(algorithm))

    (key,) = keys.find(algorithm, algorithm)

    assert verifies(key, sign(header(algorithm), algorithm=algorithm))
    assert not verifies(key, sign(header(algorithm), algorithm=algorithm, key=key_for(algorithm, "other")))


@pytest.mark.requirement("RFC 9864", "2.2")
@pytest.mark.parametrize(("written", "asked"), [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA"), (None, "EdDSA")])
def test_an_ed25519_key_serves_both_names(written: str | None, asked: str) -> None:
    keys = key_set(jwk("EdDSA", alg=written))

    (key,) = keys.find("EdDSA", asked)

    assert verifies(key, sign(header(asked), algorithm=asked, key=key_for("EdDSA")))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "Ed25519"])
def test_without_alg_the_curve_decides(algorithm: str) -> None:
    keys = key_set(jwk(algorithm, "k", alg=None))

    assert [key.algorithm for key in keys.keys.values()] == [algorithm]


@pytest.mark.parametrize(
    ("rsa_algorithms", "served"),
    [
        (("RS256",), "RS256"),
        (("PS256",), "PS256"),
        (("ES256", "RS512"), "RS512"),
        (("PS256", "RS512", "RS384"), "PS256"),
        (("RS512", "RS256"), "RS512"),
        (("ES256", "EdDSA", "PS384", "RS256"), "PS384"),
    ],
)
def test_without_alg_an_rsa_key_serves_the_first_of_rsa_that_is_given(
    rsa_algorithms: tuple[str, ...], served: str
) -> None:
    keys = key_set(jwk("RS256", "k", alg=None), rsa_algorithms=rsa_algorithms)

    assert [name for name in ASYMMETRIC if keys.find("k", name)] == [served]


def test_without_alg_an_rsa_key_does_not_serve_where_none_is_given() -> None:
    keys = key_set(jwk("RS256", "k", alg=None), rsa_algorithms=("ES256",))

    assert not keys.keys
    assert "jwt.algorithms" in keys.skipped[0].reason


@pytest.mark.requirement("RFC 8725", "3.1", 2)
@pytest.mark.parametrize("algorithm", RSA)
def test_an_rsa_key_serves_no_algorithm_but_its_own(algorithm: str) -> None:
    keys = key_set(jwk(algorithm, "k"), rsa_algorithms=tuple(RSA))

    assert [name for name in ASYMMETRIC if keys.find("k", name)] == [algorithm]


def test_a_token_without_kid_is_offered_every_key_of_its_algorithm() -> None:
    keys = key_set(
        jwk("RS256", "a"), jwk("PS256", "b"), jwk("RS256", "c", "other"), jwk("RS256", name="third", kid=None)
    )

    assert [key.key_id for key in keys.find(None, "RS256")] == ["a", "c", None]
    assert [key.key_id for key in keys.find("c", "RS256")] == ["c"]
    assert not keys.find("b", "RS256")
    assert not keys.find("d", "RS256")


def test_keys_of_one_kid_are_all_candidates() -> None:
    keys = key_set(jwk("RS256", "k"), jwk("RS256", "k", "other"), jwk("ES256", "k"))

    assert len(keys.find("k", "RS256")) == 2
    assert len(keys.find("k", "ES256")) == 1


def test_a_key_that_stands_there_twice_is_one() -> None:
    assert len(key_set(jwk("RS256"), jwk("RS256")).find("RS256", "RS256")) == 1


def test_private_parts_are_not_read() -> None:
    private = {**key_for("RS256").as_dict(private=True), "d": ["no number"], "kid": "k", "alg": "RS256"}

    (key,) = key_set(private).find("k", "RS256")

    assert not key.key.is_private


@pytest.mark.parametrize(
    "members", [{"use": None}, {"use": "sig"}, {"key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]}]
)
def test_a_key_for_signatures_serves(members: dict[str, object]) -> None:
    assert key_set(jwk("RS256", **members)).find("RS256", "RS256")


SKIPPED = [
    ("a text", "not an object"),
    (None, "not an object"),
    (["kty", "RSA"], "not an object"),
    ({}, "kty"),
    (jwk("RS256", kty="oct"), "symmetric"),
    ({"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "alg": "HS256", "kid": "k"}, "symmetric"),
    (jwk("RS256", kty="AKP"), "kty"),
    (jwk("RS256", kty=["RSA"]), "kty"),
    (jwk("RS256", kty="rsa"), "kty"),
    (jwk("RS256", use="enc"), "use"),
    (jwk("RS256", use=["sig"]), "use"),
    (jwk("RS256", key_ops=["encrypt"]), "key_ops"),
    (jwk("RS256", key_ops=["sign"]), "key_ops"),
    (jwk("RS256", key_ops=[]), "key_ops"),
    (jwk("RS256", key_ops="verify"), "key_ops"),
    (jwk("RS256", alg="RSA1_5"), "alg is not supported"),
    (jwk("RS256", alg="HS256"), "alg does not fit"),
    (jwk("RS256", alg="none"), "alg is not supported"),
    (jwk("RS256", alg=["RS256"]), "alg is not supported"),
    (jwk("RS256", alg="ES256"), "alg does not fit"),
    (jwk("ES256", alg="RS256"), "alg does not fit"),
    (jwk("ES256", alg="ES384"), "alg does not fit"),
    (jwk("ES512", alg="ES521"), "alg is not supported"),
    (jwk("ES256", crv="P-384"), "alg does not fit"),
    (jwk("ES256", crv="P-384", alg=None), "not a valid key"),
    (jwk("ES256", crv="P-192", alg=None), "crv"),
    (jwk("ES256", crv=["P-256"]), "crv"),
    (jwk("ES256", y=jwk("ES256")["x"]), "not a valid key"),
    (jwk("ES256", x=""), "not a valid key"),
    (jwk("ES256", x="A"), "not a valid key"),
    (jwk("ES256", y=None), "y is missing"),
    (jwk("RS256", n=None), "n is missing"),
    (jwk("RS256", e=None), "e is missing"),
    (jwk("RS256", e=65537), "e is missing or not a text"),
    (jwk("RS256", e=""), "not a valid key"),
    (jwk("RS256", e="AQ"), "not a valid key"),
    (jwk("RS256", e=number(65536)), "not a valid key"),
    (jwk("RS256", n=jwk("RS256")["n"] + "=="), "not a valid key"),
    (jwk("RS256", n=""), "less than 2048"),
    (jwk("RS256", n="ä"), "not a valid key"),
    (jwk("RS256", n=number(2**2047 - 1)), "less than 2048"),
    (jwk("RS256", kid=7), "kid is not a text"),
    (jwk("RS256", kid=["k"]), "kid is not a text"),
    ({**jwk("RS256"), "kid": None}, "kid is not a text"),
    (jwk("RS256", kid="k" * 5_000_000), "kid is longer"),
    (jwk("Ed25519", crv="Ed448"), "alg does not fit"),
    (jwk("Ed25519", x="AAAA"), "not a valid key"),
    ({**public(OKPKey.import_key(ed448.Ed448PrivateKey.generate())), "alg": "EdDSA"}, "alg does not fit"),
    (public(OKPKey.import_key(ed448.Ed448PrivateKey.generate())), "crv"),
    (public(OKPKey.import_key(x25519.X25519PrivateKey.generate())), "crv"),
    (public(ECKey.import_key(ec.generate_private_key(ec.SECP256K1()))), "crv"),
    ({**public(ECKey.import_key(ec.generate_private_key(ec.SECP256K1()))), "alg": "ES256K"}, "alg is not supported"),
    ({"kty": "RSA", "x5c": ["MIIB"], "kid": "k"}, "n is missing"),
]


@pytest.mark.parametrize(("entry", "reason"), SKIPPED)
def test_a_key_that_cannot_be_used_is_skipped_and_the_rest_serves(entry: object, reason: str) -> None:
    keys = key_set(entry, jwk("ES384", "healthy"))

    assert [key.key_id for key in keys.keys.values()] == ["healthy"]
    assert len(keys.skipped) == 1
    assert reason in keys.skipped[0].reason


@pytest.mark.requirement("RFC 7518", "3.3")
def test_an_rsa_key_of_1024_bits_is_skipped() -> None:
    short = rsa.generate_private_key(65537, 1024).public_key().public_numbers()

    keys = key_set({"kty": "RSA", "alg": "RS256", "kid": "k", "n": number(short.n), "e": number(short.e)})

    assert keys.skipped == (("k", "an RSA key of less than 2048 bits"),)


@pytest.mark.requirement("RFC 7517", "5")
def test_all_that_can_be_wrong_in_one_set_leaves_the_healthy_key() -> None:
    keys = key_set(*(entry for entry, _reason in SKIPPED), jwk("RS256", "healthy"))

    (key,) = keys.find("healthy", "RS256")

    assert verifies(key, sign())
    assert len(keys.skipped) == len(SKIPPED)


def test_a_skipped_key_is_known_by_its_kid() -> None:
    keys = key_set(jwk("RS256", "a", use="enc"), jwk("RS256", "b"))

    assert keys.lists("a")
    assert keys.lists("b")
    assert not keys.lists("c")


@pytest.mark.parametrize("document", [None, [], "keys", 1, {}, {"keys": None}, {"keys": {}}, {"keys": "RSA"}])
def test_what_is_not_a_key_set_is_the_providers_fault(document: object) -> None:
    with pytest.raises(ProviderUnavailable):
        read_key_set(document, ("RS256",))


def test_an_empty_key_set_is_one() -> None:
    assert not key_set().keys


def test_a_key_that_stays_keeps_its_identity() -> None:
    before = key_set(jwk("RS256"), jwk("ES256"))

    after = key_set(jwk("ES256", use=None), jwk("RS256"), known=before)

    assert after.find("RS256", "RS256") == before.find("RS256", "RS256")
    assert after.find("ES256", "ES256") == before.find("ES256", "ES256")


@pytest.mark.parametrize(
    "changed", [jwk("RS256", "RS256", "other"), jwk("RS256", "renamed"), jwk("RS256", alg="RS384")]
)
def test_a_key_that_changes_is_another(changed: dict[str, Any]) -> None:
    before = key_set(jwk("RS256"))

    after = key_set(changed, known=before)

    assert not set(after.keys.values()) & set(before.keys.values())


def test_a_key_that_its_successor_lacks_is_withdrawn_and_no_other() -> None:
    before = key_set(jwk("RS256", "gone"), jwk("ES256", "turned"), jwk("ES384", "stays"))
    after = key_set(
        jwk("ES256", "turned", use="enc"), jwk("ES384", "stays"), jwk("RS256", "new", "other"), known=before
    )

    before.withdraw(after)

    assert [(key.key_id, key.withdrawn) for key in before.keys.values()] == [
        ("gone", True),
        ("turned", True),
        ("stays", False),
    ]
    assert not any(key.withdrawn for key in after.keys.values())


def test_a_key_shows_nothing_of_itself_in_its_text() -> None:
    (key,) = key_set(jwk("RS256")).find("RS256", "RS256")

    assert repr(key) == "VerificationKey(key_id='RS256', algorithm='RS256', withdrawn=False)"


@pytest.mark.requirement("RFC 7518", "3.4")
@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "Ed25519"])
@pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 65, 70, 96, 131, 132, 133, 255, 256, 257, 10_000])
@pytest.mark.parametrize("octet", [b"\x00", b"\x01", b"\xff"])
def test_a_signature_of_any_shape_is_merely_wrong(algorithm: str, length: int, octet: bytes) -> None:
    (key,) = key_set(jwk(algorithm)).find(algorithm, algorithm)

    assert not key.verify(b"header.payload", octet * length)


def test_a_signature_in_der_is_wrong() -> None:
    (key,) = key_set(jwk("ES256")).find("ES256", "ES256")
    private = key_for("ES256").private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    signing_input = sign(header("ES256"), algorithm="ES256").rpartition(".")[0].encode()

    assert not key.verify(signing_input, private.sign(signing_input, ec.ECDSA(SHA256())))
