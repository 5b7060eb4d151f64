from __future__ import annotations

from collections.abc import Callable

import pytest

from flask_foreign_token.users.mapping import MAX_DEPTH, Identifier, check_to_scim, is_too_deep, to_scim, user_resource

SEED = {
    "sub": "74ae9aaf-5681-4231-96d3-eeec940a20b4",
    "email_verified": False,
    "preferred_username": "service-account-my-client",
}


def an_identifier(system: str = "keycloak", **changes: object) -> Identifier:
    values = {
        "system": system,
        "value": "74ae9aaf-5681-4231-96d3-eeec940a20b4",
        "issuer": "https://idp.example",
        "data": SEED,
        "attributes": {},
        "inactive": False,
        "version": 30,
        "created_at": 1_758_807_748.826592,
        "updated_at": 1_758_807_748.826592,
    }
    return Identifier(**{**values, **changes})


def test_a_user_looks_like_the_one_of_the_tutorial() -> None:
    assert user_resource("13dea80b-f5fa-4ec6-a758-67158db9844f", [an_identifier()], active=True) == {
        "data": SEED,
        "identifier": [{"value": "74ae9aaf-5681-4231-96d3-eeec940a20b4", "system": "keycloak"}],
        "id": "13dea80b-f5fa-4ec6-a758-67158db9844f",
        "resourceType": "User",
        "meta": {
            "lastUpdated": "2025-09-25T13:42:28.826592Z",
            "versionId": "30",
            "extension": [
                {"url": "https://aidbox.app/ex/createdAt", "valueInstant": "2025-09-25T13:42:28.826592Z"},
            ],
        },
    }


def test_an_instant_has_six_decimals_on_a_full_second_too() -> None:
    resource = user_resource(1, [an_identifier(updated_at=0.0)], active=True)

    assert resource["meta"]["lastUpdated"] == "1970-01-01T00:00:00.000000Z"


def test_an_inactive_user_says_so_and_an_active_one_says_nothing() -> None:
    assert user_resource(1, [], active=False)["inactive"] is True
    assert "inactive" not in user_resource(1, [], active=True)


def test_a_user_whom_no_provider_knows_has_no_meta() -> None:
    assert user_resource(7, [], active=True) == {"resourceType": "User", "id": "7", "identifier": [], "data": {}}


def test_several_identifiers_make_one_user_and_the_newest_is_believed() -> None:
    old = an_identifier(
        data={"sub": "1", "locale": "en"},
        attributes={"email": "old@example.org", "locale": "en"},
        version=2,
        created_at=10.0,
        updated_at=40.0,
    )
    new = an_identifier(
        system="entra",
        data={"sub": "2"},
        attributes={"email": "new@example.org"},
        version=3,
        created_at=20.0,
        updated_at=30.0,
    )

    resource = user_resource(1, [old, new], active=True)

    assert [identifier["system"] for identifier in resource["identifier"]] == ["keycloak", "entra"]
    assert resource["data"] == {"sub": "2", "locale": "en"}
    assert (resource["email"], resource["locale"]) == ("new@example.org", "en")
    assert resource["meta"]["versionId"] == "5"
    assert resource["meta"]["lastUpdated"] == "1970-01-01T00:00:40.000000Z"
    assert resource["meta"]["extension"][0]["valueInstant"] == "1970-01-01T00:00:10.000000Z"


@pytest.mark.parametrize(
    ("userinfo", "rules", "attributes"),
    [
        ({"default_email": "a@example.org"}, {"default_email": ["email"]}, {"email": "a@example.org"}),
        (
            {"first": "Ada", "last": "Lovelace"},
            {"first": ["name", "givenName"], "last": ["name", "familyName"]},
            {"name": {"givenName": "Ada", "familyName": "Lovelace"}},
        ),
        ({"groups": ["a", {"b": 1}]}, {"groups": ["groups"]}, {"groups": ["a", {"b": 1}]}),
        ({"email_verified": False, "n": 0}, {"email_verified": ["verified"], "n": ["n"]}, {"verified": False, "n": 0}),
        ({}, {"first": ["name", "givenName"]}, {}),
        ({"first": None}, {"first": ["name", "givenName"]}, {}),
        ({"email": "a@example.org"}, {}, {}),
    ],
)
def test_to_scim_puts_what_is_there_where_the_rules_say(userinfo: object, rules: object, attributes: object) -> None:
    assert to_scim(userinfo, rules) == attributes


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"default_email": ["email"], "first_name": ["name", "givenName"], "last_name": ["name", "familyName"]},
        {"id": ["provider", "id"]},
        {"a": ["x", "y"], "b": ["x", "z", "y"]},
    ],
)
def test_rules_that_keep_apart_pass(rules: object) -> None:
    assert check_to_scim(rules) == []


@pytest.mark.parametrize(
    "path",
    [
        None,
        "email",
        [],
        [""],
        ["name", ""],
        ["name", -1],
        ["name", 100],
        ["name", True],
        [0],
        {"0": "name"},
        [["name"]],
    ],
)
def test_a_path_that_is_no_list_of_names_is_refused(path: object) -> None:
    [(key, reason)] = check_to_scim({"email": path})

    assert (key, reason) == (
        "email",
        'must be a list that begins with a name, such as ["name", "givenName"] or ["emails", 0, "value"]',
    )


@pytest.mark.parametrize("name", ["resourceType", "id", "identifier", "data", "inactive", "meta"])
@pytest.mark.parametrize("rest", [[], ["versionId"]])
def test_a_path_into_what_is_ours_is_refused(name: str, rest: list[str]) -> None:
    [(key, reason)] = check_to_scim({"email": [name, *rest]})

    assert key == "email"
    assert reason.startswith(f"must not reach {name}")


@pytest.mark.parametrize(
    ("one", "other"), [(["name"], ["name"]), (["name"], ["name", "given"]), (["name", "given", "first"], ["name"])]
)
def test_two_paths_to_the_same_place_are_refused(one: list[str], other: list[str]) -> None:
    assert check_to_scim({"a": one, "b": other, "c": ["email"]}) == [
        ("b", "cannot stand beside a, which goes to the same place")
    ]


@pytest.mark.parametrize("wrap", [lambda value: {"a": 1, "b": value}, lambda value: [1, value]], ids=["object", "list"])
def test_what_is_nested_deeper_than_databases_take_is_too_deep(wrap: Callable[[object], object]) -> None:
    value: object = "text"
    for _ in range(MAX_DEPTH):
        value = wrap(value)

    assert not is_too_deep(value)
    assert is_too_deep(wrap(value))
