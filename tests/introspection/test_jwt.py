from __future__ import annotations

import hmac
import json
import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import Key, OctKey

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.introspection import base64url
from flask_foreign_token.introspection.jwt import JwtIntrospector, JwtRules
from flask_foreign_token.introspection.key_set import read_key_set
from flask_foreign_token.introspection.keys import KeySource
from flask_foreign_token.introspection.parse import parse
from flask_foreign_token.introspection.static_keys import StaticKeys
from flask_foreign_token.introspection.token import Credential, Token, Versioned

from .signing import AUDIENCE, ISSUER, NOW, SECRET, claims, encoded, header, jwk, key_for, sign

RULES = JwtRules(
    issuer=ISSUER,
    audiences=frozenset([AUDIENCE]),
    client_ids=frozenset(),
    algorithms=None,
    typ=None,
    leeway=30.0,
    subject_claim="sub",
)
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
RESOURCE = Versioned("keycloak", "7")
PUBLISHED = read_key_set({"keys": [jwk(algorithm) for algorithm in ALGORITHMS]}, ("RS256",))


def introspect(token: str, *, keys: KeySource = PUBLISHED, now: float = NOW, **rules: Any) -> Token:
    introspector = JwtIntrospector(RESOURCE, replace(RULES, **rules), keys, clock=lambda: now)
    return introspector.introspect(Credential("bearer", token))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_is_verified(algorithm: str) -> None:
    token = introspect(sign(algorithm=algorithm))

    assert token.issuer == ISSUER
    assert token.subject == "anna"
    assert token.expires_at == NOW + 300
    assert token.usable_until == NOW + 330
    assert token.claims == claims()
    assert token.introspector == RESOURCE
    assert [token.evidence] == PUBLISHED.find(algorithm, algorithm)


def test_the_issuer_of_an_introspector_is_that_of_its_tokens() -> None:
    assert JwtIntrospector(RESOURCE, RULES, PUBLISHED).issuer == ISSUER


@pytest.mark.parametrize(
    ("token", "made"),
    [
        (sign(), ["issuer", "signature", "kind", "times", "audience", "client", "subject"]),
        (sign(body=claims(exp=1)), ["issuer", "signature", "kind", "times"]),
        (sign(body=claims(iss="other")), ["issuer"]),
    ],
)
def test_the_checks_can_be_made_one_by_one_up_to_the_first_that_fails(token: str, made: list[str]) -> None:
    checks = JwtIntrospector(RESOURCE, RULES, PUBLISHED, clock=lambda: NOW).checks(parse(token))

    names: list[str] = []
    with suppress(InvalidToken):
        names.extend(step for step in checks if isinstance(step, str))

    assert names == made


def test_a_token_is_to_be_verified_anew_when_its_keys_are_due() -> None:
    assert introspect(sign(), cache_ttl=60).usable_until == NOW + 60
    assert introspect(sign(), cache_ttl=3600).usable_until == NOW + 330


class Serving:
    """Published keys that serve for a while."""

    def __init__(self, serves_until: float) -> None:
        self.serves_until = serves_until
        self.find = PUBLISHED.find


@pytest.mark.parametrize(
    ("serves_until", "usable_until"),
    [(NOW + 10, NOW + 10), (NOW + 60, NOW + 60), (NOW + 61, NOW + 60), (math.inf, NOW + 60)],
)
def test_a_token_is_verified_anew_once_its_keys_no_longer_serve(serves_until: float, usable_until: float) -> None:
    assert introspect(sign(), keys=Serving(serves_until), cache_ttl=60).usable_until == usable_until


def test_the_claims_are_read_only() -> None:
    token = introspect(sign())

    with pytest.raises(TypeError):
        token.claims["sub"] = "bert"


def test_the_claims_are_read_only_at_every_depth() -> None:
    token = introspect(sign(body=claims(realm_access={"roles": ["user"]})))
    access: Any = token.claims["realm_access"]

    with pytest.raises(TypeError):
        access["roles"] = ["admin"]
    assert access["roles"] == ("user",)


def test_a_token_under_the_new_name_of_eddsa_is_verified() -> None:
    assert introspect(sign(header("Ed25519", kid="EdDSA"), algorithm="Ed25519")).subject == "anna"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_without_kid_is_verified(algorithm: str) -> None:
    assert introspect(sign(header(algorithm, kid=None), algorithm=algorithm)).subject == "anna"


def test_the_second_key_of_a_name_is_tried() -> None:
    keys = read_key_set({"keys": [jwk("RS256", name="other"), jwk("RS256")]}, ("RS256",))

    assert introspect(sign(), keys=keys).subject == "anna"


