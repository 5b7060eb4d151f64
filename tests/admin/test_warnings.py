"""What the REST API warns of, and refuses where the caller prefers that (RFC 7234 section 5.5, RFC 7240)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from flask_foreign_token.admin.answers import MAX_WARNED, MAX_WARNINGS

from ..apps import policy
from .asking import BODIES, operate

RIGHT = policy("p", {"jwt": {"iss": "https://issuer.example"}})
UPPER_CASE = policy("p", {"jwt": "present?", "request-method": "GET"})
SAID = 'AccessPolicy/p matcho.request-method: methods are lower case, so no request has "GET"; say "get"'
STRICT = {"Prefer": "handling=strict"}

_HEADER = re.compile(r'199 - "((?:[ !#-\[\]-~]|\\["\\])*)"')


def put(app: Flask, body: Any, **headers: str) -> TestResponse:
    return operate(app, "PUT", f"/AccessPolicy/{body['id']}", body, headers=headers)


def warnings(answer: TestResponse) -> list[str]:
    """The texts of the headers, each of the form that the RFC asks for."""
    found = [_HEADER.fullmatch(header) for header in answer.headers.getlist("Warning")]
    return [re.sub(r"\\(.)", r"\1", match[1]) if match else "malformed" for match in found]


def test_a_policy_that_is_probably_not_meant_is_stored_with_a_warning(app: Flask) -> None:
    made, again = put(app, UPPER_CASE), put(app, UPPER_CASE)

    assert [made.status_code, again.status_code] == [201, 200]
    assert warnings(made) == warnings(again) == [SAID]
    assert "Preference-Applied" not in made.headers
    assert operate(app, "GET", "/AccessPolicy/p").json["matcho"] == UPPER_CASE["matcho"]


def test_a_policy_that_is_right_is_stored_without(app: Flask) -> None:
    answer = put(app, RIGHT)

    assert (answer.status_code, "Warning" in answer.headers) == (201, False)


def test_a_policy_that_gets_an_id_of_its_own_is_warned_of_under_it(app: Flask) -> None:
    body = {name: value for name, value in UPPER_CASE.items() if name != "id"}

    answer = operate(app, "POST", "/AccessPolicy", body)

    assert answer.status_code == 201
    assert warnings(answer) == [SAID.replace("AccessPolicy/p", f"AccessPolicy/{answer.json['id']}")]


@pytest.mark.parametrize("type_", ["IdentityProvider", "User"])
def test_other_resources_are_not_warned_of(app: Flask, type_: str) -> None:
    answer = operate(app, "PUT", f"/{type_}/other", BODIES[type_], headers=STRICT)

    assert (answer.status_code, "Warning" in answer.headers) == (201, False)


def test_reading_a_policy_does_not_warn(app: Flask) -> None:
    put(app, UPPER_CASE)

    for path in ("/AccessPolicy/p", "/AccessPolicy"):
        answer = operate(app, "GET", path, headers=STRICT)

        assert not {"Warning", "Preference-Applied"} & set(answer.headers.keys())


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/AccessPolicy/p"), ("POST", "/AccessPolicy")], ids=["PUT", "POST"]
)
def test_what_is_warned_of_is_refused_where_the_caller_is_strict(app: Flask, method: str, path: str) -> None:
    answer = operate(app, method, path, UPPER_CASE, headers=STRICT)

    assert (answer.status_code, answer.json["error"]) == (422, "unprocessable")
    assert [(issue["path"], issue["message"]) for issue in answer.json["issues"]] == [
        ("matcho.request-method", SAID.partition(": ")[2])
    ]
    assert answer.headers["Preference-Applied"] == "handling=strict"
    assert "Warning" not in answer.headers
    assert operate(app, "GET", "/AccessPolicy/p").status_code == 404


def test_what_was_there_stays_where_a_strict_caller_is_refused(app: Flask) -> None:
    put(app, RIGHT)

    answer = put(app, UPPER_CASE, **STRICT)

    assert answer.status_code == 422
    assert operate(app, "GET", "/AccessPolicy/p").json["matcho"] == RIGHT["matcho"]


def test_a_policy_that_is_right_is_stored_for_a_strict_caller(app: Flask) -> None:
    answer = put(app, RIGHT, **STRICT)

    assert (answer.status_code, answer.headers["Preference-Applied"]) == (201, "handling=strict")


def test_a_strict_caller_is_told_what_is_wrong_beside_what_is_not_meant(app: Flask) -> None:
    answer = put(app, {**UPPER_CASE, "description": 7}, **STRICT)

    assert [issue["path"] for issue in answer.json["issues"]] == ["description", "matcho.request-method"]


def test_what_is_wrong_is_refused_without_warnings(app: Flask) -> None:
    answer = put(app, policy("p", {"request-method": "GET", "$or": []}))

    assert (answer.status_code, "Warning" in answer.headers) == (422, False)
    assert "request-method" not in answer.text


def test_what_others_stored_does_not_stand_in_the_way_of_a_strict_caller(app: Flask) -> None:
    put(app, UPPER_CASE)

    assert put(app, {**RIGHT, "id": "q"}, **STRICT).status_code == 201


@pytest.mark.parametrize(
    ("preference", "status"),
    [
        ("handling=strict", 422),
        ("Handling = strict", 422),
        ('handling="strict"', 422),
        ("return=minimal, handling=strict; for=me, wait=10", 422),
        ("handling=strict, handling=lenient", 422),
        ("handling=lenient, handling=strict", 201),
        ("handling=lenient", 201),
        ("handling", 201),
        ("strict", 201),
        ('x="a, handling=strict"', 201),
        ('handling="', 201),
        ("", 201),
    ],
)
def test_a_preference_is_read_as_the_rfc_has_it(app: Flask, preference: str, status: int) -> None:
    answer = put(app, UPPER_CASE, Prefer=preference)

    assert answer.status_code == status
    assert ("Preference-Applied" in answer.headers) is (status == 422)


def test_a_warning_is_one_line_of_ascii_whatever_the_policy_says(app: Flask) -> None:
    key = 'ä"\\\r\nSet-Cookie: a=b'

    answer = put(app, policy("p", {"jwt": {key: "^x"}}))

    (warning,) = warnings(answer)
    assert warning.startswith(r'AccessPolicy/p matcho.jwt.\xe4"\\r\nSet-Cookie: a=b: reads like')
    assert "Set-Cookie" not in answer.headers


def test_of_many_warnings_as_many_are_sent_as_headers_may_be_long(app: Flask) -> None:
    answer = put(app, policy("p", {"jwt": {f"claim-{number}": "^x" for number in range(50)}}))

    found = warnings(answer)
    assert 1 < len(found) <= MAX_WARNINGS
    assert sum(map(len, answer.headers.getlist("Warning"))) < MAX_WARNED + 500
    assert found[-1].startswith(f"and {50 - len(found) + 1} more")


def test_of_many_short_warnings_twenty_headers_are_sent(app: Flask) -> None:
    answer = put(app, policy("p", {"jwt": "present?", "uri": {"$enum": ["b"] * 2 + [str(n) for n in range(40)]}}))

    found = warnings(answer)
    assert len(found) == MAX_WARNINGS
    assert found[-1].startswith("and 23 more")


def test_what_fills_the_headers_by_itself_is_counted(app: Flask) -> None:
    answer = put(app, policy("p", {"jwt": {"x" * 5_000: "^x"}}))

    assert warnings(answer) == ["and 1 more, which `flask foreign-token apply` names"]
