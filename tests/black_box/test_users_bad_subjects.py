"""Subjects that nobody can be: refused, and nothing stored. Those that look odd and are fine."""

from __future__ import annotations

import json
import unicodedata

import pytest

from ..apps import ask
from ..conftest import MakeApp
from .callers import OPERATOR_SETTINGS, Operated, ids, operate
from .people import People, counts, me, nobody_in, token, user_of
from .tokens import Server, active, asked_at, claims_of, let_in, refused, token_of

CONTROLS = ["\0", "\x01", "\t", "\n", "\r", "\x1b", "\x1f", "\x7f", "\x80", "\x85", "\x9f"]

BAD = {
    "none": None,
    "null": "null",
    "a whole number": 7,
    "a number": 7.5,
    "zero": 0,
    "true": True,
    "false": False,
    "a list": ["ada"],
    "an object": {"value": "ada"},
    "empty": "",
    "a blank": " ",
    "blanks": " \u3000\u00a0",
    "256 characters": "a" * 256,
    "256 emoji": "\U0001f600" * 256,
    "9000 characters": "a" * 9000,
    **{f"the control character {ord(sign):#x}": f"a{sign}a" for sign in CONTROLS},
    "a control character at the end": "ada\n",
    "a control character at the begin": "\0ada",
}

GOOD = {
    "255 characters": "a" * 255,
    "255 emoji": "\U0001f600" * 255,
    "an emoji of several code points": "\U0001f469\u200d\U0001f469\u200d\U0001f466",
    "a letter": "a",
    "a quote": "a'; DROP TABLE foreign_token_user; --",
    "a pipe": "a|b|c",
    "a percent sign": "a%",
    "a backslash": "a\\u0000",
    "a digit": "0",
    "a combining mark alone": "\u0301",
    "from right to left": "\u05d0\u05d1",
    "beyond the surrogates": "\U0010ffff",
    "blanks within": "ada lovelace",
}

ALIKE = [
    *["ada", "Ada", "ADA", "ada ", " ada", "ad\u0430", "\u00e0da", "a\u0300da"],
    *[
        "stra\u00dfe",
        "strasse",
        "STRASSE",
        "\u212b",
        "\u00c5",
        "A\u030a",
        "\ufb01n",
        "fin",
        "i",
        "\u0131",
        "I",
        "\u0130",
    ],
    *["a\u200bda", "a\u00adda", "1", "01", "1.0", "\uff11", "null", "None", "ada%", "ada_", "a|da"],
]


def payload(sub: object) -> dict[str, object]:
    """What a good token says, but for its subject."""
    claims = claims_of(sub=None if sub == "null" else sub)
    return {**claims, "sub": None} if sub == "null" else claims


