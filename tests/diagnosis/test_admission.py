from __future__ import annotations

import pytest

from flask_foreign_token.diagnosis.admission import admissions, misplaced

from ..apps import Resource, policy

ISSUER = "https://id.example/realms/clinic"
NAMING = {"engine": "matcho", "matcho": {"jwt": {"iss": ISSUER}}}
OTHER = {"engine": "matcho", "matcho": {"jwt": {"iss": "https://other.example"}}}
ALLOW = {"engine": "allow"}
SQL = {"engine": "sql", "sql": {"query": "SELECT true"}}


def complex_policy(join: str, *conditions: object, **attributes: object) -> Resource:
    return {"resourceType": "AccessPolicy", "id": "p", "engine": "complex", join: list(conditions), **attributes}


@pytest.mark.parametrize(
    "there",
    [
        policy("p"),
        policy("p", {"jwt": {"iss": ISSUER}}),
        policy("p", {"jwt": {"iss": ISSUER, "azp": "app"}, "request-method": "get"}),
        policy("p", {"jwt": {"iss": "#^https://id\\.example/"}}),
        policy("p", {"jwt": {"iss": {"$enum": ["https://other.example", ISSUER]}}}),
        policy("p", {"$one-of": [{"user": "present?"}, {"jwt": {"iss": ISSUER}}]}),
        policy("p", {"jwt": {"iss": ISSUER}}, link=[{"reference": "Operation/patients"}]),
        policy("p", {"jwt": {"iss": ISSUER}}, roleName="doctor"),
        policy("p", {"jwt": {"iss": {"$not": "https://other.example"}}}),
        complex_policy("and", NAMING, SQL),
        complex_policy("and", ALLOW, NAMING),
        complex_policy("and", ALLOW, ALLOW),
        complex_policy("or", SQL, NAMING),
        complex_policy("or", OTHER, ALLOW),
        complex_policy("and", complex_policy("or", OTHER, NAMING), SQL),
    ],
)
def test_a_policy_that_names_the_issuer_or_asks_for_nothing_could_let_in(there: Resource) -> None:
    assert admissions([there], ISSUER)


@pytest.mark.parametrize(
    "there",
    [
        policy("p", active=False),
        policy("p", link=[{"reference": "User/ann"}]),
        policy("p", {"jwt": {"iss": "https://other.example"}}),
        policy("p", {"jwt": {"iss": f"{ISSUER}/"}}),
        policy("p", {"jwt": "present?"}),
        policy("p", {"request-method": "get"}),
        policy("p", {"jwt": {"iss": None}}),
        policy("p", {"jwt": {"iss": ISSUER, "azp": None}}),
        policy("p", {"$not": {"jwt": {"iss": ISSUER}}}),
        policy("p", roleName="doctor"),
        {"resourceType": "AccessPolicy", "id": "p", **SQL},
        {"resourceType": "AccessPolicy", "id": "p", "engine": "json-schema", "schema": {"required": ["jwt"]}},
        {"resourceType": "AccessPolicy", "id": "p", "engine": "cedar", "cedar": {"jwt": {"iss": ISSUER}}},
        complex_policy("and", ALLOW, SQL),
        complex_policy("and", OTHER, SQL),
        complex_policy("or", OTHER, SQL),
        complex_policy("or", OTHER, ALLOW, roleName="doctor"),
        complex_policy("or"),
        complex_policy("and", NAMING, active=False),
        {"resourceType": "AccessPolicy", "id": "p"},
    ],
)
def test_any_other_policy_does_not_count(there: Resource) -> None:
    assert admissions([there], ISSUER) == []


def test_without_policies_nobody_gets_in() -> None:
    assert admissions([], ISSUER) == []


def test_each_that_lets_in_is_named_with_how() -> None:
    policies = [policy("all"), policy("reading", {"request-method": "get"}), policy("clinic", {"jwt": {"iss": ISSUER}})]

    assert admissions(policies, ISSUER) == [
        "AccessPolicy/all lets everybody in",
        "AccessPolicy/clinic names the issuer",
    ]


@pytest.mark.parametrize(
    ("there", "admission"),
    [
        (policy("p"), "lets everybody in"),
        (policy("p", {"token": {"iss": ISSUER}}), "names the issuer"),
        (policy("p", {"$one-of": [{"user": "present?"}, {"token": {"iss": "#^https://id"}}]}), "names the issuer"),
        (policy("p", {"token": {"scope": "#read"}}), "is about opaque tokens"),
    ],
)
def test_a_policy_that_could_let_opaque_tokens_in_is_named_with_how(there: Resource, admission: str) -> None:
    assert admissions([there], ISSUER, "opaque") == [f"AccessPolicy/p {admission}"]


@pytest.mark.parametrize(
    "there",
    [
        policy("p", active=False),
        policy("p", {"jwt": {"iss": ISSUER}}),
        policy("p", {"token": {"iss": "https://other.example", "active": True}}),
        policy("p", {"token": "present?"}),
        policy("p", {"user": "present?"}),
    ],
)
def test_any_other_policy_does_not_count_for_opaque_tokens(there: Resource) -> None:
    assert admissions([there], ISSUER, "opaque") == []


def test_a_policy_about_opaque_tokens_lets_no_jwt_in() -> None:
    assert admissions([policy("p", {"token": {"iss": ISSUER}})], ISSUER) == []


def test_policies_that_name_the_issuer_for_the_other_kind_of_token_are_told() -> None:
    policies = [policy("j", {"jwt": {"iss": ISSUER}}), policy("t", {"token": {"iss": ISSUER}}), policy("all")]

    assert misplaced(policies, ISSUER, "opaque") == ["AccessPolicy/j names it under jwt"]
    assert misplaced(policies, ISSUER, "jwt") == ["AccessPolicy/t names it under token"]