def test_a_shared_secret_verifies() -> None:
    keys = StaticKeys.from_secret(SECRET, None)

    assert introspect(sign(algorithm="HS256", key=OctKey.import_key(SECRET)), keys=keys).subject == "anna"


@pytest.mark.parametrize(
    ("rules", "changes"),
    [
        ({"audiences": frozenset(["x", AUDIENCE])}, {"aud": ["y", AUDIENCE]}),
        ({"audiences": frozenset()}, {"aud": None}),
        ({"audiences": frozenset(), "client_ids": frozenset(["app"])}, {"aud": None}),
        ({"client_ids": frozenset(["app"])}, {}),
        ({"audiences": frozenset(), "stated_audiences": frozenset([AUDIENCE, "app"])}, {"aud": None}),
        ({"audiences": frozenset(), "stated_audiences": frozenset([AUDIENCE, "app"])}, {"aud": ["x", "app"]}),
        ({"subject_claim": "oid"}, {"oid": "anna", "sub": None}),
        ({"leeway": 0.0}, {}),
    ],
)
def test_a_token_that_the_rules_allow_is_verified(rules: dict[str, Any], changes: dict[str, Any]) -> None:
    assert introspect(sign(body=claims(**changes)), **rules).subject == "anna"


@pytest.mark.parametrize(
    ("rules", "changes", "reason"),
    [
        ({}, {"iss": ISSUER + "/"}, "iss is not the issuer"),
        ({}, {"iss": ISSUER[:-1]}, "iss is not the issuer"),
        ({}, {"iss": ISSUER.upper()}, "iss is not the issuer"),
        ({}, {"iss": [ISSUER]}, "iss is not the issuer"),
        ({}, {"iss": None}, "iss is not the issuer"),
        ({}, {"exp": NOW - 31}, "has expired"),
        ({"leeway": 0.0}, {"exp": NOW}, "has expired"),
        ({}, {"exp": None}, "exp is missing"),
        ({}, {"exp": "1900000000"}, "exp is not a time"),
        ({}, {"nbf": NOW + 31}, "nbf lies ahead"),
        ({}, {"iat": NOW + 31}, "iat lies ahead"),
        ({}, {"aud": "account"}, "aud names another audience"),
        ({}, {"aud": None}, "aud is missing"),
        ({"audiences": frozenset()}, {"aud": {}}, "aud is neither"),
        ({"audiences": frozenset(), "stated_audiences": frozenset(["app"])}, {}, "aud names another audience"),
        ({"audiences": frozenset(), "stated_audiences": frozenset(["app"])}, {"aud": []}, "aud is neither"),
        ({}, {"token_use": "id"}, "the claim token_use"),
        ({"client_ids": frozenset(["other"])}, {}, "another client"),
        ({"client_ids": frozenset(["app"])}, {"aud": "account"}, "aud names another audience"),
        ({}, {"sub": ""}, "the subject is empty"),
        ({}, {"sub": None}, "the subject is missing"),
        ({"subject_claim": "oid"}, {}, "the subject is missing"),
        ({}, {"typ": "ID"}, "the claim typ"),
        ({}, {"cnf": {"jkt": "x"}}, "bound to a key"),
        ({"typ": "at+jwt"}, {}, "the typ of the header"),
    ],
)
def test_a_token_that_breaks_a_rule_is_refused(rules: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason):
        introspect(sign(body=claims(**changes)), **rules)


@pytest.mark.parametrize(
    ("permitted", "algorithm"),
    [(["RS256"], "RS256"), (["RS256", "ES256"], "ES256"), (["Ed25519"], "EdDSA"), (["EdDSA"], "EdDSA")],
)
def test_an_algorithm_that_is_permitted_passes(permitted: list[str], algorithm: str) -> None:
    assert introspect(sign(algorithm=algorithm), algorithms=frozenset(permitted)).subject == "anna"


@pytest.mark.requirement("RFC 8725", "3.1")
@pytest.mark.parametrize("permitted", [[], ["ES256"], ["PS256", "RS384"]])
def test_an_algorithm_that_is_not_permitted_is_refused(permitted: list[str]) -> None:
    with pytest.raises(InvalidToken, match="the algorithm is not permitted"):
        introspect(sign(), algorithms=frozenset(permitted))


def test_the_signature_is_checked_before_what_the_token_says_of_itself() -> None:
    token = sign(body=claims(exp=0, aud="x", sub="", typ="ID"), key=key_for("RS256", "other"))

    with pytest.raises(InvalidToken, match="the signature is wrong"):
        introspect(token)


