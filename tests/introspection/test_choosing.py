from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping

import pytest

from flask_foreign_token.errors import InvalidToken
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.choosing import Introspectors, UnknownForm, UnknownIssuer, is_jose
from flask_foreign_token.introspection.jwt import JwtIntrospector, JwtRules
from flask_foreign_token.introspection.key_set import read_key_set
from flask_foreign_token.introspection.token import Credential, Versioned

from .concurrency import Clock
from .introspecting import Introspecting, active, introspecting, introspector
from .signing import AUDIENCE, ISSUER, NOW, claims, encoded, header, jwk, key_for, sign

OTHER = "https://other.example"


def jwt_introspector(issuer: str, key_name: str) -> JwtIntrospector:
    rules = JwtRules(issuer, frozenset([AUDIENCE]), frozenset(), None, None, 30.0, "sub")
    keys = read_key_set({"keys": [jwk("RS256", name=key_name)]}, ("RS256",))
    return JwtIntrospector(Versioned(key_name, "1"), rules, keys, clock=lambda: NOW)


BY_ISSUER = Introspectors({ISSUER: jwt_introspector(ISSUER, "current"), OTHER: jwt_introspector(OTHER, "other")}, {})


def bearer(token: str) -> Credential:
    return Credential("bearer", token)


@pytest.mark.parametrize(("issuer", "key_name"), [(ISSUER, "current"), (OTHER, "other")])
def test_a_token_goes_to_the_introspector_of_its_issuer(issuer: str, key_name: str) -> None:
    token = BY_ISSUER.introspect(bearer(sign(body=claims(iss=issuer), key=key_for("RS256", key_name))))

    assert token.introspector.id == key_name


@pytest.mark.requirement("RFC 8725", "3.8")
@pytest.mark.parametrize(("issuer", "key_name"), [(ISSUER, "other"), (OTHER, "current")])
def test_a_key_of_another_introspector_does_not_verify(issuer: str, key_name: str) -> None:
    with pytest.raises(InvalidToken, match="the signature is wrong"):
        BY_ISSUER.introspect(bearer(sign(body=claims(iss=issuer), key=key_for("RS256", key_name))))


@pytest.mark.parametrize("issuer", [ISSUER + "/", ISSUER[:-1], ISSUER.upper(), "", "https://evil.example"])
def test_an_issuer_that_nobody_named_is_unknown(issuer: str) -> None:
    with pytest.raises(UnknownIssuer, match="the issuer is not known"):
        BY_ISSUER.introspect(bearer(sign(body=claims(iss=issuer))))


@pytest.mark.parametrize("changes", [{"iss": None}, {"iss": [ISSUER]}, {"iss": {"a": 1}}, {"iss": 1}])
def test_a_token_without_an_issuer_is_refused(changes: Mapping[str, object]) -> None:
    with pytest.raises(InvalidToken, match="iss is missing or not a text"):
        BY_ISSUER.introspect(bearer(sign(body=claims(**changes))))


def test_what_is_not_a_token_is_refused() -> None:
    with pytest.raises(InvalidToken, match="three parts"):
        BY_ISSUER.introspect(bearer("opaque"))


# Opaque tokens


@pytest.fixture
def first() -> Iterator[Introspecting]:
    with introspecting() as provider:
        yield provider


@pytest.fixture
def second() -> Iterator[Introspecting]:
    with introspecting() as provider:
        yield provider


@pytest.fixture
def told_apart(first: Introspecting, second: Introspecting, http: Http, clock: Clock) -> Introspectors:
    """One for JWTs, and two whose tokens begin differently."""
    by_prefix = {"ory_": introspector(first, http, clock), "gho_": introspector(second, http, clock)}
    return Introspectors({ISSUER: jwt_introspector(ISSUER, "current")}, by_prefix)


@pytest.fixture
def for_all(first: Introspecting, http: Http, clock: Clock) -> Introspectors:
    """One for JWTs, and one for whatever else there is."""
    return Introspectors({ISSUER: jwt_introspector(ISSUER, "current")}, {"": introspector(first, http, clock)})


def test_a_token_goes_to_the_introspector_of_its_prefix_and_to_no_other(
    told_apart: Introspectors, first: Introspecting, second: Introspecting
) -> None:
    first.answers["ory_1"] = second.answers["ory_1"] = active(sub="of the first")
    second.answers["gho_1"] = active(sub="of the second")

    assert told_apart.introspect(bearer("ory_1")).subject == "of the first"
    assert told_apart.introspect(bearer("gho_1")).subject == "of the second"
    assert [first.forms[0]["token"], second.forms[0]["token"]] == ["ory_1", "gho_1"]
    assert (first.calls, second.calls) == (1, 1)


