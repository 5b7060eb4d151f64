"""Where a provider's ``toScim`` may aim, and where it must not: that is said when the provider is saved."""

from __future__ import annotations

import pytest

from .callers import Operated, operate, put, run, write
from .members import LISTED, Make, database, integer_model, make_fixture  # noqa: F401
from .people import People

UNREACHABLE = {
    "the id": ["id"],
    "the type": ["resourceType"],
    "the identifiers": ["identifier"],
    "the value of an identifier": ["identifier", 0, "value"],
    "the times": ["meta", "lastUpdated"],
    "whether inactive": ["inactive"],
    "the data": ["data"],
    "a part of the data": ["data", "role"],
    "a column that is not listed": ["is_admin"],
    "a part of a column that is not listed": ["is_admin", "x"],
    "the active attribute": ["is_active"],
    "a relationship": ["boss"],
    "a foreign key": ["boss_id"],
    "a hybrid property": ["shout"],
    "a part of a text": ["name", "givenName"],
    "a place of a text": ["email", 0],
    "nothing": [],
    "an empty name": [""],
    "a place first": [0],
    "a place below zero": ["profile", -1],
    "a number that is no place": ["profile", 1.5],
    "a boolean": ["profile", True],
    "null": ["profile", None],
    "a text and no path": "email",
}


@pytest.mark.parametrize("path", UNREACHABLE.values(), ids=UNREACHABLE.keys())
@pytest.mark.parametrize("way", ["rest", "command"])
def test_what_to_scim_must_not_reach_is_refused_when_saved(
    make: Make, people: People, tmp_path, way: str, path: object
):
    db = database()
    app = make(db, integer_model(db), **LISTED)
    before = operate(app, "GET", "/fhir/IdentityProvider").json
    body = people.resources("new", toScim={"name": ["name"], "role": path})[0]

    if way == "rest":
        answer = put(app, body)
        assert answer.status_code == 422
        assert all(issue["path"].startswith("toScim") for issue in answer.json["issues"])
        assert any("role" in issue["path"] for issue in answer.json["issues"])
    else:
        result = run(app, "apply", write(tmp_path, "all.json", [body]), status=1)
        assert "toScim" in result.stderr

    assert operate(app, "GET", "/fhir/IdentityProvider").json == before


@pytest.mark.parametrize(
    "path", [["name"], ["email"], ["profile"], ["profile", "theme"], ["profile", "a", 0, "b"], ["free"], ["free", 0]]
)
def test_what_to_scim_may_reach_is_stored(make: Make, people: People, path: list[object]):
    db = database()
    app = make(db, integer_model(db), **LISTED)
    body = people.resources("new", toScim={"role": path})[0]

    answer = put(app, body)

    assert answer.status_code == 201, answer.get_data(as_text=True)
    assert answer.json["toScim"] == {"role": path}


@pytest.mark.parametrize(
    "path", [["id"], ["identifier", 0, "value"], ["meta"], ["inactive"], ["data", "a"], ["resourceType"]]
)
def test_without_a_model_of_the_apps_own_it_is_no_different(operated: Operated, people: People, path: list[object]):
    app = operated()

    answer = put(app, people.resources(toScim={"role": path})[0])

    assert answer.status_code == 422
    assert all(issue["path"].startswith("toScim") for issue in answer.json["issues"])
    assert operate(app, "GET", "/fhir/IdentityProvider").json["total"] == 0


def test_one_rule_that_aims_wrongly_stops_all_that_come_with_it(operated: Operated, people: People, tmp_path):
    app = operated()
    good, bad = people.resources("good")[0], people.resources("bad", toScim={"role": ["id"]})[0]

    run(app, "apply", write(tmp_path, "all.json", [good, bad]), status=1)

    assert operate(app, "GET", "/fhir/IdentityProvider").json["total"] == 0


def test_what_was_stored_stays_when_a_new_rule_aims_wrongly(operated: Operated, people: People):
    app = operated(people.resources(toScim={"role": ["role"]}))

    assert put(app, people.resources(toScim={"role": ["inactive"]})[0]).status_code == 422

    assert operate(app, "GET", "/fhir/IdentityProvider/keycloak").json["toScim"] == {"role": ["role"]}
