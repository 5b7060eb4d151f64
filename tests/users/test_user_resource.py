from __future__ import annotations

import pytest

from flask_foreign_token.users.identifier import Identifier
from flask_foreign_token.users.user_resource import user_resource

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


def test_what_the_apps_model_holds_stands_before_what_providers_say() -> None:
    said = an_identifier(attributes={"email": "said@example.org", "locale": "en"})

    resource = user_resource(1, [said], active=True, own={"email": "own@example.org"})

    assert (resource["email"], resource["locale"]) == ("own@example.org", "en")


def test_what_the_apps_model_does_not_hold_is_not_shown_whatever_providers_say() -> None:
    said = an_identifier(attributes={"email": "said@example.org"})

    assert "email" not in user_resource(1, [said], active=True, own={"email": None, "nickname": None})


@pytest.mark.parametrize("value", [False, 0, "", {}], ids=["false", "0", "empty", "object"])
def test_only_null_is_not_shown(value: object) -> None:
    assert user_resource(1, [], active=True, own={"newsletter": value})["newsletter"] == value


def test_what_a_token_names_is_believed_first_and_its_data_is_that_of_no_other() -> None:
    old = an_identifier(
        data={"sub": "1", "roles": ["guest"]}, attributes={"roles": ["guest"], "nickname": "written over"}
    )
    new = an_identifier(
        system="entra",
        data={"sub": "2", "roles": ["admin"], "locale": "en"},
        attributes={"roles": ["admin"], "locale": "en", "email": "said@example.org"},
        written={"nickname": "by an operator"},
    )

    resource = user_resource(1, [old, new], active=True, own={"email": "own@example.org"}, named=old)

    assert resource["data"] == {"sub": "1", "roles": ["guest"]}
    assert (resource["roles"], resource["locale"]) == (["guest"], "en")
    assert (resource["nickname"], resource["email"]) == ("by an operator", "own@example.org")
    merged = user_resource(1, [old, new], active=True)
    assert (resource["meta"], resource["identifier"]) == (merged["meta"], merged["identifier"])
    assert (merged["data"]["roles"], merged["roles"]) == (["admin"], ["admin"])
