"""A claim of the wrong type, time, issuer, audience or kind is refused, however good the signature (RFC 7519, 4.1)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from ..apps import AUDIENCE, SECRET_ISSUER
from .target import Target, by_secret, claims, with_text

FAR = 9_999_999_999
WRONG_TYPES = {
    "null": "null",
    "true": "true",
    "false": "false",
    "zero": "0",
    "a number": "7",
    "a list": '["a"]',
    "an empty list": "[]",
    "an object": '{"a": 1}',
    "an empty object": "{}",
    "a text": '"a"',
    "nothing": '""',
}


def with_raw(target: Target, name: str, literal: str) -> str:
    """A token in which the claim `name` stands as `literal`, which Python would not write."""
    others = json.dumps({claim: value for claim, value in target.claims().items() if claim != name})
    return target.sign(body=f'{others[:-1]}, "{name}": {literal}}}'.encode())


@pytest.mark.parametrize(
    ("name", "literal"),
    [
        pytest.param(name, literal, id=f"{name} {kind}")
        for name, fitting in {
            "iss": (),
            "aud": (),
            "exp": (),
            "sub": ("a text",),
            "nbf": ("zero", "a number"),
            "iat": ("zero", "a number"),
            "azp": ("a text", "nothing"),
            "client_id": ("a text", "nothing"),
            "typ": ("a text", "nothing"),
            "token_type": ("a text", "nothing"),
            "token_use": ("a text", "nothing"),
        }.items()
        for kind, literal in WRONG_TYPES.items()
        if kind not in fitting
    ],
)
def test_a_claim_of_the_wrong_type_is_refused(target: Target, name: str, literal: str) -> None:
    target.refuses(with_raw(target, name, literal))


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "sub"])
def test_a_claim_that_is_missing_is_refused(target: Target, name: str) -> None:
    target.refuses(target.sign(body=target.claims(**{name: None})))


@pytest.mark.parametrize("name", ["nbf", "iat", "azp", "scope", "jti"])
def test_a_claim_that_may_be_missing_is_let_in(target: Target, name: str) -> None:
    target.lets_in(target.sign(body=target.claims(**{name: None})))


# ---- times

NO_TIMES = {
    "NaN": "NaN",
    "minus NaN": "-NaN",
    "Infinity": "Infinity",
    "minus Infinity": "-Infinity",
    "beyond a double": "1e400",
    "below a double": "-1e400",
    "almost beyond": "1e308",
    "a 5 000-digit integer": "9" * 5000,
    "a 4 300-digit integer": "9" * 4300,
    "a 4 301-digit integer": "9" * 4301,
    "a negative 5 000-digit integer": "-" + "9" * 5000,
    "a fraction of 5 000 digits that is too large": "9" * 5000 + ".5",
    "milliseconds": str(FAR * 1000),
    "2**63": str(2**63),
    "2**64 and the present": str(2**64 + FAR),
    "the year 10 000": "253402300800",
    "a number as a text": f'"{FAR}"',
    "a date as a text": '"2999-01-01T00:00:00Z"',
    "a list of a number": f"[{FAR}]",
    "an object with a number": f'{{"$numberLong": "{FAR}"}}',
    "in hexadecimal": "0xFFFFFFFF",
    "in octal": "037777777777",
    "with a plus": f"+{FAR}",
    "with underscores": "9_999_999_999",
    "with a comma": "9999999999,0",
    "with a point and nothing behind": f"{FAR}.",
    "with a point and nothing before": ".5e11",
    "with an empty exponent": f"{FAR}e",
    "in digits of another script": "\u0669\u0669\u0669\u0669\u0669\u0669\u0669\u0669\u0669\u0669",
    "two numbers": f"{FAR} {FAR}",
}


@pytest.mark.parametrize("literal", NO_TIMES.values(), ids=NO_TIMES.keys())
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_what_is_no_time_is_refused(target: Target, name: str, literal: str) -> None:
    target.refuses(with_raw(target, name, literal))


@pytest.mark.parametrize("literal", ["0", "-1", "-0", "1", "-1e9", "0.5", "-9007199254740993", "1e-400"])
def test_an_exp_that_is_past_is_refused(target: Target, literal: str) -> None:
    target.refuses(with_raw(target, "exp", literal))


@pytest.mark.parametrize("name", ["nbf", "iat"])
@pytest.mark.parametrize("ahead", [60, 3600, 1e10])
def test_a_token_from_the_future_is_refused(target: Target, name: str, ahead: float) -> None:
    target.refuses(target.sign(body=target.claims(exp=FAR, **{name: time.time() + ahead})))


@pytest.mark.parametrize("literal", [str(FAR), f"{FAR}.75", "9.999999999e9", "9999999999E-0", "253402300799"])
def test_a_time_in_any_spelling_of_json_is_let_in(target: Target, literal: str) -> None:
    target.lets_in(with_raw(target, "exp", literal))


def test_a_token_that_expired_within_the_leeway_is_let_in_and_one_before_is_not(target: Target) -> None:
    target.lets_in(target.sign(body=target.claims(exp=time.time() - 5)))
    target.refuses(target.sign(body=target.claims(exp=time.time() - 60)))


# ---- issuers

NEIGHBOURS: dict[str, Callable[[str], object]] = {
    "with a slash": lambda iss: f"{iss}/",
    "with a dot": lambda iss: f"{iss}/.",
    "with a space": lambda iss: f"{iss} ",
    "with a NUL": lambda iss: f"{iss}\x00",
    "with a fragment": lambda iss: f"{iss}#",
    "with a query": lambda iss: f"{iss}?",
    "in capitals": str.upper,
    "without its end": lambda iss: iss[:-1],
    "of https": lambda iss: iss.replace("http", "https", 1),
    "with another name of the host": lambda iss: iss.replace("127.0.0.1", "localhost"),
    "with a user": lambda iss: iss.replace("//", "//user@"),
    "twice": lambda iss: f"{iss} {iss}",
    "in a list": lambda iss: [iss],
    "in an object": lambda iss: {iss: 1},
    "another altogether": lambda _iss: "https://thief.example",
    "nothing": lambda _iss: "",
}


@pytest.mark.parametrize("change", NEIGHBOURS.values(), ids=NEIGHBOURS.keys())
def test_an_issuer_that_is_almost_the_same_is_another(target: Target, change: Callable[[str], object]) -> None:
    target.lets_in(target.sign())

    target.refuses(target.sign(body=target.claims(iss=change(target.issuer.issuer))))


# ---- audiences


@pytest.mark.parametrize(
    "audience",
    [
        *([], [1], {}, {AUDIENCE: 1}, [AUDIENCE, 1], [[AUDIENCE]], [None], [AUDIENCE, None], [{}], [True]),
        *("", [""], "elsewhere", ["elsewhere", "other"], AUDIENCE + "/", AUDIENCE + " ", " " + AUDIENCE),
        *(AUDIENCE.upper(), AUDIENCE[:-1], f"{AUDIENCE},other", f"{AUDIENCE} other", f"{AUDIENCE}\x00", "*", [["*"]]),
    ],
    ids=ascii,
)
def test_an_audience_that_does_not_name_us_is_refused(target: Target, audience: object) -> None:
    target.refuses(target.sign(body=target.claims(aud=audience)))


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["elsewhere", AUDIENCE], [AUDIENCE] * 500])
def test_an_audience_that_names_us_among_others_is_let_in(target: Target, audience: object) -> None:
    target.lets_in(target.sign(body=target.claims(aud=audience)))


# ---- subjects

SUBJECTS = {
    "nothing": '""',
    "a space": '" "',
    "blank in Unicode": '"\\u00a0\\u2003"',
    "12 KB": f'"{"s" * 11_000}"',
    "256 characters": f'"{"s" * 256}"',
    "a lone surrogate": '"\\ud800"',
    "a lone surrogate behind": '"ann\\udfff"',
    "surrogates the wrong way round": '"\\udc00\\ud800"',
    "a NUL": '"\\u0000"',
    "a NUL behind": '"ann\\u0000"',
    "a NUL within": '"ann\\u0000bert"',
    "a bare NUL": '"ann\x00"',
    "a line end": '"ann\\n"',
    "a bare line end": '"ann\n"',
    "a tab": '"a\\tnn"',
    "an escape character": '"\\u001b[31mann"',
    "a delete character": '"ann\\u007f"',
    "a next line": '"ann\\u0085"',
}


@pytest.mark.parametrize("literal", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_a_subject_that_could_pass_for_another_is_refused(target: Target, literal: str) -> None:
    target.refuses(with_raw(target, "sub", literal))


@pytest.mark.parametrize("subject", ["\u00c4nne", "auth0|5f7c", "s" * 255, "\U0001f600", "a'; DROP TABLE users; --"])
def test_an_odd_subject_is_somebody(target: Target, subject: str) -> None:
    target.lets_in(target.sign(body=target.claims(sub=subject)))


# ---- members that are there twice

TWICE = {
    "sub": '"sub": "root"',
    "the same sub": '"sub": "ann"',
    "sub, escaped": '"\\u0073ub": "root"',
    "iss": '"iss": "https://thief.example"',
    "aud": '"aud": "account"',
    "exp": '"exp": 9999999999',
    "exp, null": '"exp": null',
    "what nobody knows": '"x": 1, "x": 1',
    "in an object": '"x": {"a": 1, "a": 2}',
    "in an object in a list": '"x": [[{"a": 1, "\\u0061": 1}]]',
    "the empty name": '"": 1, "": 2',
    "a name with a NUL": '"\\u0000": 1, "\\u0000": 2',
}


@pytest.mark.parametrize("text", TWICE.values(), ids=TWICE.keys())
@pytest.mark.parametrize("first", [True, False], ids=["before", "behind"])
def test_a_member_that_is_there_twice_is_refused(target: Target, text: str, first: bool) -> None:
    target.refuses(target.sign(body=with_text(target.claims(), text, before=first)))


def test_names_that_only_look_alike_are_no_duplicates(target: Target) -> None:
    target.lets_in(target.sign(body=target.claims(**{"Sub": "root", "sub ": "root", "s\u0443b": "root", "SUB": 1})))


# ---- kinds of tokens

OTHER_KINDS: dict[str, dict[str, object]] = {
    "an ID token by typ": {"typ": "ID"},
    "a refresh token": {"typ": "Refresh"},
    "an offline token": {"typ": "Offline"},
    "a logout token by typ": {"typ": "Logout"},
    "a logout token in small letters": {"typ": "logout"},
    "an ID token by at_hash": {"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    "an ID token by c_hash": {"c_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"},
    "an ID token by an empty at_hash": {"at_hash": ""},
    "an ID token of Cognito": {"token_use": "id"},
    "a logout token": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    "a logout token without events": {"events": {}},
    "an introspection answer": {"token_introspection": {"active": True}},
    "bound to a key": {"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
    "bound to a certificate": {"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
    "bound to nothing": {"cnf": {}},
    "bound by a text": {"cnf": "x"},
    "for DPoP": {"token_type": "DPoP"},
}


@pytest.mark.parametrize("members", OTHER_KINDS.values(), ids=OTHER_KINDS.keys())
def test_a_token_that_is_no_access_token_of_a_bearer_is_refused(target: Target, members: dict[str, object]) -> None:
    target.refuses(target.sign(body=target.claims(**members)))
    target.refuses(target.sign(target.header(typ="at+jwt"), target.claims(**members)))


@pytest.mark.parametrize(
    "members", [{"typ": "Bearer"}, {"typ": "JWT"}, {"token_type": "Bearer"}, {"token_use": "access"}, {"nonce": "n"}]
)
def test_what_access_tokens_also_say_is_let_in(target: Target, members: dict[str, object]) -> None:
    target.lets_in(target.sign(body=target.claims(**members)))


@pytest.mark.parametrize(("name", "value"), [("scope", 7), ("scp", {"a": 1}), ("name", "\u5f35\u4e09 \U0001f600")])
def test_an_odd_claim_that_decides_nothing_is_let_in(target: Target, name: str, value: object) -> None:
    # Users of this issuer are made from the claims; each is seen for the first time.
    target.lets_in(by_secret(body=claims(SECRET_ISSUER, sub=f"odd {name}", **{name: value})))


def test_claims_are_looked_at_whoever_signed(target: Target) -> None:
    target.lets_in(by_secret())

    target.refuses(by_secret(body=b'{"iss": "https://secret.example"}'))