@pytest.mark.parametrize("sub", BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("source", ["id-token", "userinfo-endpoint"])
def test_a_subject_that_nobody_can_be_is_refused_and_nobody_is_asked_or_stored(
    operated: Operated, people: People, source: str, sub: object
):
    app = operated(people.resources(**{"userinfo-source": source}))

    refused(ask(app, token_of(payload=payload(sub))))

    nobody_in(app)
    assert people.asked == 0


@pytest.mark.parametrize("text", [r"\ud800", r"\udfff", r"a\udc00a", r"\udc00\ud800"])
def test_a_lone_surrogate_is_refused_and_nothing_stored(operated: Operated, people: People, text: str):
    app = operated(people.resources())
    body = json.dumps(claims_of(sub="ada")).replace('"ada"', f'"{text}"').encode()

    refused(ask(app, token_of(payload=body)))

    nobody_in(app)
    assert people.asked == 0


def test_a_pair_of_surrogates_is_the_character_that_they_stand_for(operated: Operated, people: People):
    app = operated(people.resources())
    body = json.dumps(claims_of(sub="ada")).replace('"ada"', r'"\ud83d\ude00"').encode()

    let_in(ask(app, token_of(payload=body)), "\U0001f600")

    assert user_of(app, "\U0001f600")


@pytest.mark.parametrize("sub", GOOD.values(), ids=GOOD.keys())
@pytest.mark.parametrize("source", ["id-token", "userinfo-endpoint"])
def test_a_subject_that_only_looks_odd_is_somebody(operated: Operated, people: People, source: str, sub: str):
    app = operated(people.resources(**{"userinfo-source": source}))

    first, second = me(app, token(sub)), me(app, token(sub))

    assert first == second == user_of(app, sub)["id"]
    assert counts(app) == (1, 1)


@pytest.mark.parametrize("sub", [BAD["256 characters"], BAD["an object"], "a\0a", "", " ", 7, None])
def test_another_claim_as_the_subject_is_held_to_the_same(operated: Operated, people: People, sub: object):
    app = operated(people.resources(**{"userinfo-source": "id-token", "subject_claim": "oid"}))

    refused(ask(app, token_of(oid=sub)))

    nobody_in(app)


def test_another_claim_as_the_subject_names_the_user(operated: Operated, people: People):
    app = operated(people.resources(**{"userinfo-source": "id-token", "subject_claim": "oid"}))

    assert ask(app, token_of(sub="one", oid="ada")).status_code == 200
    assert ask(app, token_of(sub="two", oid="ada")).status_code == 200

    assert counts(app) == (1, 1)
    assert user_of(app, "ada")["data"]["oid"] == "ada"


@pytest.mark.parametrize("sub", [7, ["ada"], "", " ", "a" * 256, "a\0a", "a\x85a"])
def test_what_introspection_says_is_held_to_the_same(make_app: MakeApp, server: Server, sub: object):
    server.pages["/introspect"] = active(sub=sub)
    app = make_app(asked_at(f"{server.url}/introspect"), **OPERATOR_SETTINGS)

    refused(ask(app, "opaque-token"))

    nobody_in(app)


def test_who_looks_alike_is_kept_apart(operated: Operated, people: People):
    app = operated(people.resources())

    found = [me(app, token(sub)) for sub in ALIKE]

    assert len(set(found)) == len(ALIKE)
    assert counts(app) == (len(ALIKE), len(ALIKE))
    assert [me(app, token(sub)) for sub in ALIKE] == found


def test_a_search_finds_the_one_and_none_that_looks_alike(operated: Operated, people: People):
    app = operated(people.resources())
    made = {sub: me(app, token(sub)) for sub in ALIKE}

    for sub, user in made.items():
        found = operate(app, "GET", "/fhir/User", query_string={"identifier": f"keycloak|{sub}"}).json
        assert [entry["resource"]["id"] for entry in found["entry"]] == [user], ascii(sub)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_a_subject_is_stored_in_the_form_in_which_it_came(operated: Operated, people: People, form: str):
    app = operated(people.resources())
    sub = unicodedata.normalize(form, "\u212bngstr\u00f6m \ufb01")

    assert ask(app, token(sub)).status_code == 200

    assert user_of(app, sub)["identifier"] == [{"system": "keycloak", "value": sub}]


def test_a_user_is_not_found_by_the_id_of_its_row(operated: Operated, people: People):
    app = operated(people.resources())
    ada = me(app, token("ada"))

    assert me(app, token(ada)) != ada

    assert counts(app) == (2, 2)


@pytest.mark.parametrize(
    "value", ["", " ", "a" * 256, "a\0a", "a\na", "a\x85a", 7, None, ["ada"], {"value": "ada"}, "\ud800"]
)
def test_the_operator_cannot_store_such_a_subject_either(operated: Operated, people: People, value: object):
    app = operated(people.resources())

    answer = operate(app, "PUT", "/fhir/User/ada", {"identifier": [{"system": "keycloak", "value": value}]})

    assert 400 <= answer.status_code < 500
    assert ids(app, "User") == []
