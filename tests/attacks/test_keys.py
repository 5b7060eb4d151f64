"""Only a key that an introspector vouches for verifies, and for its own issuer only (RFC 8725, 3.8 and 3.10)."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from flask_foreign_token.introspection import base64url

from ..apps import SECRET, SECRET_ISSUER
from ..conftest import MakeApp
from ..introspection.provider import Provider, running
from ..introspection.signing import jwk, key_for
from ..publishing import Publisher, publishing
from .target import Target, assert_refused, by_secret, claims, encoded, hmac_text, present, sign_text, trusting

THIEF = RSAKey.generate_key(2048, {"alg": "RS256", "use": "sig"}, auto_kid=True)
THIEVES = {
    "RS256": THIEF,
    "ES256": ECKey.generate_key("P-256", auto_kid=True),
    "EdDSA": OKPKey.generate_key("Ed25519", auto_kid=True),
}


# ---- keys of others


@pytest.mark.parametrize("algorithm", THIEVES)
@pytest.mark.parametrize("kid", ["the issuer's", None])
def test_a_key_of_nobody_is_refused(target: Target, algorithm: str, kid: str | None) -> None:
    head = target.header(algorithm) if kid else target.header(algorithm, kid=None)

    target.lets_in(target.sign(head, algorithm=algorithm))
    target.refuses(target.sign(head, algorithm=algorithm, key=THIEVES[algorithm]))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_of_another_introspector_is_refused(target: Target, algorithm: str) -> None:
    others = target.other.keys.find(algorithm)
    target.lets_in(target.other.token(algorithm=algorithm))

    for own, foreign in ((target.key(algorithm).kid, others.kid), (None, None)):
        target.refuses(target.sign(target.header(algorithm, kid=own), algorithm=algorithm, key=others))
        target.refuses(target.sign(target.header(algorithm, kid=foreign), claims(target.other.issuer), algorithm))


def test_the_kid_of_a_key_of_another_introspector_is_refused(target: Target) -> None:
    # The issuer is asked whether it has a new key of that name, as often as its bucket allows, and no other is.
    asked = target.other.requests.total()

    token = target.other.token(iss=target.issuer.issuer)

    assert_refused(present(target.app, f"Bearer {token}"))
    assert target.other.requests.total() == asked


def test_a_secret_of_another_introspector_is_refused(target: Target) -> None:
    target.lets_in(by_secret())

    for kid in (target.key().kid, None):
        text = f"{encoded(target.header(alg='HS256', kid=kid))}.{encoded(target.claims())}"
        target.refuses(hmac_text(text, SECRET.encode()))


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_does_not_speak_for_an_issuer_with_a_secret(target: Target, algorithm: str) -> None:
    target.refuses(target.sign(body=claims(SECRET_ISSUER), algorithm=algorithm))


# ---- keys that a token brings along or points to


@pytest.fixture(scope="module")
def trap() -> Iterator[Publisher]:
    """A thief's server, which has all that a careless reader could ask it for."""
    with publishing() as publisher:
        document = {"keys": [THIEF.as_dict(private=False)], "jwks_uri": f"{publisher.origin}/jwks"}
        for path in ("/jwks", "/.well-known/jwks.json", "/.well-known/openid-configuration"):
            publisher.publish(path, {**document, "issuer": publisher.origin})
        publisher.publish("/certificate", certificate())
        yield publisher