@pytest.mark.parametrize("token", ["ory_1", "gho_1"])
def test_a_token_that_its_introspector_refuses_is_shown_to_no_other(
    told_apart: Introspectors, first: Introspecting, second: Introspecting, token: str
) -> None:
    with pytest.raises(InvalidToken, match="not active"):
        told_apart.introspect(bearer(token))

    assert first.calls + second.calls == 1


@pytest.mark.parametrize("token", ["ory", "ORY_1", "xory_1", "1", "", ".", "..", "." * 16_384, "ory\x00_1", "é"])
def test_a_token_that_begins_with_no_prefix_is_asked_about_nowhere(
    told_apart: Introspectors, first: Introspecting, second: Introspecting, token: str
) -> None:
    with pytest.raises(UnknownForm, match="not of a known form"):
        told_apart.introspect(bearer(token))

    assert first.calls + second.calls == 0


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "e30", "eyJhbGciOiJSUzI1NiJ9", "a.", ".eyJhbGciOiJSUzI1NiJ9"])
def test_one_introspector_without_a_prefix_takes_whatever_is_no_jwt(
    for_all: Introspectors, first: Introspecting, token: str
) -> None:
    first.answers[token] = active()

    assert for_all.introspect(bearer(token)).subject == "anna"


def test_beside_it_jwts_go_by_their_issuer(for_all: Introspectors, first: Introspecting) -> None:
    assert for_all.introspect(bearer(sign())).introspector.id == "current"
    assert first.calls == 0


def test_a_jwt_of_an_unknown_issuer_is_asked_about_nowhere(for_all: Introspectors, first: Introspecting) -> None:
    with pytest.raises(UnknownIssuer):
        for_all.introspect(bearer(sign(body=claims(iss=OTHER))))

    assert first.calls == 0


def carelessly(text: str, *, codec: str = "utf-8") -> str:
    """The first part of a token whose header begins with `text`."""
    return urlsafe_b64encode(f'{text}"alg":"RS256","iss":"???>>>"}}'.encode(codec)).decode().rstrip("=")


SIGNED = sign(body=claims(iss=OTHER))
FIRST_PART, REST_OF_IT = SIGNED.split(".", 1)
JOSE = {
    "a JWT": SIGNED,
    "an unsigned JWT": f"{encoded({'alg': 'none'})}.{encoded(claims(iss=OTHER))}.",
    "a JWE": "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA",
    "two parts": f"{FIRST_PART}.e30",
    "a header alone": FIRST_PART + ".",
    "many parts": FIRST_PART + "." * 9,
    "a header that ends too early": FIRST_PART[:6] + "." + REST_OF_IT,
    "padding": FIRST_PART + "==." + REST_OF_IT,
    "padding within": FIRST_PART[:2] + "==" + FIRST_PART[2:] + "." + REST_OF_IT,
    "a character that some skip": FIRST_PART[:2] + "~" + FIRST_PART[2:] + "." + REST_OF_IT,
    "the other alphabet": b64encode(b'{"???>>>":1}').decode() + "." + REST_OF_IT,
    "characters that readers of the standard alphabet skip": "-" + FIRST_PART + "_." + REST_OF_IT,
    "such characters within": FIRST_PART[:1] + "-_-" + FIRST_PART[1:] + ".x.y",
    "characters that readers of the alphabet for URLs skip": "+" + FIRST_PART + "/." + REST_OF_IT,
    "white space before the header": carelessly(" \t\r\n {") + "." + REST_OF_IT,
    "much white space before the header": carelessly(" " * 9000 + "{") + ".e30.e30",
    "a byte order mark": carelessly("\ufeff{") + "." + REST_OF_IT,
    "UTF-16": carelessly("{", codec="utf-16") + "." + REST_OF_IT,
    "UTF-16 without a byte order mark": carelessly("{", codec="utf-16-be") + "." + REST_OF_IT,
    "UTF-32": carelessly("{", codec="utf-32") + "." + REST_OF_IT,
    "an odd letter after the header": FIRST_PART + "A." + REST_OF_IT,
    "a control character before the header": encoded(b"\x0b\x1f" + json.dumps(header()).encode()) + "." + REST_OF_IT,
    "JSON serialization": json.dumps({"payload": "e30", "protected": "e30", "signature": ""}),
    "a header that is no JSON": encoded(b"{nonsense") + ".e30.e30",
    "a header with crit": sign(header(crit=["x"]), claims(iss=OTHER)),
    "16 KiB and one": SIGNED + "A" * 16_384,
}