def unsigned(head: dict[str, Any], signature: str = "") -> str:
    return f"{encoded(head)}.{encoded(claims())}.{signature}"


def public_texts(algorithm: str = "RS256") -> dict[str, bytes]:
    """The forms in which an attacker has the public key and might use it as a secret."""
    key: Any = key_for(algorithm)
    return {
        "PEM": key.as_pem(private=False),
        "PEM without the last line end": key.as_pem(private=False).strip(),
        "DER": key.as_der(private=False),
        "JWK": json.dumps(key.as_dict(private=False)).encode(),
        "compact JWK": json.dumps(key.as_dict(private=False), separators=(",", ":")).encode(),
        "n": str(key.as_dict(private=False)["n"]).encode(),
    }


def hmac_with(secret: bytes, **head: Any) -> str:
    signing_input = f"{encoded(header('HS256', **head))}.{encoded(claims())}"
    return f"{signing_input}.{encoded(hmac.digest(secret, signing_input.encode(), 'sha256'))}"


def es256_signed(signature: bytes) -> str:
    head = sign(header("ES256"), algorithm="ES256").rpartition(".")[0]
    return f"{head}.{base64url.encode(signature).decode()}"


def swapped(part: int) -> str:
    """A token with one part of another good one."""
    parts, others = sign().split("."), sign(header(kid=None), claims(sub="bert")).split(".")
    parts[part] = others[part]
    return ".".join(parts)


