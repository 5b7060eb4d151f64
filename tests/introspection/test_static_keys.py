from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc.jwk import OctKey

from flask_foreign_token.errors import Rejected
from flask_foreign_token.introspection.keys import UnusableKey
from flask_foreign_token.introspection.parse import split
from flask_foreign_token.introspection.static_keys import StaticKeys, symmetric_key

from .signing import SECRET, header, key_for, sign

LONG = SECRET * 2


def pem(algorithm: str, name: str = "current") -> str:
    return str(key_for(algorithm, name).as_pem(private=False).decode())


def asymmetric(algorithm: str, **changes: str) -> dict[str, str]:
    key_type = "OKP" if algorithm.startswith("Ed") else {"R": "RSA", "P": "RSA", "E": "EC"}[algorithm[0]]
    return {"kty": key_type, "alg": algorithm, "format": "PEM", "pub": pem(algorithm), **changes}


def symmetric(algorithm: str = "HS256", **changes: str) -> dict[str, str]:
    return {"kty": "OCT", "alg": algorithm, "format": "plain", "k": LONG, **changes}


def verified(keys: StaticKeys, token: str) -> bool:
    jws = split(token)
    return any(key.verify(jws.signing_input, jws.signature) for key in keys.find(jws.key_id, jws.algorithm))


def issues(rejected: pytest.ExceptionInfo[Rejected]) -> list[tuple[str, str]]:
    return [(issue.path, issue.message) for issue in rejected.value.issues]


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_secret_verifies_what_was_signed_with_it(algorithm: str) -> None:
    keys = StaticKeys.from_secret(LONG, [algorithm])

    assert verified(keys, sign(header(algorithm), algorithm=algorithm, key=OctKey.import_key(LONG)))
    assert not verified(keys, sign(header(algorithm), algorithm=algorithm, key=OctKey.import_key(LONG + "!")))


@pytest.mark.parametrize("algorithms", [None, [], frozenset[str](), ["HS256"]])
def test_a_secret_serves_hs256_unless_told_otherwise(algorithms: list[str] | None) -> None:
    keys = StaticKeys.from_secret(LONG, algorithms)

    assert keys.find(None, "HS256")
    assert not keys.find(None, "HS384")
    assert not keys.find(None, "RS256")


@pytest.mark.parametrize("algorithms", [["HS256", "HS384"], ["RS256", "HS256"]])
def test_a_secret_for_several_algorithms_is_rejected(algorithms: list[str]) -> None:
    with pytest.raises(Rejected) as rejected:
        StaticKeys.from_secret(LONG, algorithms)

    assert issues(rejected) == [("jwt.algorithms", "a secret serves one algorithm: give HS256, HS384 or HS512")]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "none", "", "A256KW"])
def test_a_secret_for_what_is_not_hmac_is_rejected(algorithm: str) -> None:
    with pytest.raises(Rejected, match=r"jwt\.algorithms: a secret serves one algorithm"):
        StaticKeys.from_secret(LONG, [algorithm])


