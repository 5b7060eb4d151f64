"""A token of any malformation is refused as the caller's mistake: 401 or 400, never let in, never a 5xx."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from joserfc.jwk import RSAKey

from flask_foreign_token.testing import Issuer

from .apps import AUDIENCE, SECRET, SECRET_ISSUER, ask, policy, protected, trusting, trusting_a_secret
from .conftest import MakeApp

HEADER = {"alg": "HS256", "typ": "JWT"}
CLAIMS = {"iss": SECRET_ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 3600}
Part = bytes | str | dict[str, Any]


def encode(part: Part) -> str:
    raw = part if isinstance(part, bytes) else (part if isinstance(part, str) else json.dumps(part)).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(header: str, payload: str, digest: str = "sha256") -> str:
    """Two segments as they stand, and a signature that is right for them."""
    signature = hmac.new(SECRET.encode(), f"{header}.{payload}".encode(), digest).digest()
    return f"{header}.{payload}.{encode(signature)}"


def signed(header: Part = HEADER, payload: Part = CLAIMS) -> str:
    return sign(encode(header), encode(payload))


def with_header(**parameters: object) -> str:
    return signed({**HEADER, **parameters})


def with_claims(**claims: object) -> str:
    return signed(payload={**CLAIMS, **claims})


def raw_claim(text: str) -> str:
    """The good claims and one more member, as text."""
    return signed(payload=json.dumps(CLAIMS)[:-1] + ", " + text + "}")


def raw_header(text: str) -> str:
    return signed('{"alg": "HS256", ' + text + "}")


def but(name: str) -> dict[str, Any]:
    return {claim: value for claim, value in CLAIMS.items() if claim != name}


GOOD = signed()
HEAD, BODY, SIGNATURE = GOOD.split(".")
DEEP = "[" * 5000 + "]" * 5000

SEGMENTS = {
    "one segment": "a",
    "two segments": f"{HEAD}.{BODY}",
    "four segments": f"{GOOD}.{SIGNATURE}",
    "five segments, a JWE": f"{HEAD}.{BODY}.{SIGNATURE}.a.b",
    "dots only": "..",
    "many dots": "." * 4000,
    "no header": f".{BODY}.{SIGNATURE}",
    "no payload": f"{HEAD}..{SIGNATURE}",
    "no signature": f"{HEAD}.{BODY}.",
    "a dot before": f".{GOOD}",
    "a dot behind": f"{GOOD}.",
    "a flipped signature": f"{HEAD}.{BODY}.{encode(bytes(32))}",
    "a signature of half the length": sign(HEAD, BODY)[:-22],
    "a signature with more behind": f"{GOOD}AAAA",
    "payload of another token": f"{HEAD}.{encode({**CLAIMS, 'sub': 'root'})}.{SIGNATURE}",
}
BASE64 = {
    "a padded header": sign(HEAD + "=", BODY),
    "a padded payload": sign(HEAD, BODY + "="),
    "a padded signature": f"{GOOD}=",
    "the other alphabet": sign(
        HEAD, encode({**CLAIMS, "x": "\u00ff\u00fe~~~???>>>"}).replace("-", "+").replace("_", "/") + "+"
    ),
    "a segment of five characters": sign("eyJhb", BODY),
    "a tilde": sign(HEAD, BODY + "~"),
    "a space": f"{HEAD}. {BODY}.{SIGNATURE}",
    "a line break": f"{HEAD}.{BODY}.{SIGNATURE}\\n",
    "a percent sign": f"{HEAD}%2E{BODY}.{SIGNATURE}",
    "an umlaut": f"{HEAD}.\u00e4{BODY}.{SIGNATURE}",
    "bits left over": f"{HEAD}.{BODY}.{SIGNATURE[:-1]}{chr(ord(SIGNATURE[-1]) + 1)}",
}
JSON = {
    "a header that is no JSON": signed("alg"),
    "a header that is a list": signed("[]"),
    "a header that is a text": signed('"HS256"'),
    "a header that is null": signed("null"),
    "a header of nothing": signed("{}"),
    "a payload that is no JSON": signed(payload="{"),
    "a payload that is a list": signed(payload="[]"),
    "a payload that is a number": signed(payload="1"),
    "a payload that is null": signed(payload="null"),
    "a payload of nothing": signed(payload="{}"),
    "a byte order mark": signed(payload=b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode()),
    "UTF-16": signed(payload=json.dumps(CLAIMS).encode("utf-16")),
    "bytes that are no UTF-8": signed(payload=json.dumps(CLAIMS).encode()[:-1] + b', "x": "\xff"}'),
    "a lone surrogate": raw_claim(r'"x": "\ud800"'),
    "a NUL outside a text": signed(payload=json.dumps(CLAIMS) + "\0"),
    "a comma too many": signed(payload=json.dumps(CLAIMS)[:-1] + ",}"),
    "something behind": signed(payload=json.dumps(CLAIMS) + "{}"),
    "single quotes": signed(payload=json.dumps(CLAIMS).replace('"', "'")),
    "a member twice": raw_claim('"sub": "root"'),
    "a member of a member twice": raw_claim('"x": {"y": 1, "y": 2}'),
    "a header parameter twice": raw_header('"alg": "HS256"'),
    "NaN": raw_claim('"x": NaN'),
    "Infinity": raw_claim('"x": -Infinity'),
    "a number beyond all": raw_claim('"x": 1e400'),
    "an integer of 5000 digits": raw_claim('"x": ' + "9" * 5000),
    "deep nesting": raw_claim(f'"x": {DEEP}'),
    "deep nesting in the header": raw_header(f'"x": {DEEP}'),
    "deep nesting alone": signed(payload=DEEP),
}
HEADERS = {
    "no alg": signed({"typ": "JWT"}),
    "alg none": f"{encode({'alg': 'none'})}.{BODY}.",
    "alg none, signed": with_header(alg="none"),
    "alg nOnE": with_header(alg="nOnE"),
    "alg of nothing": with_header(alg=""),
    "alg null": with_header(alg=None),
    "alg a number": with_header(alg=256),
    "alg a list": with_header(alg=["HS256"]),
    "alg an object": with_header(alg={"HS256": 1}),
    "alg in small letters": with_header(alg="hs256"),
    "alg unknown": with_header(alg="HS257"),
    "alg of another kind of key": with_header(alg="RS256"),
    "alg of encryption": with_header(alg="dir", enc="A256GCM"),
    "crit unknown": with_header(crit=["x"], x=1),
    "crit empty": with_header(crit=[]),
    "crit a text": with_header(crit="alg"),
    "crit null": with_header(crit=None),
    "crit naming a standard parameter": with_header(crit=["alg"]),
    "crit naming what is absent": with_header(crit=["exp"]),
    "b64 false": with_header(b64=False, crit=["b64"]),
    "b64 false without crit": with_header(b64=False),
    "kid a number": with_header(kid=7),
    "kid a list": with_header(kid=["a"]),
    "kid an object": with_header(kid={"a": 1}),
    "kid true": with_header(kid=True),
    "kid null": with_header(kid=None),
}
NUMBERS = {"a text": "9999999999", "true": True, "null": None, "a list": [9999999999], "an object": {"a": 1}}
CLAIM_TYPES = {
    **{f"exp {name}": with_claims(exp=value) for name, value in NUMBERS.items()},
    **{f"nbf {name}": with_claims(nbf=value) for name, value in NUMBERS.items() if name != "a text"},
    "nbf a text": with_claims(nbf="1"),
    "iat a text": with_claims(iat="1"),
    "exp absent": signed(payload=but("exp")),
    "exp zero": with_claims(exp=0),
    "exp negative": with_claims(exp=-1),
    "exp a huge negative": with_claims(exp=-(10**400)),
    "exp NaN": signed(payload=json.dumps(but("exp"))[:-1] + ', "exp": NaN}'),
    "exp Infinity": signed(payload=json.dumps(but("exp"))[:-1] + ', "exp": Infinity}'),
    "exp 1e400": signed(payload=json.dumps(but("exp"))[:-1] + ', "exp": 1e400}'),
    "nbf huge": with_claims(nbf=10**400),
    "iss absent": signed(payload=but("iss")),
    "iss null": with_claims(iss=None),
    "iss a number": with_claims(iss=1),
    "iss a list": with_claims(iss=[SECRET_ISSUER]),
    "iss an object": with_claims(iss={SECRET_ISSUER: 1}),
    "iss of nothing": with_claims(iss=""),
    "aud a number": with_claims(aud=1),
    "aud null": with_claims(aud=None),
    "aud an object": with_claims(aud={AUDIENCE: 1}),
    "aud of nothing": with_claims(aud=[]),
    "aud a list with a number": with_claims(aud=[1]),
    "aud a list in a list": with_claims(aud=[[AUDIENCE]]),
    "sub absent": signed(payload=but("sub")),
    "sub null": with_claims(sub=None),
    "sub of nothing": with_claims(sub=""),
    "sub a number": with_claims(sub=7),
    "sub true": with_claims(sub=True),
    "sub a list": with_claims(sub=["ann"]),
    "sub an object": with_claims(sub={"ann": 1}),
}
ALL = {**SEGMENTS, **BASE64, **JSON, **HEADERS, **CLAIM_TYPES}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Flask:
    """Lets in whoever it can verify; nothing is written by tokens that are refused, so that all share it."""
    folder = tmp_path_factory.mktemp("app")
    app = Flask("clinic", root_path=str(folder), instance_path=str(folder / "instance"))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    return protected(app, [*trusting_a_secret(policy("all")), *trusting(issuer, name="second")[:2]])


def test_the_token_that_all_others_are_made_from_is_good(app: Flask) -> None:
    assert ask(app, GOOD).json == {"subject": "ann"}


@pytest.mark.parametrize("token", ALL.values(), ids=ALL.keys())
def test_a_malformed_token_is_the_callers_mistake(app: Flask, caplog: pytest.LogCaptureFixture, token: str) -> None:
    answer = ask(app, token)

    assert answer.status_code in (400, 401)
    assert answer.json["error"] in ("invalid_token", "invalid_request")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert not [record for record in caplog.records if record.exc_info]


def test_there_are_many_of_them() -> None:
    assert len(ALL) > 60


# ---- attacks that need the issuer


def hs256_with_the_public_key(issuer: Issuer) -> str:
    """The issuer's public RSA key, as the text that careless libraries take for an HMAC secret."""
    public = issuer.keys.find("RS256").as_pem(private=False)
    header, payload, _ = issuer.token().split(".")
    header = encode({"alg": "HS256", "kid": issuer.key_id()})
    return f"{header}.{payload}.{encode(hmac.new(public, f'{header}.{payload}'.encode(), 'sha256').digest())}"