ATTACKER: Key = key_for("RS256", "attacker")
ATTACKER_JWK = {**ATTACKER.as_dict(private=False), "kid": "attacker", "alg": "RS256"}
ATTACKS: dict[str, str] = {
    **{f"alg {name}": unsigned(header(name)) for name in ("none", "None", "NONE", "nOnE", "", " none", "HS256", "RS1")},
    **{f"alg {name} without kid": unsigned(header(name, kid=None)) for name in ("none", "NONE")},
    "alg none and a signature": unsigned(header("none"), sign().rpartition(".")[2]),
    "alg as list": sign(header(alg=["RS256"])),
    "alg none as list": unsigned(header(alg=["none"])),
    **{f"public key as secret in {form}": hmac_with(text, kid="RS256") for form, text in public_texts().items()},
    **{f"the same without kid in {form}": hmac_with(text, kid=None) for form, text in public_texts().items()},
    "empty secret": hmac_with(b"", kid=None),
    "key of another": sign(key=key_for("RS256", "other")),
    "RS256 with the key of PS256": sign(header("RS256", kid="PS256")),
    "PS256 with the key of RS256": sign(header("PS256", kid="RS256"), algorithm="PS256"),
    "RS384 with the key of RS256": sign(header("RS384", kid="RS256"), algorithm="RS384"),
    "RS256 signature called PS256": sign(header("PS256")),
    "ES256 called ES384": sign(header("ES384"), algorithm="ES256"),
    "Ed448": unsigned(header("Ed448", kid="EdDSA"), "A" * 152),
    "ES256K": unsigned(header("ES256K", kid="ES256"), "A" * 86),
    "jwk in the header": sign(header(jwk=ATTACKER_JWK), key=ATTACKER),
    "jwk in the header and its kid": sign(header(jwk=ATTACKER_JWK, kid="attacker"), key=ATTACKER),
    "jku in the header": sign(header(jku="http://127.0.0.1:9/jwks"), key=ATTACKER),
    "x5u in the header": sign(header(x5u="http://127.0.0.1:9/cert"), key=ATTACKER),
    "x5c in the header": sign(header(x5c=["MIIB"]), key=ATTACKER),
    **{f"crit {value!r}": sign(header(crit=value)) for value in ([], ["exp"], ["b64"], ["x"], "b64", {}, True, 0)},
    "b64 false": sign(header(b64=False)),
    "b64 false and crit": sign(header(b64=False, crit=["b64"])),
    "ES256 of zeros": es256_signed(bytes(64)),
    "ES256 of r zero": es256_signed(bytes(32) + bytes([1] * 32)),
    "ES256 of s zero": es256_signed(bytes([1] * 32) + bytes(32)),
    "ES256 in DER": es256_signed(
        bytes.fromhex("3045022100") + bytes([1] * 32) + bytes.fromhex("0220") + bytes([1] * 32)
    ),
    "ES256 too short": es256_signed(bytes([1] * 63)),
    "ES256 too long": es256_signed(bytes([1] * 65)),
    "ES256 empty": es256_signed(b""),
    "padding": sign() + "=",
    "space": sign() + " ",
    "line end": sign() + "\n",
    "space within": sign().replace(".", ". "),
    "NUL": sign() + "\x00",
    "tab": "\t" + sign(),
    "no ASCII": sign() + "é",
    "duplicate in the header": sign(b'{"alg":"RS256","kid":"RS256","kid":"RS256"}'),
    "duplicate in the claims": sign(body=json.dumps(claims()).replace("{", '{"sub":"bert",', 1).encode()),
    **{f"kid {value!r}": sign(header(kid=value)) for value in (["RS256"], {"RS256": 1}, 1, True, "k" * 2000)},
    **{f"kid {value!r}": sign(header(kid=value)) for value in ("../x", "\x00", "__proto__", "", "RS256\x00", "rs256")},
    **{f"iss {value!r}": sign(body=claims(iss=value)) for value in ("", 1, [ISSUER], {ISSUER: 1}, True)},
    **{
        f"sub {value!r}"[:40]: sign(body=claims(sub=value))
        for value in ("", 1, ["a"], {"a": 1}, "s" * 11_000, "a\x00b")
    },
    "sub with a lone surrogate": sign(body=json.dumps(claims()).replace("anna", "\\ud800").encode()),
    **{f"exp {value!r}": sign(body=claims(exp=value)) for value in ("1", [1], {"a": 1}, True, -1, 0, 1e300)},
    **{
        f"exp {literal[:9]}": sign(body=json.dumps(claims()).replace("1800000300.0", literal).encode())
        for literal in ("NaN", "Infinity", "1e400", "-1e400", "9" * 4000, "9" * 5000, "null", "1800000300.0.0")
    },
    **{f"aud {value!r}": sign(body=claims(aud=value)) for value in ([], [1], {}, 1, True, [AUDIENCE, 1], "x")},
    "3 000 levels": sign(body=json.dumps(claims()).replace("{", '{"x":' + "[" * 3000 + "]" * 3000 + ",", 1).encode()),
    "9 000 levels, not closed": sign(body=b'{"x":' + b"[" * 9000),
    "claims that are a list": sign(body=b"[]"),
    "claims in UTF-16": sign(body=json.dumps(claims()).encode("utf-16")),
    "byte order mark": sign(body=b"\xef\xbb\xbf" + json.dumps(claims()).encode()),
    "JWE": "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA",
    "JSON serialization": json.dumps({"payload": "e30", "protected": "e30", "signature": ""}),
    "one part": "e30",
    "two parts": "e30.e30",
    "four parts": "e30.e30.e30.e30",
    "empty": "",
    "dots": "." * 16_384,
    "too long": sign() + "A" * 16_384,
    "detached": "{0}..{2}".format(*sign().split(".")),
    "no signature": sign().rpartition(".")[0] + ".",
    "header swapped": swapped(0),
    "payload swapped": swapped(1),
    "signature swapped": swapped(2),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_as_an_invalid_token(name: str) -> None:
    with pytest.raises(InvalidToken) as refusal:
        introspect(ATTACKS[name])

    description = str(refusal.value.description)
    assert all(" " <= character <= "~" and character not in '"\\' for character in description)


@pytest.mark.parametrize("form", ["PEM", "DER", "JWK"])
def test_a_secret_does_not_verify_what_a_private_key_signed(form: str) -> None:
    keys = StaticKeys.from_secret(SECRET, None)

    with pytest.raises(InvalidToken, match="no key of the issuer fits"):
        introspect(sign(), keys=keys)
    with pytest.raises(InvalidToken, match="the signature is wrong"):
        introspect(hmac_with(public_texts()[form]), keys=keys)


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "kid": "k", "alg": "HS256", "k": base64url.encode(SECRET.encode()).decode()},
        {"kty": "oct", "kid": "k", "k": base64url.encode(SECRET.encode()).decode()},
    ],
)
def test_a_symmetric_key_in_a_key_set_verifies_nothing(entry: dict[str, str]) -> None:
    keys = read_key_set({"keys": [entry, jwk("RS256")]}, ("RS256",))

    with pytest.raises(InvalidToken, match="no key of the issuer fits"):
        introspect(hmac_with(SECRET.encode(), kid="k"), keys=keys)
    assert introspect(sign(), keys=keys).subject == "anna"


@pytest.mark.requirement("RFC 8725", "3.3")
def test_every_bit_of_a_token_counts() -> None:
    token = sign(header("ES256"), algorithm="ES256")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    for position, character in enumerate(token):
        if character == ".":
            continue
        other = alphabet[alphabet.index(character) ^ 1]
        with pytest.raises(InvalidToken):
            introspect(token[:position] + other + token[position + 1 :])
