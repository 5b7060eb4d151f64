from __future__ import annotations

import pytest

from flask_foreign_token.users.to_scim import MAX_PLACES, MAX_STEPS, Targets, check_to_scim, to_scim


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
        ({"realm_access": {"roles": ["admin"]}}, {"realm_access.roles": ["roles"]}, {"roles": ["admin"]}),
        ({"emails": [{"value": "a"}, {"value": "b"}]}, {"emails.1.value": ["email"]}, {"email": "b"}),
        ({"emails": ({"value": "a"},)}, {"emails.0.value": ["email"]}, {"email": "a"}),
        ({"https://app.example/roles": ["a"]}, {"https://app.example/roles": ["roles"]}, {"roles": ["a"]}),
        ({"a.b": 1, "a": {"b": 2}}, {"a.b": ["n"]}, {"n": 1}),
        ({"a.b": None, "a": {"b": 2}}, {"a.b": ["n"]}, {}),
        ({"a": {"": 1}}, {"a.": ["n"]}, {"n": 1}),
        ({"a": {"0": 1}}, {"a.0": ["n"]}, {"n": 1}),
        ({"a": {"b": None}}, {"a.b": ["n"]}, {}),
        ({"e": "a"}, {"e": ["emails", 0, "value"]}, {"emails": [{"value": "a"}]}),
        (
            {"e": "a", "f": "b", "t": "work"},
            {"f": ["emails", 1, "value"], "e": ["emails", 0, "value"], "t": ["emails", 0, "type"]},
            {"emails": [{"value": "a", "type": "work"}, {"value": "b"}]},
        ),
        ({"f": "b"}, {"e": ["emails", 0, "value"], "f": ["emails", 7, "value"]}, {"emails": [{"value": "b"}]}),
        ({"n": 1}, {"n": ["grid", 3, 5]}, {"grid": [[1]]}),
        ({"x": 1, "y": 2}, {"x": ["l", 10], "y": ["l", 9]}, {"l": [2, 1]}),
        ({"o": {"l": [None, {}]}}, {"o": ["o"]}, {"o": {"l": [None, {}]}}),
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


@pytest.mark.parametrize(
    "key",
    [
        "emails.1", "emails.-1", "emails.+0", "emails.\u0660", "emails.\u00b2", "emails.0.0", "emails.0.value.0",
        "emails.first",
        "emails.", ".emails", "emails..0", "emails.00000", "emails." + "9" * 5000, "email", "n.0", "t.0", "gone.0",
    ],
    ids=lambda key: repr(key)[:20],
)  # fmt: skip
def test_a_source_that_leads_nowhere_gives_nothing(key: str) -> None:
    userinfo = {"emails": [{"value": "a"}], "n": 7, "t": "text", "gone": None}

    assert to_scim(userinfo, {key: ["x"]}) == {}


def test_what_was_said_is_not_changed_by_the_mapping() -> None:
    userinfo = {"emails": [{"value": "a"}], "o": {"l": [1]}}

    to_scim(userinfo, {"emails": ["x"], "o": ["y"], "emails.0.value": ["z", 0]})

    assert userinfo == {"emails": [{"value": "a"}], "o": {"l": [1]}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["emails", 0, "value"], ["emails", 0]),
        (["emails", 0, "value"], ["emails", 0, "value"]),
        (["emails", 0, "value"], ["emails", "first"]),
        (["emails", "0"], ["emails", 0]),
        (["emails"], ["emails", 0]),
    ],
    ids=repr,
)
def test_paths_through_a_list_that_would_get_into_each_others_way_are_refused(
    one: list[object], other: list[object]
) -> None:
    assert [key for key, _ in check_to_scim({"a": one, "b": other})] == ["b"]
    assert [key for key, _ in check_to_scim({"a": other, "b": one})] == ["b"]


def test_paths_to_several_places_of_a_list_pass() -> None:
    rules = {"a": ["emails", 0, "value"], "b": ["emails", 0, "type"], "c": ["emails", MAX_PLACES - 1]}

    assert check_to_scim(rules) == []


def test_the_longest_path_passes_and_a_longer_one_is_refused() -> None:
    assert check_to_scim({"a": ["n"] * MAX_STEPS}) == []
    assert check_to_scim({"a": ["n"] * (MAX_STEPS + 1)}) == [("a", f"must not be longer than {MAX_STEPS} names")]


TARGETS = Targets(closed=frozenset({"is_admin"}), plain=frozenset({"email"}))


@pytest.mark.parametrize("path", [["is_admin"], ["is_admin", "flag"], ["is_admin", 0]], ids=repr)
def test_an_attribute_that_the_app_has_not_listed_is_refused(path: list[object]) -> None:
    [(key, reason)] = check_to_scim({"admin": path}, TARGETS)

    assert (key, "must not reach is_admin" in reason, "user_attributes" in reason) == ("admin", True, True)


@pytest.mark.parametrize("path", [["email", "value"], ["email", 0]], ids=repr)
def test_a_listed_attribute_that_holds_no_objects_is_refused_below_its_name(path: list[object]) -> None:
    [(_, reason)] = check_to_scim({"mail": path}, TARGETS)

    assert reason.startswith("must not go below email")


@pytest.mark.parametrize(
    "path", [["email"], ["profile", "is_admin"], ["profile", "email", "value"], ["Is_admin"]], ids=repr
)
def test_listed_attributes_and_names_that_only_the_resource_has_pass(path: list[object]) -> None:
    assert check_to_scim({"a": path}, TARGETS) == []


def test_every_faulty_rule_is_named_and_a_faulty_one_stands_in_no_others_way() -> None:
    rules = {"a": ["id"], "b": ["is_admin"], "c": ["id"], "d": "email", "e": ["email"]}

    assert [key for key, _ in check_to_scim(rules, TARGETS)] == ["a", "b", "c", "d"]