@pytest.mark.requirement("RFC 7518", "3.2")
@pytest.mark.parametrize(("algorithm", "octets"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_a_secret_has_at_least_the_octets_of_its_hash(algorithm: str, octets: int) -> None:
    assert StaticKeys.from_secret("s" * octets, [algorithm]).find(None, algorithm)
    assert StaticKeys.from_secret("ä" * (octets // 2), [algorithm]).find(None, algorithm)
    with pytest.raises(Rejected, match=f"shorter than the {octets} octets"):
        StaticKeys.from_secret("s" * (octets - 1), [algorithm])


@pytest.mark.requirement("RFC 7518", "3.2")
@pytest.mark.parametrize("secret", ["", " ", " " * 40, "\t\r\n" * 40, "\u00a0" * 40])
def test_a_blank_secret_is_rejected(secret: str) -> None:
    with pytest.raises(Rejected, match="empty or blank"):
        StaticKeys.from_secret(secret, None)


def test_a_secret_that_is_no_text_is_rejected() -> None:
    with pytest.raises(Rejected, match="UTF-8"):
        StaticKeys.from_secret("\ud800" * 40, None)


def der_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


RSA_PRIVATE = rsa.generate_private_key(65537, 2048)
EC_PRIVATE = ec.generate_private_key(ec.SECP256R1())
DSA_PRIVATE = dsa.generate_private_key(1024)
PKCS8 = (Encoding.DER, PrivateFormat.PKCS8)
KEY_TEXTS = {
    "public PEM": pem("RS256"),
    "public PEM after a line": "our key:\n" + pem("RS256"),
    "EC public PEM": pem("ES256"),
    "private PEM": RSA_PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "half a PEM": "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQ",
    "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "SSH": RSA_PRIVATE.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    "SSH of EC": EC_PRIVATE.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    "SSH2": "---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2E\n---- END SSH2 PUBLIC KEY ----",
    "JWK": json.dumps(key_for("RS256").as_dict(private=False)),
    "JWK of a secret": '{"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}',
    "JWKS": json.dumps({"keys": [key_for("ES256").as_dict(private=False)]}, indent=2),
    "public DER in base64": base64.b64encode(der_of(RSA_PRIVATE)).decode(),
    "EC public DER in base64": base64.b64encode(der_of(EC_PRIVATE)).decode(),
    "private DER in base64": base64.b64encode(RSA_PRIVATE.private_bytes(*PKCS8, NoEncryption())).decode(),
    "encrypted DER in base64": base64.b64encode(
        EC_PRIVATE.private_bytes(*PKCS8, BestAvailableEncryption(b"pass"))
    ).decode(),
}


PUBLIC_JWK = KEY_TEXTS["JWK"]
PUBLIC_DER = der_of(RSA_PRIVATE)
PUBLIC_PKCS1 = RSA_PRIVATE.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
KEY_TEXTS |= {
    "PEM in one line": pem("RS256").replace("\n", "\\n"),
    "public DER in base64url": base64.urlsafe_b64encode(PUBLIC_DER).decode().rstrip("="),
    "public DER in base64 without padding": base64.b64encode(PUBLIC_DER).decode().rstrip("="),
    "public DER in base64 in lines": base64.encodebytes(PUBLIC_DER).decode(),
    "public PKCS #1 in base64": base64.b64encode(PUBLIC_PKCS1).decode(),
    "public DER in hexadecimal": PUBLIC_DER.hex(),
    "public DER in hexadecimal with colons": PUBLIC_DER.hex(":").upper(),
    "PEM in base64": base64.b64encode(pem("RS256").encode()).decode(),
    "JWK in base64": base64.b64encode(PUBLIC_JWK.encode()).decode(),
    "JWK in base64url": base64.urlsafe_b64encode(PUBLIC_JWK.encode()).decode().rstrip("="),
    "JWK in hexadecimal": PUBLIC_JWK.encode().hex(),
    "JWK in a list": f"[{PUBLIC_JWK}]",
    "JWK within an object": f'{{"key": {PUBLIC_JWK}}}',
    "JWK as a text in JSON": json.dumps(PUBLIC_JWK),
    "JWK after a byte order mark": f"\ufeff{PUBLIC_JWK}",
    "JWK with a member twice": PUBLIC_JWK[:-1] + ', "kty": "RSA"}',
    "SSH without its first word": KEY_TEXTS["SSH"].split()[1],
}


@pytest.mark.parametrize("name", KEY_TEXTS)
def test_the_text_of_a_key_is_no_secret(name: str) -> None:
    with pytest.raises(Rejected) as rejected:
        StaticKeys.from_secret(KEY_TEXTS[name], None)

    reason = "the secret is the text of a key; a public key belongs into jwt.keys"
    assert issues(rejected) == [("jwt.secret", reason)]


def test_a_public_key_in_der_is_no_secret() -> None:
    # The head of an Ed25519 key in DER and 32 octets that happen to be ASCII.
    der = bytes.fromhex("302a300506032b6570032100") + b"abcdefghijklmnopqrstuvwxyz012345"

    with pytest.raises(Rejected, match="the text of a key"):
        StaticKeys.from_secret(der.decode(), None)


@pytest.mark.parametrize(
    "secret",
    [
        SECRET,
        "[1, 2, 3]" * 8,
        '{"not": "a key"}' * 4,
        '{"a": "JSON object, and not a key"}',
        "A" * 64,
        hashlib.sha512(b"a secret").hexdigest(),
        base64.b64encode(hashlib.sha512(b"a secret").digest()).decode(),
        base64.urlsafe_b64encode(hashlib.sha512(b"another").digest()).decode(),
        "[" * 100_000,
    ],
)
def test_an_odd_secret_is_one(secret: str) -> None:
    assert StaticKeys.from_secret(secret, None).find(None, "HS256")


@pytest.mark.parametrize("algorithm", ["RS256", "A256KW", "none"])
def test_a_symmetric_key_for_what_is_not_hmac_is_unusable(algorithm: str) -> None:
    with pytest.raises(UnusableKey, match="HS256, HS384 or HS512"):
        symmetric_key(LONG.encode(), algorithm)


@pytest.mark.parametrize("octets", [b"", b"\x00" * 31])
def test_a_short_symmetric_key_is_unusable(octets: bytes) -> None:
    with pytest.raises(UnusableKey, match="32 octets"):
        symmetric_key(octets, "HS256")


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"])
def test_a_public_key_in_pem_verifies(algorithm: str) -> None:
    keys = StaticKeys.from_jwt_keys([asymmetric(algorithm)])

    assert verified(keys, sign(header(algorithm), algorithm=algorithm))
    assert not verified(keys, sign(header(algorithm), algorithm=algorithm, key=key_for(algorithm, "other")))


def test_a_public_key_in_pkcs1_verifies() -> None:
    pkcs1 = RSA_PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()

    assert StaticKeys.from_jwt_keys([asymmetric("RS256", pub=pkcs1)]).find(None, "RS256")


def test_a_symmetric_key_verifies() -> None:
    keys = StaticKeys.from_jwt_keys([symmetric("HS512")])

    assert verified(keys, sign(header("HS512"), algorithm="HS512", key=OctKey.import_key(LONG)))


def test_keys_are_tried_whatever_kid_a_token_has() -> None:
    keys = StaticKeys.from_jwt_keys(
        [asymmetric("RS256", pub=pem("RS256", "other")), asymmetric("RS256"), asymmetric("ES256")]
    )

    assert len(keys.find("some", "RS256")) == 2
    assert len(keys.find(None, "RS256")) == 2
    assert verified(keys, sign(header(kid="unheard of")))


def test_a_key_of_jwt_keys_serves_no_other_algorithm() -> None:
    keys = StaticKeys.from_jwt_keys([asymmetric("RS256")])

    assert not keys.find(None, "PS256")
    assert not keys.find(None, "HS256")


@pytest.mark.parametrize(
    ("entry", "path", "reason"),
    [
        ({}, "kty", "must be RSA, EC, OKP or OCT"),
        (asymmetric("RS256", kty="rsa"), "kty", "must be RSA, EC, OKP or OCT"),
        (asymmetric("RS256", kty="AKP"), "kty", "must be RSA, EC, OKP or OCT"),
        ({"kty": "RSA"}, "alg", "must be one of RS256,"),
        (asymmetric("RS256", alg="none"), "alg", "must be one of RS256,"),
        (asymmetric("RS256", alg="rs256"), "alg", "must be one of RS256,"),
        (asymmetric("RS256", kty="EC"), "alg", "does not fit kty EC"),
        (asymmetric("RS256", alg="HS256"), "alg", "does not fit kty RSA"),
        (symmetric(alg="RS256"), "alg", "does not fit kty OCT"),
        (asymmetric("RS256", format="plain"), "format", "must be PEM for kty RSA"),
        (symmetric(format="PEM"), "format", "must be plain for kty OCT"),
        ({"kty": "EC", "alg": "ES256"}, "format", "must be PEM for kty EC"),
        ({"kty": "EC", "alg": "ES256", "format": "PEM"}, "pub", "is required for kty EC"),
        ({"kty": "OCT", "alg": "HS256", "format": "plain", "pub": pem("RS256")}, "k", "is required for kty OCT"),
        (asymmetric("RS256", pub=""), "pub", "must be one public key in PEM"),
        (asymmetric("RS256", pub="MIIBIjANBgkqhkiG9w0BAQ"), "pub", "must be one public key in PEM"),
        (asymmetric("RS256", pub=pem("RS256") * 2), "pub", "must be one public key in PEM"),
        (asymmetric("RS256", pub=KEY_TEXTS["certificate"]), "pub", "must be one public key in PEM"),
        (asymmetric("RS256", pub=KEY_TEXTS["private PEM"]), "pub", "a private key does not belong here"),
        (asymmetric("RS256", pub=pem("RS256").replace("MII", "MIJ")), "pub", "is not a public key in PEM"),
        (asymmetric("RS256", pub=pem("RS256") + "\ud800"), "pub", "is not a public key in PEM"),
        (asymmetric("RS256", pub=pem("ES256")), "pub", "the key does not fit RS256"),
        (asymmetric("ES256", pub=pem("RS256")), "pub", "the key does not fit ES256"),
        (asymmetric("ES256", pub=pem("ES384")), "pub", "the key does not fit ES256"),
        (asymmetric("EdDSA", pub=pem("ES256")), "pub", "the key does not fit Ed25519"),
        (symmetric(k="short"), "k", "the secret is shorter than the 32 octets that HS256 needs"),
        (symmetric("HS512", k="s" * 63), "k", "the secret is shorter than the 64 octets that HS512 needs"),
        (symmetric(k=" " * 40), "k", "the secret is empty or blank"),
        (symmetric(k=pem("RS256")), "k", "the secret is the text of a key"),
    ],
)
def test_a_key_that_cannot_be_used_is_rejected_with_its_path(entry: Mapping[str, str], path: str, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        StaticKeys.from_jwt_keys([entry])

    ((found_path, found_reason),) = issues(rejected)
    assert found_path == f"jwt.keys.0.{path}"
    assert found_reason.startswith(reason)


@pytest.mark.parametrize(
    "public_key",
    [
        rsa.generate_private_key(65537, 1024).public_key(),
        DSA_PRIVATE.public_key(),
        ed448.Ed448PrivateKey.generate().public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ec.generate_private_key(ec.BrainpoolP256R1()).public_key(),
    ],
    ids=["short RSA", "DSA", "Ed448", "secp256k1", "brainpool"],
)
@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_kind_of_key_that_does_not_serve_is_rejected(public_key: rsa.RSAPublicKey, algorithm: str) -> None:
    text = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    with pytest.raises(Rejected, match=r"jwt\.keys\.0\.pub"):
        StaticKeys.from_jwt_keys([asymmetric(algorithm, pub=text)])


def test_every_fault_is_found() -> None:
    with pytest.raises(Rejected) as rejected:
        StaticKeys.from_jwt_keys([asymmetric("RS256", pub=""), asymmetric("RS256"), asymmetric("ES256", alg="x")])

    assert [path for path, _reason in issues(rejected)] == ["jwt.keys.0.pub", "jwt.keys.2.alg"]


def test_symmetric_and_asymmetric_keys_do_not_mix() -> None:
    with pytest.raises(Rejected) as rejected:
        StaticKeys.from_jwt_keys([asymmetric("RS256"), symmetric()])

    assert issues(rejected) == [("jwt.keys", "symmetric and asymmetric keys do not stand together")]


def test_no_key_at_all_is_rejected() -> None:
    with pytest.raises(Rejected, match="no key is given"):
        StaticKeys.from_jwt_keys([])


def test_a_rejection_repeats_nothing_of_the_key() -> None:
    with pytest.raises(Rejected) as rejected:
        StaticKeys.from_jwt_keys([symmetric(k="hunter2")])

    assert "hunter2" not in str(rejected.value)
    assert rejected.value.__cause__ is None
