"""RFC 7515 to 7518, 8725 and 9864: signatures, the keys that verify them, and what is signed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from joserfc.jwk import Key, OKPKey, RSAKey

from flask_foreign_token.errors import Rejected
from flask_foreign_token.introspection import base64url
from flask_foreign_token.testing import Issuer

from ..apps import introspector, policy, secret_token, store, trusting_a_secret
from ..attacks.target import hmac_text
from ..conftest import MakeApp
from ..introspection.signing import encoded, header, jwk, key_for
from .clinic import Clinic, all_refused, refusal, said, statuses, token

SECRET = "s" * 32


def hmac_with(secret: bytes, **head: object) -> str:
    """Signed with HS256 and whatever octets stand for a secret."""
    return hmac_text(f"{encoded(header('HS256', **{'kid': None, **head}))}.{encoded(said())}", secret)


# ---- the form of a token


@pytest.mark.requirement("RFC 7515", "4")
def test_a_name_that_stands_there_twice_is_refused(clinic: Clinic) -> None:
    app = clinic.app()
    body = json.dumps(said())
    twice = [
        token(b'{"alg":"RS256","kid":"RS256","kid":"RS256"}'),
        token(b'{"alg":"RS256","alg":"RS256","kid":"RS256"}'),
        token(body=body.replace("{", '{"sub":"anna",', 1).encode()),
        token(body=body.replace("{", '{"x":{"a":1,"a":1},', 1).encode()),
    ]

    assert statuses(app, token(b'{"alg":"RS256","kid":"RS256"}'), token(body=body.encode())) == [200, 200]
    assert all_refused(app, twice)


@pytest.mark.requirement("RFC 7515", "4.1.11")
@pytest.mark.parametrize(
    "head",
    [
        {"crit": ["x"], "x": 1},
        {"crit": ["exp"], "exp": 9_999_999_999},
        {"crit": ["b64"], "b64": True},
        {"crit": []},
        {"crit": ["absent"]},
        {"crit": ["alg"]},
        {"crit": "alg"},
        {"crit": None},
    ],
)
def test_whatever_is_said_to_be_critical_is_refused(clinic: Clinic, head: dict[str, object]) -> None:
    app = clinic.app()

    assert all_refused(app, [token({**header(), **head})])
    assert statuses(app, token(header(x=1, exp=9_999_999_999))) == [200]


@pytest.mark.requirement("RFC 7515", "2")
@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("ending", ["=", "==", "~", "+", "/", "A"])
def test_base64url_has_no_padding_and_no_other_characters(clinic: Clinic, part: int, ending: str) -> None:
    app = clinic.app()
    good = token().split(".")
    good[part] += ending

    assert refusal(app, ".".join(good)) in [(400, "invalid_request"), (401, "invalid_token")]
    assert statuses(app, token()) == [200]


@pytest.mark.requirement("RFC 7519", "7.2")
@pytest.mark.requirement("RFC 8725", "3.7")
def test_header_and_claims_are_json_objects_in_utf_8(clinic: Clinic) -> None:
    app = clinic.app()
    good = {"name": "\u5f35 \U0001f600", **said()}
    text = json.dumps(good, ensure_ascii=False)
    odd = [
        token(body=text.encode("utf-16")),
        token(body=text.encode("utf-8-sig")),
        token(body=json.dumps({**good, "name": "M\u00fcller"}, ensure_ascii=False).encode("latin-1")),
        token(body=text.replace("\U0001f600", "\\ud83d").encode()),
        token(body=b"[]"),
        token(body=b'"text"'),
        token(body=b"null"),
        token(b'["alg"]'),
        token(json.dumps(header()).encode("utf-16")),
    ]

    assert statuses(app, token(body=text.encode())) == [200]
    assert all_refused(app, odd)


# ---- keys


def rsa_key(bits: int) -> tuple[dict[str, Any], Key]:
    private = rsa.generate_private_key(65537, bits)
    key = RSAKey.import_key(private)
    return {**key.as_dict(private=False), "kid": f"{bits}", "alg": "RS256"}, key


@pytest.mark.filterwarnings("ignore:.*:joserfc.errors.SecurityWarning")
@pytest.mark.requirement("RFC 7518", "3.3")
def test_an_rsa_key_has_2048_bits(clinic: Clinic) -> None:
    (short, short_key), (long, long_key) = rsa_key(2040), rsa_key(2048)
    app = clinic.app(short, long)

    assert all_refused(app, [token(header(kid="2040"), key=short_key), token(header(kid=None), key=short_key)])
    assert statuses(app, token(header(kid="2048"), key=long_key)) == [200]


@pytest.mark.requirement("RFC 7518", "3.2")
@pytest.mark.requirement("RFC 8725", "3.5")
@pytest.mark.parametrize(
    ("algorithm", "secret", "status"),
    [
        ("HS256", "s" * 32, 200),
        ("HS256", "s" * 31, 503),
        ("HS256", "correct horse battery", 503),
        ("HS384", "s" * 48, 200),
        ("HS384", "s" * 47, 503),
        ("HS512", "s" * 64, 200),
        ("HS512", "s" * 63, 503),
    ],
)
def test_a_secret_that_is_shorter_than_its_hash_verifies_nothing(
    make_app: MakeApp, issuer: Issuer, algorithm: str, secret: str, status: int
) -> None:
    app = make_app(trusting_a_secret(jwt={"secret": secret, "algorithms": [algorithm]}))

    assert statuses(app, secret_token(issuer, secret=secret, algorithm=algorithm)) == [status]


@pytest.mark.requirement("RFC 7518", "3.2")
@pytest.mark.parametrize("secret", ["", " ", "\t\n" * 20])
def test_a_secret_that_was_never_set_verifies_nothing(clinic: Clinic, make_app: MakeApp, secret: str) -> None:
    app = make_app(clinic.resources(jwt={"secret": secret}))

    assert statuses(app, hmac_with(secret.encode()), hmac_with(SECRET.encode())) == [503, 503]


@pytest.mark.requirement("RFC 7518", "3.4")
def test_a_signature_of_ecdsa_has_the_length_of_its_curve(clinic: Clinic) -> None:
    app = clinic.app(*map(jwk, ("ES256", "ES384", "ES512")))

    for algorithm, length in (("ES256", 64), ("ES384", 96), ("ES512", 132)):
        good = token(algorithm=algorithm)
        head, _, tail = good.rpartition(".")
        signature = base64url.decode(tail.encode())
        half = length // 2
        others = [
            signature + b"\0",
            b"\0" + signature,
            signature[:-1],
            signature[:half] + b"\0" + signature[half:],
            b"\0" + signature[:half] + b"\0" + signature[half:],
            bytes(length),
            b"",
            bytes([0x30, length + 4, 2, half]) + signature[:half] + bytes([2, half]) + signature[half:],
        ]

        assert len(signature) == length
        assert statuses(app, good) == [200]
        assert all_refused(app, [f"{head}.{base64url.encode(other).decode()}" for other in others])


@pytest.mark.requirement("RFC 9864", "2.2")
def test_ed25519_goes_by_its_name_and_the_old_one_and_neither_means_ed448(clinic: Clinic) -> None:
    other = OKPKey.import_key(ed448.Ed448PrivateKey.generate())
    named, old = jwk("Ed25519", alg="Ed25519", kid="named"), jwk("EdDSA", kid="old")
    app = clinic.app(named, old, {**other.as_dict(private=False), "kid": "other", "alg": "EdDSA"})

    good = [
        token(header(name, kid=kid), algorithm="Ed25519", key=key_for("EdDSA"))
        for name in ("Ed25519", "EdDSA")
        for kid in ("named", "old")
    ]
    assert statuses(app, *good) == [200] * 4
    signing_input = f"{encoded(header('EdDSA', kid='other'))}.{encoded(said())}"
    signature = other.private_key.sign(signing_input.encode())  # type: ignore[union-attr]
    assert all_refused(app, [f"{signing_input}.{base64url.encode(signature).decode()}"])


@pytest.mark.requirement("RFC 7517", "4.2, 4.3")
@pytest.mark.parametrize(
    "members", [{"use": "enc"}, {"use": None, "key_ops": ["encrypt"]}, {"key_ops": ["sign"]}, {"use": "other"}]
)
def test_a_key_for_another_use_verifies_nothing(clinic: Clinic, members: dict[str, object]) -> None:
    app = clinic.app(jwk("RS256", **members), jwk("ES256"))

    assert all_refused(app, [token(), token(header(kid=None))])
    assert statuses(app, token(algorithm="ES256")) == [200]


@pytest.mark.requirement("RFC 7517", "5")
def test_keys_of_no_use_do_not_keep_the_others_from_serving(clinic: Clinic) -> None:
    odd = [
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "a"},
        {"kty": "EC", "crv": "P-192", "x": "AAAA", "y": "AAAA", "kid": "b"},
        jwk("RS256", "c", e=None),
        {"kty": "RSA", "x5c": ["MIIB"], "kid": "d"},
        {**jwk("RS256"), "kid": "k" * 500_000},
        None,
        7,
        "key",
        [],
        {},
    ]
    app = clinic.app(*odd, jwk("RS256"), *odd)

    assert statuses(app, token()) == [200]


# ---- algorithms


@pytest.mark.requirement("RFC 8725", "3.1")
def test_none_but_the_algorithms_of_the_introspector_are_used(clinic: Clinic) -> None:
    app = clinic.app(jwk("RS256"), jwk("ES256"), jwt={"algorithms": ["ES256"]})

    assert all_refused(app, [token(), token(header(kid=None))])
    assert statuses(app, token(algorithm="ES256")) == [200]


@pytest.mark.requirement("RFC 8725", "3.1", 2)
@pytest.mark.parametrize("stated", ["RS256", None])
def test_a_key_serves_one_algorithm(clinic: Clinic, stated: str | None) -> None:
    app = clinic.app(jwk("RS256", alg=stated))
    others = [token(header(name, kid="RS256"), algorithm=name) for name in ("RS384", "RS512", "PS256", "PS512")]

    assert all_refused(app, others)
    assert statuses(app, token()) == [200]


@pytest.mark.requirement("RFC 8725", "3.1", 2)
def test_of_several_algorithms_a_key_that_states_none_serves_one(clinic: Clinic) -> None:
    app = clinic.app(jwk("RS256", alg=None), jwt={"algorithms": ["PS256", "RS256"]})

    served = statuses(app, token(), token(header("PS256", kid="RS256"), algorithm="PS256"))

    assert sorted(served) == [200, 401]


@pytest.mark.requirement("RFC 8725", "3.2")
@pytest.mark.parametrize("name", ["none", "None", "RS1", "HS1", "RSA1_5", "ES256K", "MD5", "dir", ""])
def test_algorithms_that_are_not_current_are_neither_taken_nor_allowed(
    clinic: Clinic, make_app: MakeApp, name: str
) -> None:
    app = clinic.app(jwk("RS256"), jwk("RS256", name, alg=name))
    signing_input = f"{encoded(header(name))}.{encoded(said())}"

    unsigned = [f"{signing_input}.", f"{signing_input}.{token().rpartition('.')[2]}", token(header(name))]
    assert all_refused(app, unsigned)
    with pytest.raises(Rejected, match=r"jwt\.algorithms"):
        store(make_app(), clinic.resources(jwt={"algorithms": [name]}))


@pytest.mark.requirement("RFC 8725", "3.3")
def test_a_signature_that_does_not_hold_refuses_the_whole_token(clinic: Clinic) -> None:
    app = clinic.app(*map(jwk, ("RS256", "PS256", "ES256", "EdDSA")))

    for algorithm in ("RS256", "PS256", "ES256", "EdDSA"):
        good, other = token(algorithm=algorithm), token(algorithm=algorithm, sub="bert")
        head, body, signature = good.split(".")
        forged = [
            f"{head}.{other.split('.')[1]}.{signature}",
            f"{head}.{body}.{other.split('.')[2]}",
            f"{head}.{body}.",
            token(algorithm=algorithm, key=key_for(algorithm, "another")),
        ]

        assert statuses(app, good) == [200]
        assert all_refused(app, forged)


# ---- symmetric and asymmetric


@pytest.mark.requirement("RFC 8725", "3.1")
def test_a_public_key_is_no_secret(clinic: Clinic, make_app: MakeApp) -> None:
    key: Any = key_for("RS256")
    texts = [key.as_pem(private=False), key.as_der(private=False), json.dumps(key.as_dict(private=False)).encode()]
    app = clinic.app()

    assert all_refused(app, [hmac_with(text, kid=kid) for text in texts for kid in ("RS256", None)])
    assert statuses(app, token()) == [200]
    stored = make_app(clinic.resources(jwt={"secret": texts[0].decode()}))
    assert statuses(stored, hmac_with(texts[0])) == [503]


@pytest.mark.requirement("RFC 8725", "3.1")
def test_a_symmetric_key_that_is_published_verifies_nothing(clinic: Clinic) -> None:
    published = {"kty": "oct", "k": base64url.encode(SECRET.encode()).decode(), "kid": "k", "alg": "HS256"}
    app = clinic.app(published, jwk("RS256"))

    assert all_refused(app, [hmac_with(SECRET.encode(), kid=kid) for kid in ("k", None)])
    assert statuses(app, token()) == [200]


def test_another_introspector_is_not_harmed_by_a_secret_that_cannot_be_used(make_app: MakeApp, issuer: Issuer) -> None:
    resources = [
        *trusting_a_secret(policy("all")),
        introspector("short", None, jwt={"iss": "https://short.example", "secret": "short"}),
    ]

    assert statuses(make_app(resources), secret_token(issuer)) == [200]
