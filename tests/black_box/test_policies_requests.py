"""What a request costs, and when a change is in force: bodies, tokens already seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flask import request as flask_request

from flask_foreign_token import ForeignToken, require_policy
from flask_foreign_token.testing import Issuer

from ..apps import Resource, ask, policy, registry_of, trusting, write_registry
from ..conftest import MakeApp
from .callers import Operated, operate, put, put_all, run, write
from .judging import add_routes, install_engine, let_in, living, post_counted
from .tokens import OPAQUE, Server, active, asked_at

BODIES_LOOKED_AT: list[tuple[str, list[Resource], bool]] = [
    ("no policy", [policy("other", {"jwt": {"sub": "bob"}})], False),
    ("none looks", [policy("p", {"jwt": {"sub": "ada"}})], False),
    ("allow", [policy("p")], False),
    ("another path", [policy("p", {"uri": "/elsewhere", "body": {"a": 1}})], False),
    ("another issuer", [policy("p", {"jwt": {"iss": "https://other.example"}, "body": {"a": 1}})], False),
    ("another method", [policy("p", {"request-method": "get", "body": "present?"})], False),
    ("another view", [policy("p", {"body": {"a": 1}}, link=[{"reference": "Operation/me"}])], False),
    ("another client", [policy("p", {"body": {"a": 1}}, link=[{"reference": "Client/none"}])], False),
    (
        "an earlier one allows",
        [policy("a", {"jwt": {"sub": "ada"}}), policy("b", {"uri": "/e", "body": "nil?"})],
        False,
    ),
    ("body", [policy("p", {"uri": "/upload", "body": {"a": 1}})], True),
    ("resource", [policy("p", {"uri": "/upload", "resource": {"a": 1}})], True),
    ("a path into it", [policy("p", {"jwt": {"sub": ".body.who"}})], True),
    (
        "a schema",
        [
            {
                "resourceType": "AccessPolicy",
                "id": "p",
                "engine": "json-schema",
                "schema": {"required": ["jwt"], "properties": {"body": {"required": ["a"]}}},
            }
        ],
        True,
    ),
]


@pytest.mark.parametrize(("name", "policies", "looks"), BODIES_LOOKED_AT, ids=[row[0] for row in BODIES_LOOKED_AT])
def test_a_body_is_read_only_for_a_policy_that_looks_at_it(make_app: MakeApp, issuer, name, policies, looks):
    app = make_app(trusting(issuer, *policies))
    add_routes(app)

    _, reads = post_counted(app, issuer.token(sub="ada"), {"a": 1, "who": "ada"})

    assert (reads > 0) is looks


def test_a_body_that_a_policy_read_is_there_for_the_view(make_app: MakeApp, issuer: Issuer):
    app = make_app(trusting(issuer, policy("p", {"body": {"a": 1}})))

    @app.post("/echo")
    @require_policy
    def echo() -> Any:
        return {"json": flask_request.get_json(), "raw": flask_request.get_data(as_text=True)}

    answer = ask(app, issuer.token(), "/echo", "POST", json={"a": 1, "b": 2})

    assert answer.json["json"] == {"a": 1, "b": 2}
    assert json.loads(answer.json["raw"]) == {"a": 1, "b": 2}


def given(**said: object) -> Resource:
    return {"resourceType": "AccessPolicy", "id": "counted", "engine": "counting", "counting": said}


@pytest.fixture
def counting(operated: Operated, issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request):
    """An app without a policy but one of an engine that counts, and the engine."""
    name = "engine_" + "".join(character if character.isalnum() else "_" for character in request.node.name)
    engine = install_engine(tmp_path / "package", monkeypatch, name, counting="Engine")
    app = operated(trusting(issuer, policy("nobody", {"jwt": {"sub": "none"}})))

    def store(**said: object) -> Any:
        put(app, given(**said))
        engine.calls.clear()
        return app, engine.calls

    return store


@pytest.mark.parametrize("answer", [True, False])
def test_a_policy_that_looks_at_the_token_alone_is_decided_once_for_a_token(counting, issuer: Issuer, answer):
    app, calls = counting(answers=answer)
    first, second = issuer.token(sub="ada"), issuer.token(sub="bob")

    assert [let_in(app, first, path) for path in ("/patients", "/me", "/patients")] == [answer] * 3
    assert len(calls) == 1
    assert let_in(app, second) is answer
    assert len(calls) == 2


@pytest.mark.parametrize(
    "said",
    [
        {"deterministic": False},
        {"reads": ["jwt", "headers"]},
        {"reads": ["jwt", "body"]},
        {"reads": ["jwt", "params"]},
        {"reads": ["jwt", "uri"]},
        {"reads": ["uri"]},
        {"reads": ["uri", "request-method"]},
    ],
    ids=json.dumps,
)
def test_any_other_policy_is_decided_for_every_request(counting, issuer: Issuer, said):
    app, calls = counting(**said)
    token = issuer.token()

    assert [let_in(app, token) for _ in range(3)] == [True] * 3
    assert len(calls) == 3


def test_what_raises_is_not_remembered_as_an_answer(counting, issuer: Issuer):
    app, _ = counting(raises="once")
    token = issuer.token()
    assert not let_in(app, token)

    put(app, given(answers=True))
    assert let_in(app, token)


def test_an_anonymous_request_gets_no_answer_of_a_tokens(counting, issuer: Issuer):
    app, _ = counting(answers=True)
    assert let_in(app, issuer.token())
    put(app, policy("counted", {"jwt": {"sub": "ada"}}))

    assert let_in(app, issuer.token(sub="ada"))
    assert not let_in(app)


# What is changed takes effect on the next request.


@pytest.fixture
def changing(operated: Operated, issuer: Issuer):
    return operated(trusting(issuer, policy("p", {"jwt": {"sub": "ada"}})))


def test_a_changed_policy_counts_for_tokens_already_seen(changing, issuer: Issuer):
    ada, bob = issuer.token(sub="ada"), issuer.token(sub="bob")
    assert [let_in(changing, token) for token in (ada, bob, ada, bob)] == [True, False, True, False]

    put(changing, policy("p", {"jwt": {"sub": "bob"}}))
    assert [let_in(changing, token) for token in (ada, bob)] == [False, True]

    put(changing, policy("p", {"jwt": {"sub": "ada"}}))
    assert [let_in(changing, token) for token in (ada, bob)] == [True, False]


def test_a_deleted_policy_counts_no_more(changing, issuer: Issuer):
    token = issuer.token(sub="ada")
    assert let_in(changing, token)

    operate(changing, "DELETE", "/fhir/AccessPolicy/p")
    assert not let_in(changing, token)


def test_a_policy_that_is_added_or_switched_off_counts_at_once(changing, issuer: Issuer):
    token = issuer.token(sub="bob")
    assert not let_in(changing, token)

    put(changing, policy("q", {"jwt": {"sub": "bob"}}))
    assert let_in(changing, token)

    put(changing, policy("q", {"jwt": {"sub": "bob"}}, active=False))
    assert not let_in(changing, token)


def test_a_policy_that_is_refused_leaves_the_old_one_in_force(changing, issuer: Issuer):
    for body in ({"engine": "matcho", "matcho": {"a": None}}, {"engine": "nothing"}, {"engine": "sql", "sql": {}}):
        assert operate(changing, "PUT", "/fhir/AccessPolicy/p", body).status_code == 422
        assert let_in(changing, issuer.token(sub="ada"))
        assert not let_in(changing, issuer.token(sub="bob"))


def test_a_policy_applied_by_command_counts_at_once(changing, issuer: Issuer, tmp_path: Path):
    token = issuer.token(sub="bob")
    assert not let_in(changing, token)

    run(changing, "apply", write(tmp_path, "p.yaml", policy("p", {"jwt": {"sub": "bob"}})))
    assert let_in(changing, token)


def test_what_is_stored_after_a_refused_policy_stays_stored_in_memory_too(tmp_path: Path, issuer: Issuer):
    """An in-memory database has one connection, which a refusal must leave as it was."""
    with living(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://") as app:
        put_all(app, trusting(issuer))
        assert operate(app, "PUT", "/fhir/AccessPolicy/p", {"engine": "allow", "roleName": 1}).status_code == 422
        user = ask(app, issuer.token(sub="ada"), "/open").json["user"]

        assert operate(app, "GET", f"/fhir/User/{user}").status_code == 200


def test_two_apps_of_one_extension_decide_by_their_own_policies(make_app: MakeApp, issuer: Issuer):
    extension = ForeignToken()
    token = issuer.token(sub="ada")
    apps = [make_app(trusting(issuer, policy("p", {"jwt": {"sub": sub}})), extension) for sub in ("ada", "bob")]

    for _ in range(2):
        assert [let_in(app, token) for app in apps] == [True, False]


def test_a_policy_that_is_stored_anew_under_an_old_id_is_decided_anew(changing, issuer: Issuer):
    ada, bob = issuer.token(sub="ada"), issuer.token(sub="bob")
    assert [let_in(changing, token) for token in (ada, bob)] == [True, False]

    operate(changing, "DELETE", "/fhir/AccessPolicy/p")
    put(changing, policy("p", {"jwt": {"sub": "bob"}}))

    assert [let_in(changing, token) for token in (ada, bob)] == [False, True]


def test_links_and_roles_are_not_remembered_for_a_token(changing, issuer: Issuer):
    token = issuer.token(sub="ada")
    put(changing, policy("p", {"jwt": {"sub": "ada"}}, link=[{"reference": "Operation/me"}]))

    for _ in range(2):
        assert [let_in(changing, token, path) for path in ("/patients", "/me")] == [False, True]


def test_a_part_that_is_of_the_token_does_not_decide_for_the_rest(changing, issuer: Issuer):
    token = issuer.token(sub="ada")
    said = {"$one-of": [{"jwt": {"sub": "ada"}, "uri": "/me"}, {"jwt": {"sub": "bob"}}]}
    put(changing, {"resourceType": "AccessPolicy", "id": "p", "engine": "matcho", "matcho": said})

    for _ in range(2):
        assert [let_in(changing, token, path) for path in ("/patients", "/me")] == [False, True]
    both = [{"engine": "matcho", "matcho": {"jwt": {"sub": "ada"}}}, {"engine": "matcho", "matcho": {"uri": "/me"}}]
    for word, expected in (("and", [False, True]), ("or", [True, True])):
        put(changing, {"resourceType": "AccessPolicy", "id": "p", "engine": "complex", word: both})
        for _ in range(2):
            assert [let_in(changing, token, path) for path in ("/patients", "/me")] == expected


def test_a_path_out_of_the_token_is_not_remembered(changing, issuer: Issuer):
    token = issuer.token(sub="ada", mine="north")
    put(changing, policy("p", {"jwt": {"mine": ".params.tenant"}}))

    for _ in range(2):
        asked = [let_in(changing, token, f"/patients{query}") for query in ("", "?tenant=north", "?tenant=south")]
        assert asked == [False, True, False]


def test_a_registry_file_that_is_edited_counts_for_tokens_already_seen(make_app: MakeApp, issuer: Issuer):
    app = make_app(trusting(issuer, policy("p", {"jwt": {"sub": "ada"}})), FOREIGN_TOKEN_REGISTRY_POLL=0)
    ada, bob = issuer.token(sub="ada"), issuer.token(sub="bob")
    assert [let_in(app, token) for token in (ada, bob)] == [True, False]

    write_registry(registry_of(app), trusting(issuer, policy("p", {"jwt": {"sub": "bob"}})))
    assert [let_in(app, token) for token in (ada, bob)] == [False, True]


def test_what_a_provider_says_anew_of_a_token_is_decided_anew(timed_app: MakeApp, now, server: Server):
    app = timed_app([*asked_at(f"{server.url}/introspect", cache_ttl=10)[:2], policy("p", {"token": {"level": 3}})])
    server.pages["/introspect"] = active(iss=None, level=3)
    assert [let_in(app, OPAQUE) for _ in range(2)] == [True, True]

    server.pages["/introspect"] = active(iss=None, level=1)
    now.now += 20
    assert [let_in(app, OPAQUE) for _ in range(2)] == [False, False]
