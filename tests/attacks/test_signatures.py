"""A signature is right, or the token is refused, whatever shape it has (RFC 7518, section 3.4; RFC 8725, 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

from flask_foreign_token.introspection import base64url

from .target import ALPHABET, Target, assert_refused, by_secret, encoded, present

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the base point of P-256."""
FIELD = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493

Forge = Callable[[bytes, str, Any], bytes]
"""Makes a signature of a good one, the text that it is over, and the issuer's private key."""


def numbers(r: int, s: int) -> bytes:
    return r.to_bytes(32) + s.to_bytes(32)


def in_der(good: bytes, _text: str, _key: Any) -> bytes:
    return utils.encode_dss_signature(int.from_bytes(good[:32]), int.from_bytes(good[32:]))


def signed_in_der(_good: bytes, text: str, key: Any) -> bytes:
    return bytes(key.private_key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))


def r_plus_order(good: bytes, _text: str, _key: Any) -> bytes:
    return ((int.from_bytes(good[:32]) + ORDER) % 2**256).to_bytes(32) + good[32:]


def s_plus_order(good: bytes, _text: str, _key: Any) -> bytes:
    return good[:32] + (int.from_bytes(good[32:], "little") + ED25519_ORDER).to_bytes(32, "little")


def over_the_digest(_good: bytes, text: str, key: Any) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(text.encode())
    return bytes(key.private_key.sign(digest.finalize(), padding.PKCS1v15(), hashes.SHA256()))


def pkcs1_with(digest: hashes.HashAlgorithm) -> Forge:
    return lambda _good, text, key: bytes(key.private_key.sign(text.encode(), padding.PKCS1v15(), digest))


def fixed(octets: bytes) -> Forge:
    return lambda _good, _text, _key: octets