@pytest.mark.parametrize("name", JOSE)
def test_what_anybody_could_read_as_a_jwt_is_shown_to_no_provider_that_does_not_issue_it(
    for_all: Introspectors, first: Introspecting, name: str
) -> None:
    assert is_jose(JOSE[name])
    with pytest.raises(InvalidToken):
        for_all.introspect(bearer(JOSE[name]))
    assert first.calls == 0


@pytest.mark.parametrize("token", ["", ".", "..", "a", "a.b", "e30", "ory_at_x.y", "W10.e30.e30", "MTIz.e30.e30", "e."])
def test_what_nobody_could_read_as_a_jwt_is_none(token: str) -> None:
    assert not is_jose(token)


def test_a_jwt_goes_to_the_opaque_introspector_that_names_its_issuer(
    first: Introspecting, second: Introspecting, http: Http, clock: Clock
) -> None:
    token = sign(body=claims(iss=OTHER))
    second.answers[token] = active(iss=OTHER, sub="bert")
    asks = introspector(second, http, clock, issuer=OTHER, named_issuer=OTHER)
    chosen = Introspectors(
        {ISSUER: jwt_introspector(ISSUER, "current"), OTHER: asks},
        {"a": introspector(first, http, clock), "b": asks},
    )

    verified = chosen.introspect(bearer(token))
    assert (verified.kind, verified.issuer, verified.subject) == ("opaque", OTHER, "bert")
    assert chosen.introspect(bearer(sign())).kind == "jwt"
    assert (first.calls, second.calls) == (0, 1)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (sign(header(crit=["exp"]), claims(iss=OTHER)), "crit"),
        (sign(header(b64=False), claims(iss=OTHER)), "b64"),
        (sign(body=claims(iss=OTHER)) + "=", "not base64url"),
        (sign(body=claims(iss=OTHER, exp=0)), "has expired"),
        (sign(body=claims(iss=OTHER, typ="Refresh")), "the claim typ"),
        (f"{encoded({'alg': 'none'})}.{encoded(claims(iss=OTHER))}", "three parts"),
    ],
)
def test_such_a_jwt_is_read_strictly_before_anybody_is_asked(
    first: Introspecting, http: Http, clock: Clock, token: str, reason: str
) -> None:
    first.answers[token] = active()

    with pytest.raises(InvalidToken, match=reason):
        Introspectors({OTHER: introspector(first, http, clock)}, {}).introspect(bearer(token))
    assert first.calls == 0


def test_without_opaque_introspectors_nothing_but_a_jwt_is_a_token() -> None:
    for token in ("opaque", "a.b", "." * 16_384, ""):
        with pytest.raises(InvalidToken, match="three parts"):
            BY_ISSUER.introspect(bearer(token))


# Prefixes of introspectors that are not in force


@pytest.mark.parametrize("in_force", ["", "ory_", "ory_at_x_"])
@pytest.mark.parametrize("token", ["ory_at_1", "ory_at_", "ory_at_x"])
def test_a_token_of_an_introspector_that_is_not_in_force_is_shown_to_no_other(
    first: Introspecting, http: Http, clock: Clock, in_force: str, token: str
) -> None:
    chosen = Introspectors({}, {in_force: introspector(first, http, clock)}, ["ory_at_", "gho_"])

    with pytest.raises(UnknownForm):
        chosen.introspect(bearer(token))
    assert first.calls == 0


@pytest.mark.parametrize(
    ("in_force", "reserved", "token"),
    [
        ("", ["ory_"], "ory"),
        ("ory_", ["ory_at_"], "ory_rt_1"),
        ("ory_at_", ["ory_", "o"], "ory_at_1"),
        ("ory_", ["ory_"], "ory_1"),
    ],
)
def test_the_longest_prefix_counts_and_of_equal_ones_the_one_in_force(
    first: Introspecting, http: Http, clock: Clock, in_force: str, reserved: list[str], token: str
) -> None:
    first.answers[token] = active()

    assert Introspectors({}, {in_force: introspector(first, http, clock)}, reserved).introspect(bearer(token))


def test_prefixes_of_which_none_is_in_force_make_no_token_opaque() -> None:
    with pytest.raises(InvalidToken, match="three parts"):
        Introspectors({}, {}, ["ory_"]).introspect(bearer("ory_1"))