def certificate() -> str:
    """The thief's key in a certificate that the thief signed, in PEM."""
    key = THIEF.private_key
    assert isinstance(key, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "thief")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    signed = builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def pointers(origin: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Headers by which a token says where its key is."""
    public, der = THIEF.as_dict(private=False), "".join(certificate().splitlines()[1:-1])
    thumbprint = base64.urlsafe_b64encode(b"t" * 32).decode().rstrip("=")
    yield "jku", {"jku": f"{origin}/jwks"}
    yield "jku as a list", {"jku": [f"{origin}/jwks"]}
    yield "jku with a user", {"jku": f"http://127.0.0.1@{origin.removeprefix('http://')}/jwks"}
    yield "jku of a file", {"jku": "file:///etc/passwd"}
    yield "x5u", {"x5u": f"{origin}/certificate"}
    yield "jwk", {"jwk": public}
    yield "jwk with a private part", {"jwk": THIEF.as_dict(private=True)}
    yield "jwk as a list", {"jwk": [public]}
    yield "jwk that is a secret", {"jwk": OctKey.import_key(SECRET).as_dict(private=True)}
    yield "x5c", {"x5c": [der]}
    yield "x5c as a text", {"x5c": der}
    yield "x5t", {"x5t": thumbprint, "x5t#S256": thumbprint}
    yield "all of them", {"jku": f"{origin}/jwks", "x5u": f"{origin}/certificate", "jwk": public, "x5c": [der]}
    yield "kid as an address", {"kid": f"{origin}/jwks"}
    yield "iss in the header", {"iss": origin}


@pytest.mark.parametrize("kid", ["the issuer's", "the thief's", None])
def test_a_key_that_a_token_brings_or_points_to_is_not_looked_at(
    target: Target, trap: Publisher, kid: str | None
) -> None:
    key_id = {"the issuer's": target.key().kid, "the thief's": THIEF.kid}.get(str(kid))

    for _name, pointer in pointers(trap.origin):
        head = {**target.header(kid=key_id), **pointer}
        assert_refused(present(target.app, f"Bearer {target.sign(head, key=THIEF)}"))

    assert trap.asked == []


def test_a_good_token_may_carry_them_and_they_are_not_looked_at(target: Target, trap: Publisher) -> None:
    for name, pointer in pointers(trap.origin):
        if name != "kid as an address":
            target.lets_in(target.sign({**target.header(), **pointer}))

    assert trap.asked == []


@pytest.mark.parametrize("claim", ["iss", "jku", "jwks_uri", "x5u", "_claim_sources", "aud", "sub"])
def test_an_address_in_the_claims_is_not_called(target: Target, trap: Publisher, claim: str) -> None:
    for address in (trap.origin, f"{trap.origin}/jwks", f"{trap.origin}/.well-known/openid-configuration"):
        target.refuses(target.sign(body=target.claims(**{claim: address}), key=THIEF))

    assert trap.asked == []


def test_an_issuer_that_nobody_registered_is_not_called(target: Target, trap: Publisher) -> None:
    for kid in (THIEF.kid, target.key().kid, None):
        target.refuses(target.sign(target.header(kid=kid), claims(trap.origin), key=THIEF))

    assert trap.asked == []


# ---- names of keys

UNKNOWN_KEY_IDS = {
    "a path": "../../../../dev/null",
    "the issuer's with a NUL": "{kid}\x00",
    "the issuer's in capitals": "{KID}",
    "the issuer's after a space": " {kid}",
    "SQL": "x' UNION SELECT 'AAAA' --",
    "a command": "key|/usr/bin/id",
    "a prototype": "__proto__",
    "a NUL": "\x00",
    "nothing": "",
    "1 024 characters": "k" * 1024,
    "another script": "\u5f35\U0001f600",
    "an attribute": "__class__",
    "a format": "{0.__class__}%s%n",
}


@pytest.mark.parametrize("name", UNKNOWN_KEY_IDS.values(), ids=UNKNOWN_KEY_IDS.keys())
def test_the_name_of_a_key_does_nothing_but_choose(target: Target, name: str) -> None:
    kid = str(target.key().kid)
    name = name.replace("{kid}", kid).replace("{KID}", kid.swapcase())
    for key in (None, THIEF):
        answer = present(target.app, f"Bearer {target.sign(target.header(kid=name), key=key)}")
        assert_refused(answer)
    target.lets_in(target.sign())


def test_a_flood_of_invented_names_is_not_passed_on(target: Target) -> None:
    before = target.issuer.requests["jwks"]

    for number in range(200):
        token = target.sign(target.header(kid=f"invented-{number}"), key=THIEF)
        assert_refused(present(target.app, f"Bearer {token}"))

    # What the bucket holds, and what flows into it meanwhile.
    assert target.issuer.requests["jwks"] - before <= 5
    target.lets_in(target.sign())


# ---- keys in a key set that must not serve


Signer = Callable[[str], str]


class Unfit(NamedTuple):
    """A key as it is published, and a signature that it would verify if it served."""

    algorithm: str
    jwk: dict[str, Any]
    sign: Signer


def rsa_of(bits: int) -> Unfit:
    private = rsa.generate_private_key(65537, bits)
    numbers = private.public_key().public_numbers()
    n, e = (base64url.encode(number.to_bytes((number.bit_length() + 7) // 8)) for number in (numbers.n, numbers.e))

    def sign(text: str) -> str:
        # Not by the library, which warns of such a key.
        return f"{text}.{encoded(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    described = {"kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", "n": n.decode(), "e": e.decode()}
    return Unfit("RS256", described, sign)


def by(algorithm: str, name: str) -> Signer:
    return lambda text: sign_text(text, algorithm, key_for(algorithm, name))


def by_shared_secret(text: str) -> str:
    return hmac_text(text, SECRET.encode())


def oct_(**members: object) -> Unfit:
    k = base64url.encode(SECRET.encode()).decode()
    return Unfit("HS256", {"kty": "oct", "kid": "k", "alg": "HS256", "k": k, **members}, by_shared_secret)


def published(algorithm: str, name: str, **members: object) -> Unfit:
    """A key of its own that signs with `algorithm`, published with `members`."""
    return Unfit(algorithm, jwk(algorithm, "k", name, **members), by(algorithm, name))


UNFIT: dict[str, Unfit] = {
    "oct": oct_(),
    "oct for signatures": oct_(use="sig", key_ops=["verify"]),
    "oct of nothing": oct_(k="")._replace(sign=lambda text: hmac_text(text, b"")),
    "oct called RS256": oct_(alg="RS256"),
    "RSA with a secret": published("RS256", "1", alg="HS256", k="AAAA")._replace(
        algorithm="HS256", sign=lambda text: hmac_text(text, bytes(3))
    ),
    "for encryption": published("RS256", "2", use="enc"),
    "for encryption, EC": published("ES256", "3", use="enc"),
    "for encryption by key_ops": published("RS256", "4", use=None, key_ops=["encrypt", "wrapKey"]),
    "for signing only": published("RS256", "5", key_ops=["sign"]),
    "for another purpose": published("RS256", "6", alg="RSA-OAEP"),
    "for none": published("RS256", "7", alg="none"),
    "for another curve": published("ES384", "8", alg="ES256"),
    "called by a kind in small letters": published("RS256", "9", kty="rsa"),
    "with a kid that is a number": published("RS256", "10", kid=7),
    "without alg, for PS256": published("PS256", "11", alg=None),
    "1024 bits": rsa_of(1024),
    "2047 bits": rsa_of(2047),
}


@pytest.fixture
def provider() -> Iterator[Provider]:
    with running(Provider()) as provider:
        yield provider


def signed_by(provider: Provider, sign: Signer, **head: object) -> str:
    given = {name: value for name, value in head.items() if value is not None}
    return sign(f"{encoded(given)}.{encoded(claims(provider.url))}")


@pytest.mark.parametrize("unfit", UNFIT.values(), ids=UNFIT.keys())
def test_a_key_that_must_not_serve_is_skipped_and_the_others_serve(
    make_app: MakeApp, provider: Provider, unfit: Unfit
) -> None:
    provider.serve(unfit.jwk, jwk("RS256", "healthy"))
    app = make_app(trusting(provider))
    good = signed_by(provider, by("RS256", "current"), alg="RS256", kid="healthy")
    assert present(app, f"Bearer {good}").status_code == 200

    for kid in {unfit.jwk["kid"], "healthy", None} - {7}:
        assert_refused(present(app, f"Bearer {signed_by(provider, unfit.sign, alg=unfit.algorithm, kid=kid)}"))

    assert present(app, f"Bearer {good}").status_code == 200
    assert provider.requests == 1


@pytest.mark.parametrize("kid", ["k", "healthy", None])
def test_all_of_them_in_one_set_leave_the_healthy_key(make_app: MakeApp, provider: Provider, kid: str | None) -> None:
    junk: list[Any] = [None, 1, "key", [], {}, {"kty": "EC"}, {"kty": "RSA", "x5c": ["MIIB"]}, {"kid": "k" * 100_000}]
    provider.serve(*junk, *(unfit.jwk for unfit in UNFIT.values()), jwk("RS256", "healthy"))
    app = make_app(trusting(provider))

    for unfit in UNFIT.values():
        assert_refused(present(app, f"Bearer {signed_by(provider, unfit.sign, alg=unfit.algorithm, kid=kid)}"))

    good = signed_by(provider, by("RS256", "current"), alg="RS256", kid=kid and "healthy")
    assert present(app, f"Bearer {good}").status_code == 200
    assert provider.requests == 1


def test_an_rsa_key_of_2048_bits_serves(make_app: MakeApp, provider: Provider) -> None:
    long_enough = rsa_of(2048)
    provider.serve(long_enough.jwk)

    token = signed_by(provider, long_enough.sign, alg="RS256", kid="k")

    assert present(make_app(trusting(provider)), f"Bearer {token}").status_code == 200


def test_a_flood_of_invented_names_ahead_of_the_first_good_token_is_not_passed_on(
    make_app: MakeApp, provider: Provider
) -> None:
    provider.serve(jwk("RS256", "healthy"))
    app = make_app(trusting(provider))

    for number in range(50):
        forged = signed_by(provider, by("RS256", "thief"), alg="RS256", kid=f"invented-{number}")
        assert_refused(present(app, f"Bearer {forged}"))

    # The first keys, what the bucket holds, and what flows into it meanwhile.
    assert provider.requests <= 6
    good = signed_by(provider, by("RS256", "current"), alg="RS256", kid="healthy")
    assert present(app, f"Bearer {good}").status_code == 200