def signed_as(algorithm: str) -> Callable[[Issuer], str]:
    """With the issuer's key for RS256, in a way that it is not for."""

    def attack(issuer: Issuer) -> str:
        key = issuer.keys.find("RS256").as_dict(private=True)
        free = RSAKey.import_key({name: value for name, value in key.items() if name not in ("alg", "use", "key_ops")})
        return issuer.token(algorithm=algorithm, key=free, headers={"kid": issuer.key_id()})

    return attack


THIEF = RSAKey.generate_key(2048, auto_kid=True)
ATTACKS: dict[str, Callable[[Issuer], str]] = {
    "HS256 with the public key": hs256_with_the_public_key,
    "unsigned": lambda issuer: issuer.token(algorithm="none"),
    "a key of its own in the header": lambda issuer: issuer.token(
        key=THIEF, headers={"jwk": THIEF.as_dict(private=False), "kid": THIEF.kid}
    ),
    "a key of its own under our kid": lambda issuer: issuer.token(key=THIEF, headers={"kid": issuer.key_id()}),
    "a key set of its own": lambda issuer: issuer.token(
        key=THIEF, headers={"jku": "https://thief.example/jwks", "x5u": "https://thief.example/x5u"}
    ),
    "the kid of a key of another kind": lambda issuer: issuer.token(headers={"kid": issuer.key_id("ES256")}),
    "PS256 with a key for RS256": signed_as("PS256"),
    "RS512 with a key for RS256": signed_as("RS512"),
    "signed for another issuer": lambda issuer: issuer.token(iss=SECRET_ISSUER),
    **{
        f"kid {name}": (lambda issuer, kid=kid: issuer.token(key=THIEF, headers={"kid": kid}))
        for name, kid in {
            "a path": "../../../../dev/null",
            "with SQL": "x' UNION SELECT 'a' --",
            "with a NUL": "a\0b",
            "long": "k" * 4000,
            "of a prototype": "__proto__",
            "of nothing": "",
            "a number": 1,
            "a list": [1],
        }.items()
    },
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_forged_token_is_refused(app: Flask, issuer: Issuer, attack: Callable[[Issuer], str]) -> None:
    answer = ask(app, attack(issuer))

    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")


def test_a_flood_of_unknown_kids_does_not_become_a_flood_of_fetches(make_app: MakeApp, own_issuer: Issuer) -> None:
    app = make_app(trusting(own_issuer))

    answers = {ask(app, own_issuer.token(key=THIEF, headers={"kid": f"k{n}"})).status_code for n in range(50)}

    assert answers <= {401, 503}
    assert own_issuer.requests["jwks"] <= 10
    assert ask(app, own_issuer.token()).status_code == 200


# ---- odd, and not wrong

ODD = {
    "exp with a fraction": with_claims(exp=time.time() + 600.25),
    "exp far away": with_claims(exp=253402300799),
    "exp in the notation of floats": signed(payload=json.dumps(but("exp"))[:-1] + ', "exp": 4.0e9}'),
    "a very long subject": with_claims(sub="s" * 5000),
    "a subject with a NUL": with_claims(sub="a\0b"),
    "a subject of control characters": with_claims(sub="\u202e\u0007\n"),
    "an azp that is a list": with_claims(azp=["a"]),
    "a scope that is a number": with_claims(scope=7),
    "claims in other scripts": with_claims(name="\u5f35\u4e09 \U0001f600"),
    "a huge exp": with_claims(exp=10**30),
    "an exp beyond all": with_claims(exp=10**400),
    "typ of something else": with_header(typ="x"),
    "alg of a longer hash": sign(encode({"alg": "HS512"}), BODY, "sha512"),
}


@pytest.mark.parametrize("token", ODD.values(), ids=ODD.keys())
def test_an_odd_token_is_never_a_server_error(make_app: MakeApp, token: str) -> None:
    app = make_app(trusting_a_secret(policy("all")))

    assert ask(app, token, "/me").status_code in (200, 401)