LENGTHS = {
    f"{length} octets of {octet.hex()}": fixed(octet * length)
    for length in (0, 1, 31, 32, 63, 64, 65, 72, 96, 128, 132, 255, 256, 257, 4000)
    for octet in (b"\x00", b"\x01", b"\xff")
}
CHANGED: dict[str, Forge] = {
    "its first octet missing": lambda good, _text, _key: good[1:],
    "its last octet missing": lambda good, _text, _key: good[:-1],
    "one zero before": lambda good, _text, _key: b"\x00" + good,
    "one zero behind": lambda good, _text, _key: good + b"\x00",
    "twice": lambda good, _text, _key: good * 2,
    "half": lambda good, _text, _key: good[: len(good) // 2],
    "its halves swapped": lambda good, _text, _key: good[len(good) // 2 :] + good[: len(good) // 2],
    "backwards": lambda good, _text, _key: good[::-1],
    "its first bit flipped": lambda good, _text, _key: bytes([good[0] ^ 0x80]) + good[1:],
    "its last bit flipped": lambda good, _text, _key: good[:-1] + bytes([good[-1] ^ 1]),
    "in base64url once more": lambda good, _text, _key: base64url.encode(good),
    "in hexadecimal": lambda good, _text, _key: good.hex().encode(),
}
ES256: dict[str, Forge] = {
    "r zero": fixed(numbers(0, 1)),
    "s zero": fixed(numbers(1, 0)),
    "both one": fixed(numbers(1, 1)),
    "the order, twice": fixed(numbers(ORDER, ORDER)),
    "r zero, s the order": fixed(numbers(0, ORDER)),
    "the order less one": fixed(numbers(ORDER - 1, ORDER - 1)),
    "the order and one": fixed(numbers(ORDER + 1, 1)),
    "the field": fixed(numbers(FIELD, FIELD)),
    "r and the order": lambda good, _text, _key: (
        ((int.from_bytes(good[:32]) + ORDER) % 2**256).to_bytes(32) + good[32:]
    ),
    "in DER": in_der,
    "signed in DER": signed_in_der,
    "zero in DER": fixed(bytes.fromhex("3006020100020100")),
    "nothing in DER": fixed(bytes.fromhex("3000")),
    "with more octets for each": lambda good, _text, _key: bytes(2) + good[:32] + bytes(2) + good[32:],
}
RS256: dict[str, Forge] = {
    "over the digest": over_the_digest,
    "PKCS #1 with SHA-512": pkcs1_with(hashes.SHA512()),
    "PKCS #1 with SHA-1": pkcs1_with(hashes.SHA1()),
    "the modulus": lambda _good, _text, key: key.public_key.public_numbers().n.to_bytes(256),
    "and the modulus": lambda good, _text, key: (int.from_bytes(good) + key.public_key.public_numbers().n).to_bytes(
        257
    ),
    "zeros": fixed(bytes(256)),
    "one": fixed(bytes(255) + b"\x01"),
    "what it is to be decrypted to": fixed(b"\x00\x01" + b"\xff" * 202 + b"\x00" + bytes(51)),
}
EDDSA: dict[str, Forge] = {
    "s and the order": s_plus_order,
    "the neutral point": fixed(b"\x01" + bytes(63)),
    "R the neutral point": lambda good, _text, _key: b"\x01" + bytes(31) + good[32:],
    "s zero": lambda good, _text, _key: good[:32] + bytes(32),
}
FORGERIES = {
    "RS256": {**LENGTHS, **CHANGED, **RS256},
    "ES256": {**LENGTHS, **CHANGED, **ES256},
    "EdDSA": {**LENGTHS, **CHANGED, **EDDSA},
}
FORGED = [
    pytest.param(algorithm, forge, id=f"{algorithm} {name}")
    for algorithm, forgeries in FORGERIES.items()
    for name, forge in forgeries.items()
]


@pytest.mark.parametrize(("algorithm", "forge"), FORGED)
@pytest.mark.parametrize("named", [True, False], ids=["with kid", "without kid"])
def test_a_signature_that_is_wrong_in_any_way_is_refused(
    target: Target, algorithm: str, forge: Forge, named: bool
) -> None:
    good = target.sign(target.header(algorithm) if named else target.header(algorithm, kid=None), algorithm=algorithm)
    text, _, signature = good.rpartition(".")

    target.refuses(f"{text}.{encoded(forge(base64url.decode(signature.encode()), text, target.key(algorithm)))}")


@pytest.mark.parametrize("algorithm", FORGERIES)
def test_the_signature_as_it_is_is_let_in(target: Target, algorithm: str) -> None:
    target.lets_in(target.sign(algorithm=algorithm))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
@pytest.mark.parametrize("algorithm", FORGERIES)
def test_a_part_of_another_good_token_is_refused(target: Target, algorithm: str, part: int) -> None:
    one = target.sign(algorithm=algorithm)
    other = target.sign(target.header(algorithm, typ="at+jwt"), target.claims(sub="bert"), algorithm)
    parts = one.split(".")
    parts[part] = other.split(".")[part]

    target.lets_in(one)
    target.lets_in(other)
    target.refuses(".".join(parts))


@pytest.mark.parametrize("make", [lambda target: target.sign(algorithm="ES256"), lambda _target: by_secret()])
def test_every_character_of_a_token_counts(target: Target, make: Callable[[Target], str]) -> None:
    token = make(target)
    target.lets_in(token)

    for position, character in enumerate(token):
        if character != ".":
            changed = ALPHABET[ALPHABET.index(character) ^ 1]
            # Where the name of the key is what changes, the issuer may be asked for it, within limits.
            changed_token = f"{token[:position]}{changed}{token[position + 1 :]}"
            assert_refused(present(target.app, f"Bearer {changed_token}"))


def test_a_hmac_that_is_cut_off_or_longer_is_refused(target: Target) -> None:
    text, _, signature = by_secret().rpartition(".")
    octets = base64url.decode(signature.encode())

    for length in (0, 1, 4, 8, 16, 31):
        target.refuses(f"{text}.{encoded(octets[:length])}")
    for more in (b"\x00", octets, bytes(32)):
        target.refuses(f"{text}.{encoded(octets + more)}")
    target.lets_in(f"{text}.{encoded(octets)}")
