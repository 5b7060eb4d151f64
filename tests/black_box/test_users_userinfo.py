"""What is asked about a new user, and what is made of the answers, the nasty ones included."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable

import pytest
from werkzeug.wrappers import Request, Response

from ..apps import ask
from ..conftest import MakeApp
from ..loading import Clock
from .callers import OPERATOR_SETTINGS, Operated
from .people import USERINFO, People, counts, insufficient, me, nobody_in, raw, sub_of, token, user_of
from .tokens import document, refused, unavailable

GOOD = {"sub": "ada", "name": "Ada"}

OTHERS: dict[str, object] = {
    "another": {"sub": "eve", "name": "Ada"},
    "another case": {"sub": "Ada"},
    "a blank more": {"sub": "ada "},
    "a line end more": {"sub": "ada\n"},
    "a NUL more": {"sub": "ada\0"},
    "a look-alike": {"sub": "ad\u0430"},
}

NO_SUBJECTS: dict[str, object] = {
    "none": {"name": "Ada"},
    "null": {"sub": None},
    "a number": {"sub": 7},
    "a list with it": {"sub": ["ada"]},
    "an object": {"sub": {"ada": 1}},
    "true": {"sub": True},
    "empty": {"sub": ""},
    "an empty object": {},
}

NONSENSE: dict[str, Callable[[], Response]] = {
    "HTML": lambda: raw("<html><body>Sign in</body></html>", "text/html"),
    "HTML that says it is JSON": lambda: raw("<html><body>Sign in</body></html>"),
    "JSON that says it is HTML": lambda: raw(json.dumps(GOOD), "text/html"),
    "JSON that says it is text": lambda: raw(json.dumps(GOOD), "text/plain"),
    "10 MB": lambda: document({**GOOD, "filling": "x" * 10_000_000}),
    "over 64 KiB": lambda: document({**GOOD, "filling": "x" * 65_536}),
    "60 KiB of objects": lambda: raw(json.dumps({**GOOD, "filling": [{}] * 20_000}, separators=(",", ":"))),
    "10 MB of members": lambda: document({**GOOD, **{f"member{n}": n for n in range(500_000)}}),
    "a list": lambda: document([GOOD]),
    "an empty list": lambda: document([]),
    "a text": lambda: document("ada"),
    "a number": lambda: document(7),
    "null": lambda: document(None),
    "true": lambda: document(True),
    "nothing": lambda: raw(""),
    "half of it": lambda: raw(json.dumps(GOOD)[:-4]),
    "two of it": lambda: raw(json.dumps(GOOD) * 2),
    "a duplicate member": lambda: raw('{"sub": "ada", "sub": "eve"}'),
    "NaN": lambda: raw('{"sub": "ada", "age": NaN}'),
    "no UTF-8": lambda: raw(b'{"sub": "ada", "name": "\xff\xfe"}'),
    "a lone surrogate": lambda: raw('{"sub": "ada", "name": "\\ud800"}'),
    "brackets without end": lambda: raw('{"sub": "ada", "deep": ' + "[" * 100_000),
    "a JWT that says it is JSON": lambda: raw("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."),
    "JSON that says it is a JWT": lambda: raw(json.dumps(GOOD), "application/jwt"),
    "204": lambda: raw("", status=204),
    "301": lambda: document(GOOD, 301, Location="/elsewhere"),
    "302": lambda: document(GOOD, 302, Location="/elsewhere"),
    "307": lambda: document(GOOD, 307, Location="/elsewhere"),
    "400": lambda: document(GOOD, 400),
    "404": lambda: document(GOOD, 404),
    "429": lambda: document(GOOD, 429),
    "500": lambda: document(GOOD, 500),
    "502": lambda: document(GOOD, 502),
    "503": lambda: document(GOOD, 503),
}


@pytest.mark.parametrize("claims", OTHERS.values(), ids=OTHERS.keys())
def test_userinfo_of_somebody_else_is_refused_and_nothing_stored(operated: Operated, people: People, claims):
    app = operated(people.resources())
    people.answers(claims)
    known = token()

    for _ in range(3):
        refused(ask(app, known), "userinfo names another subject")

    nobody_in(app)
    assert people.asked == 1


@pytest.mark.parametrize("claims", NO_SUBJECTS.values(), ids=NO_SUBJECTS.keys())
def test_userinfo_that_names_nobody_is_refused_and_nothing_stored(operated: Operated, people: People, claims):
    app = operated(people.resources())
    people.answers(claims)

    assert ask(app, token()).status_code in {401, 503}

    nobody_in(app)


@pytest.mark.parametrize("page", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_an_outage_that_stores_nothing_and_is_not_asked_for_again_at_once(
    operated: Operated, people: People, page
):
    app = operated(people.resources())
    people.answers(lambda request: page())
    people.pages["/elsewhere"] = GOOD
    known = token()

    unavailable(ask(app, known))
    unavailable(ask(app, known))

    nobody_in(app)
    assert people.asked == 1
    assert people.count("/elsewhere") == 0


def test_a_provider_that_is_away_is_an_outage(operated: Operated, people: People):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    app = operated(people.resources(userinfo_endpoint=f"http://127.0.0.1:{port}/userinfo"))

    unavailable(ask(app, token()))

    nobody_in(app)


def test_a_provider_that_is_slow_is_an_outage(operated: Operated, people: People):
    app = operated(people.resources(), FOREIGN_TOKEN_HTTP_TIMEOUT=[1, 0.5])
    assert me(app, token("bob"))

    def drip(request: Request) -> Response:
        def pieces():
            for sign in json.dumps(GOOD):
                time.sleep(0.1)
                yield sign.encode()

        return Response(pieces(), content_type="application/json")

    people.answers(drip)

    unavailable(ask(app, token()))

    assert counts(app) == (1, 1)


def test_401_is_a_wrong_token_and_stores_nothing(operated: Operated, people: People):
    app = operated(people.resources())
    people.answers(document(GOOD, 401))

    refused(ask(app, token()), "the provider does not take the token")

    nobody_in(app)


def test_403_asks_for_openid_and_stores_nothing(operated: Operated, people: People):
    app = operated(people.resources())
    people.answers(document(GOOD, 403))

    insufficient(ask(app, token()))

    nobody_in(app)


@pytest.mark.parametrize("levels", [31, 60, 63])
def test_what_is_nested_too_deeply_is_refused_and_nothing_stored(operated: Operated, people: People, levels: int):
    app = operated(people.resources())
    people.answers(raw('{"sub": "ada", "deep": ' + "[" * levels + "]" * levels + "}"))

    refused(ask(app, token()), "userinfo is nested too deeply")

    nobody_in(app)


def test_after_5_seconds_it_is_asked_again_and_the_user_is_made(timed_app: MakeApp, people: People, now: Clock):
    app = timed_app(people.resources(), **OPERATOR_SETTINGS)
    known = token()
    people.answers(document(GOOD, 500))
    unavailable(ask(app, known))
    people.answers(GOOD)

    now.now += 4.5
    unavailable(ask(app, known))
    assert people.asked == 1

    now.now += 1
    assert ask(app, known).status_code == 200
    assert people.asked == 2
    assert counts(app) == (1, 1)


def test_a_failure_for_one_is_none_for_those_who_are_known(operated: Operated, people: People):
    app = operated(people.resources())
    bob = me(app, token("bob"))
    people.answers(document({}, 500))

    unavailable(ask(app, token("ada")))

    assert me(app, token("bob")) == bob


def test_it_is_asked_with_get_and_the_token_in_the_header_and_nowhere_else(operated: Operated, people: People):
    app = operated(people.resources())
    known = token()

    assert ask(app, known).status_code == 200

    [call] = [call for call in people.calls if call.path == USERINFO]
    assert call.method == "GET"
    assert call.headers["Authorization"] == f"Bearer {known}"
    assert call.form == {}
    assert "application/json" in call.headers["Accept"]
    assert "Cookie" not in call.headers


def test_another_word_can_stand_before_the_token(operated: Operated, people: People):
    app = operated(people.resources(userinfo_header="token"))
    known = token()

    assert ask(app, known).status_code == 200

    [call] = [call for call in people.calls if call.path == USERINFO]
    assert call.headers["Authorization"] == f"token {known}"


def test_who_is_known_is_not_asked_about_again(operated: Operated, people: People):
    app = operated(people.resources())

    assert [ask(app, token()).status_code for _ in range(3)] == [200] * 3

    assert people.asked == 1


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/json;a=b"]
)
def test_json_is_taken_however_it_is_called(operated: Operated, people: People, content_type: str):
    app = operated(people.resources())
    people.answers(raw(json.dumps(GOOD), content_type))

    assert ask(app, token()).status_code == 200

    assert user_of(app)["data"] == GOOD


def test_the_answer_is_stored_as_it_came(operated: Operated, people: People):
    app = operated(people.resources())
    said = {
        "sub": "ada",
        "name": "\u00c5da \U0001f600 \u202e",
        "A.b c": {"$ref": "#", "": None},
        "roles": [["doctor"], [], {}, None, True],
        "big": 2**53 + 1,
        "negative": -0.5,
        "small": 1e-7,
        "iss": "https://elsewhere.example",
        "id": "7",
        "identifier": [{"system": "keycloak", "value": "eve"}],
        "inactive": True,
        "meta": {"versionId": "99"},
        "resourceType": "AccessPolicy",
        "active": False,
        "__class__": "x",
    }
    people.answers(said)

    assert ask(app, token()).status_code == 200

    shown = user_of(app)
    assert shown["data"] == said
    assert shown["identifier"] == [{"system": "keycloak", "value": "ada"}]
    assert shown["meta"]["versionId"] != "99"
    assert "inactive" not in shown
    assert counts(app) == (1, 1)


@pytest.mark.parametrize("name", ["a\0b", "\0", "a\x1bb"])
def test_a_text_that_not_every_database_holds_is_stored_as_it_came_or_refused(
    operated: Operated, people: People, name: str
):
    app = operated(people.resources())
    people.says(name=name)

    answer = ask(app, token())

    if answer.status_code == 200:
        assert user_of(app)["data"]["name"] == name
    else:
        assert answer.status_code in {401, 503}
        nobody_in(app)


def test_without_an_endpoint_to_ask_it_is_an_outage_and_no_user(operated: Operated, people: People):
    resources = people.resources()
    del resources[0]["userinfo_endpoint"]
    app = operated()
    from .callers import put

    statuses = [put(app, resource).status_code for resource in resources]

    assert ask(app, token()).status_code == (401 if 422 in statuses else 503)
    nobody_in(app)


@pytest.mark.parametrize(
    ("source", "claims", "shown"),
    [
        ("nickname", {"nickname": "Countess"}, "Countess"),
        ("realm_access.roles", {"realm_access": {"roles": ["doctor", "nurse"]}}, ["doctor", "nurse"]),
        ("emails.0.value", {"emails": [{"value": "a@example.com"}, {"value": "b@example.com"}]}, "a@example.com"),
        ("emails.1.value", {"emails": [{"value": "a@example.com"}, {"value": "b@example.com"}]}, "b@example.com"),
        ("https://clinic.example/role", {"https://clinic.example/role": "doctor"}, "doctor"),
        ("a.b", {"a.b": "as it stands", "a": {"b": "path"}}, "as it stands"),
        ("emails.7.value", {"emails": []}, None),
        ("a.b.c", {"a": {"b": "text"}}, None),
        ("a.b", {"a": None}, None),
        ("missing", {}, None),
    ],
)
def test_to_scim_reads_names_and_paths(operated: Operated, people: People, source, claims, shown):
    app = operated(people.resources(toScim={source: ["called"]}))
    people.says(**claims)

    assert ask(app, token()).status_code == 200

    assert user_of(app).get("called") == shown


def test_to_scim_writes_names_and_places(operated: Operated, people: People):
    rules = {
        "given_name": ["name", "givenName"],
        "family_name": ["name", "familyName"],
        "email": ["emails", 0, "value"],
        "missing": ["emails", 1, "value"],
        "phone": ["phoneNumbers", 1],
    }
    app = operated(people.resources(toScim=rules))
    people.says(given_name="Ada", family_name="Lovelace", email="a@example.com", phone="1")

    assert ask(app, token()).status_code == 200

    shown = user_of(app)
    assert shown["name"] == {"givenName": "Ada", "familyName": "Lovelace"}
    assert shown["emails"] == [{"value": "a@example.com"}]
    assert shown["phoneNumbers"] == ["1"]


def test_policies_see_what_was_mapped_and_what_was_said(operated: Operated, people: People):
    from ..apps import policy

    resources = people.resources(toScim={"realm_access.roles": ["roles"]})[:2]
    seen = {"user": {"roles": {"$contains": "doctor"}, "data": {"team": "a"}}}
    app = operated([*resources, policy("doctors", seen)])
    people.answers(
        lambda request: {
            "sub": sub_of(request),
            "team": "a",
            "realm_access": {"roles": ["doctor" if sub_of(request) == "ada" else "porter"]},
        }
    )

    assert ask(app, token("ada")).status_code == 200
    assert ask(app, token("bob")).status_code == 403
