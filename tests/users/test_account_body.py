from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from flask_foreign_token.errors import Rejected
from flask_foreign_token.registry.edits import MAX_BODY
from flask_foreign_token.users.account_body import MAX_IDENTIFIERS, AccountBody, read_account
from flask_foreign_token.users.nesting import MAX_DEPTH

ANN = {"system": "keycloak", "value": "ann"}


def nested(depth: int) -> Any:
    value: Any = "leaf"
    for _ in range(depth):
        value = {"in": value}
    return value


def faults(body: object, id_: str | None = "7") -> list[tuple[str, str]]:
    with pytest.raises(Rejected) as caught:
        read_account(body, id_)
    return [(issue.path, issue.message) for issue in caught.value.issues]


def test_every_member_of_a_resource_is_read() -> None:
    body = {
        "resourceType": "User",
        "id": "7",
        "identifier": [ANN],
        "inactive": True,
        "data": {"sub": "ann", "n": None},
        "meta": {"versionId": "3"},
        "email": "ann@example.com",
        "name": {"givenName": "Ann"},
    }

    account = read_account(body, "7")

    attributes = {"email": "ann@example.com", "name": {"givenName": "Ann"}}
    assert account == AccountBody((("keycloak", "ann"),), False, {"sub": "ann", "n": None}, attributes)


def test_what_is_left_out_is_none_and_a_user_is_active_unless_said_otherwise() -> None:
    assert read_account({}, "7") == read_account({}, None) == AccountBody((), True, {}, {})


@pytest.mark.parametrize("meta", [None, "1", {"versionId": 1}, []])
def test_meta_is_not_looked_at(meta: object) -> None:
    assert read_account({"meta": meta}, "7") == AccountBody((), True, {}, {})


def test_what_was_read_shares_nothing_with_the_body() -> None:
    body: dict[str, Any] = {"data": {"a": []}, "b": []}

    account = read_account(body, None)
    body["data"]["a"].append(1)
    body["b"].append(1)

    assert (account.data, account.attributes) == ({"a": []}, {"b": []})


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ({"resourceType": "Patient"}, "resourceType", "must be User"),
        ({"resourceType": None}, "resourceType", "must not be null"),
        ({"id": "8"}, "id", "must be the one that the user is kept under"),
        ({"id": 7}, "id", "must be a text"),
        ({"inactive": "true"}, "inactive", "must be true or false"),
        ({"inactive": 1}, "inactive", "must be true or false"),
        ({"inactive": None}, "inactive", "must not be null"),
        ({"data": []}, "data", "must be an object"),
        ({"data": None}, "data", "must not be null"),
        ({"identifier": {}}, "identifier", "must be a list"),
        ({"identifier": None}, "identifier", "must not be null"),
        ({"identifier": ["ann"]}, "identifier.0", "must be an object"),
        ({"identifier": [{"system": "keycloak"}]}, "identifier.0.value", "is required"),
        ({"identifier": [{"value": "ann"}]}, "identifier.0.system", "is required"),
        ({"identifier": [{**ANN, "use": "usual"}]}, "identifier.0.use", "no such attribute"),
        ({"identifier": [{**ANN, "value": 7}]}, "identifier.0.value", "must be a text"),
        ({"identifier": [{**ANN, "value": ""}]}, "identifier.0.value", "must not be blank"),
        ({"identifier": [{**ANN, "value": " \u2003"}]}, "identifier.0.value", "must not be blank"),
        ({"identifier": [{**ANN, "value": "a\nb"}]}, "identifier.0.value", "must not hold control characters"),
        ({"identifier": [{**ANN, "value": "a\x9f"}]}, "identifier.0.value", "must not hold control characters"),
        ({"identifier": [{**ANN, "value": "\ud800"}]}, "identifier.0.value", "must be UTF-8"),
        ({"identifier": [ANN, {**ANN, "value": "é" * 256}]}, "identifier.1.value", "not be longer than 255"),
        ({"identifier": [{**ANN, "system": "s" * 256}]}, "identifier.0.system", "not be longer than 255"),
        ({"identifier": [ANN, ANN]}, "identifier.1", "is there already"),
        ({"identifier": [{**ANN, "value": str(n)} for n in range(MAX_IDENTIFIERS + 1)]}, "identifier", "more than 100"),
        ({"data": {"a": ["x", "\0"]}}, "data.a.1", "NUL"),
        ({"data": {"a\0": 1}}, "data.a\\x00", "NUL"),
        ({"email": "\udc00"}, "email", "surrogate"),
        ({"name": {"givenName": ["\0"]}}, "name.givenName.0", "NUL"),
        ({"": 1}, "", "whose name is empty"),
        ({"data": nested(MAX_DEPTH + 1)}, "data", "nested"),
        ({"name": nested(MAX_DEPTH)}, "name", "nested"),
        ({"name": [nested(MAX_DEPTH)]}, "name", "nested"),
        ({"n": float("nan")}, "", "cannot be written as JSON"),
        ({"n": float("-inf")}, "", "cannot be written as JSON"),
        ({"n": 10**5000}, "", "cannot be written as JSON"),
        ({"n": {1, 2}}, "", "cannot be written as JSON"),
        ({"n": nested(100_000)}, "", "cannot be written as JSON"),
        ({"n": "x" * MAX_BODY}, "", "must not be larger than 1048576 bytes"),
        ([], "", "must be an object"),
        ("User", "", "must be an object"),
        (None, "", "must be an object"),
    ],
)
def test_a_fault_is_named_by_its_path_and_reason(body: object, path: str, reason: str) -> None:
    [(found, message)] = faults(body)

    assert found == path
    assert reason in message


def test_a_new_user_must_not_say_an_id() -> None:
    assert faults({"id": "7"}, None) == [("id", "must be left out where a new one is to be given")]


def test_all_faults_are_named_together() -> None:
    body = {"id": "8", "inactive": 0, "identifier": [{"system": ""}], "data": 1, "email": "\0"}

    paths = [path for path, _ in faults(body)]

    assert paths == ["data", "email", "id", "identifier.0.system", "identifier.0.value", "inactive"]


def test_what_is_just_within_the_limits_passes() -> None:
    body: Mapping[str, Any] = {
        "identifier": [{"system": "s" * 255, "value": "\U0001f600" * 255}],
        "data": nested(MAX_DEPTH),
        "name": nested(MAX_DEPTH - 1),
    }
    room = MAX_BODY - len(json.dumps({**body, "x": ""}, separators=(",", ":")))

    account = read_account({**body, "x": "x" * room}, None)

    assert account.data == nested(MAX_DEPTH)
    assert set(account.attributes) == {"name", "x"}
