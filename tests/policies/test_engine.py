from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request

from flask_foreign_token.errors import Rejected
from flask_foreign_token.policies.condition import Condition, Decide
from flask_foreign_token.policies.decisions import Decision, Policies
from flask_foreign_token.policies.engine import EngineContext
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import CompiledPolicy, any_token, compile_policy
from flask_foreign_token.policies.request import RequestView
from flask_foreign_token.policies.simulated import simulated
from flask_foreign_token.policies.whom import Link

from .facts import token

ISSUER = "http://localhost:8180/realms/myrealm"
TUTORIAL = {
    "resourceType": "AccessPolicy",
    "id": "keycloak-users-policy",
    "engine": "matcho",
    "matcho": {"jwt": {"iss": ISSUER}},
}
DENIED = Decision(allowed=False, policy=None)

DECISIONS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "aidbox_decisions.json").read_text())
ENGINES = Engines()
DECIDABLE = [row for row in DECISIONS if all(policy["engine"] in ENGINES.names for policy in row["policies"])]


def policy(policy_id: str = "p", **body: Any) -> CompiledPolicy:
    return compile_policy(policy_id, "1", {"resourceType": "AccessPolicy", "id": policy_id, **body}, ENGINES)


def view(**parts: Any) -> RequestView:
    """A request of which only `parts` exist."""
    made = RequestView(None, None, None)
    made.update({name.replace("_", "-"): part for name, part in parts.items()})
    return made


def raising(policy_id: str, raised: Callable[[], BaseException]) -> CompiledPolicy:
    def allows(view: RequestView) -> bool:
        raise raised()

    return CompiledPolicy(policy_id, "1", "allow", (), any_token, allows, frozenset())


@pytest.mark.parametrize("row", DECIDABLE, ids=lambda row: row["name"])
def test_documented_decision(row: dict[str, Any]) -> None:
    policies = Policies(
        compile_policy(body.get("id", str(index)), "1", body, ENGINES) for index, body in enumerate(row["policies"])
    )

    assert policies.decide(row["request"]).allowed is row["allowed"]


def test_all_documented_decisions_of_these_engines_ran() -> None:
    assert len(DECISIONS) == 107
    assert len(DECIDABLE) == 107


def test_a_policy_is_compiled_from_the_resource_as_it_is_stored() -> None:
    body = {
        **TUTORIAL,
        "active": True,
        "description": "those of the realm",
        "meta": {"versionId": "3"},
        "link": [{"reference": "Client/web"}, {"resourceType": "User", "id": "u-1"}],
    }

    compiled = compile_policy("keycloak-users-policy", "3", body, ENGINES)

    assert (compiled.id, compiled.version, compiled.engine) == ("keycloak-users-policy", "3", "matcho")
    assert compiled.links == (Link("Client", "web"), Link("User", "u-1"))
    assert compiled.reads == {"client", "user"}


def test_a_policy_without_links_asks_what_its_pattern_says_of_the_token_and_of_the_request() -> None:
    of_token, of_both = (
        policy(engine="matcho", matcho=TUTORIAL["matcho"]),
        policy(engine="matcho", matcho={"jwt": {"iss": ISSUER}, "uri": "/a"}),
    )

    assert (of_token.of_request, of_token.reads) == (None, frozenset())
    assert of_both.of_request is not None
    assert of_both.reads == {"uri"}
    assert of_both.of_token(view(jwt={"iss": ISSUER}))
    assert not of_both.of_token(view(jwt={"iss": "other"}, uri="/a"))
    assert of_both.of_request(view(uri="/a"))
    assert not of_both.of_request(view(uri="/b", jwt={"iss": ISSUER}))
    assert policy(engine="allow").reads == frozenset()


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ({}, "engine", "allow, matcho"),
        ({"engine": None}, "engine", "no such engine"),
        ({"engine": ["allow"]}, "engine", "no such engine"),
        ({"engine": "Allow"}, "engine", "no such engine"),
        ({"engine": "matcho-rpc", "rpc": {}}, "engine", "no such engine"),
        ({"engine": "json-schema"}, "schema", "wants a schema"),
        ({"engine": "json-schema", "schema": {}}, "schema", "allow"),
        ({"engine": "matcho"}, "matcho", "wants a pattern"),
        ({"engine": "matcho", "matcho": None}, "matcho", "wants a pattern"),
        ({"engine": "matcho", "matcho": "present?"}, "matcho", "wants a pattern"),
        ({"engine": "matcho", "matcho": []}, "matcho", "wants a pattern"),
        ({"engine": "matcho", "matcho": {}}, "matcho", "allow"),
        ({"engine": "matcho", "matcho": {"$one-of": [{}]}}, "matcho", "allow"),
        ({"engine": "matcho", "matcho": {"jwt": {"iss": None}}}, "matcho.jwt.iss", '"nil?"'),
        ({"engine": "matcho", "matcho": {"$or": [{"uri": "/"}]}}, "matcho.$or", "$one-of"),
        ({"engine": "matcho", "matcho": {"client": {"id": "x"}, "$one-of": [{"uri": "/"}]}}, "matcho", "only key"),
        (
            {"engine": "matcho", "matcho": {"body": {"sql": "#^(?i)(?!.*(INSERT|UPDATE)).*"}}},
            "matcho.body.sql",
            "look-around",
        ),
        ({"engine": "matcho", "matcho": {"uri": "/"}, "schema": {}}, "schema", "no such attribute"),
        ({"engine": "matcho", "matcho": {"uri": "/"}, "sql": {"query": "x"}}, "sql", "no such attribute"),
        ({"engine": "matcho", "matcho": {"uri": "/"}, "and": []}, "and", "no such attribute"),
        ({"engine": "allow", "or": []}, "or", "no such attribute"),
        ({"engine": "allow", "matcho": {"uri": "/"}}, "matcho", "no such attribute"),
        ({"engine": "allow", "roleName": ""}, "roleName", "name of a role"),
        ({"engine": "allow", "roleName": ["admin"]}, "roleName", "name of a role"),
        ({"engine": "allow", "links": []}, "links", "no such attribute"),
        ({"engine": "allow", "link": []}, "link", "at least one"),
        ({"engine": "allow", "link": {"reference": "User/x"}}, "link", "list"),
        ({"engine": "allow", "link": None}, "link", "list"),
        ({"engine": "allow", "link": ["User/x"]}, "link.0", '{"reference": "User/…"}'),
        ({"engine": "allow", "link": [{}]}, "link.0", '{"reference": "User/…"}'),
        ({"engine": "allow", "link": [{"reference": 1}]}, "link.0", '{"reference": "User/…"}'),
        ({"engine": "allow", "link": [{"reference": "User/x", "id": "x"}]}, "link.0", '{"reference": "User/…"}'),
        ({"engine": "allow", "link": [{"resourceType": "User"}]}, "link.0", '{"reference": "User/…"}'),
        ({"engine": "allow", "link": [{"reference": "Role/x"}]}, "link.0.reference", "Operation/"),
        ({"engine": "allow", "link": [{"reference": "user/x"}]}, "link.0.reference", "User/"),
        ({"engine": "allow", "link": [{"reference": "User/"}]}, "link.0.reference", "User/"),
        ({"engine": "allow", "link": [{"reference": "User"}]}, "link.0.reference", "User/"),
        ({"engine": "allow", "link": [{"resourceType": "Role", "id": "x"}]}, "link.0.resourceType", "User/"),
        ({"engine": "allow", "link": [{"reference": "User/x"}, {"reference": "x"}]}, "link.1.reference", "User/"),
    ],
)
def test_a_policy_that_says_something_unknown_is_refused(body: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        policy(**body)

    (issue,) = rejected.value.issues
    assert issue.path == path
    assert reason in issue.message


def test_every_fault_of_a_policy_is_named() -> None:
    with pytest.raises(Rejected) as rejected:
        policy(engine="allow", matcho={}, schema={}, link=[{"reference": "x"}, {}])

    assert [issue.path for issue in rejected.value.issues] == ["matcho", "schema", "link.0.reference", "link.1"]


def test_no_policy_denies() -> None:
    assert Policies([]).decide(view(uri="/")) == DENIED


def test_the_decision_names_the_first_policy_that_allows() -> None:
    policies = Policies(
        [
            policy("puts", engine="matcho", matcho={"request-method": "put"}),
            policy("gets", engine="matcho", matcho={"request-method": "get"}),
            policy("others", engine="matcho", matcho={"request-method": {"$not": "put"}}),
        ]
    )

    assert policies.decide(view(request_method="get")) == Decision(allowed=True, policy="gets")
    assert policies.decide(view(request_method="post")) == Decision(allowed=True, policy="others")


def test_what_looks_only_at_the_token_is_tried_first() -> None:
    policies = Policies(
        [policy("gets", engine="matcho", matcho={"request-method": "get"}), policy("all", engine="allow")]
    )

    assert policies.decide(view(request_method="get")) == Decision(allowed=True, policy="all")


def test_with_names_only_the_named_policies_are_tried() -> None:
    policies = Policies([policy("all", engine="allow"), policy("gets", engine="matcho", matcho={"uri": "/a"})])

    assert policies.decide(view(uri="/a"), ["gets"]) == Decision(allowed=True, policy="gets")
    assert policies.decide(view(uri="/b"), ["gets"]) == DENIED
    assert policies.decide(view(uri="/b"), ["gets", "all"]) == Decision(allowed=True, policy="all")
    assert policies.decide(view(uri="/a"), ["unknown"]) == DENIED
    assert policies.decide(view(uri="/a"), ["unknown", "gets"]) == Decision(allowed=True, policy="gets")


def test_policies_know_their_ids() -> None:
    policies = Policies([policy("a", engine="allow"), policy("b", engine="allow")])

    assert "a" in policies
    assert "c" not in policies
    assert len(policies) == 2


@pytest.mark.parametrize(
    ("reference", "parts", "allowed"),
    [
        ("User/u-1", {"user": {"id": "u-1"}}, True),
        ("User/u-1", {"user": {"id": "u-2"}}, False),
        ("User/u-1", {"user": {"data": {"id": "u-1"}}}, False),
        ("User/u-1", {"client": {"id": "u-1"}, "operation": {"id": "u-1"}}, False),
        ("User/1", {"user": {"id": 1}}, False),
        ("User/u-1", {}, False),
        ("Client/https://app.example/id", {"client": {"id": "https://app.example/id"}}, True),
        ("Client/web", {"client": {"id": "mobile"}}, False),
        ("Client/web", {}, False),
        ("Operation/fhir.search", {"operation": {"id": "fhir.search"}}, True),
        ("Operation/fhir.search", {"operation": {"id": "fhir.read"}}, False),
        ("Operation/fhir.search", {}, False),
    ],
)
def test_a_link_narrows_a_policy(reference: str, parts: dict[str, Any], allowed: bool) -> None:
    kind, _, identifier = reference.partition("/")
    for link in ({"reference": reference}, {"resourceType": kind, "id": identifier}):
        assert Policies([policy(engine="allow", link=[link])]).decide(view(**parts)).allowed is allowed


def test_a_link_binds_a_named_policy_too() -> None:
    policies = Policies([policy("admins", engine="allow", link=[{"reference": "User/admin"}])])

    assert policies.decide(view(user={"id": "admin"}), ["admins"]).allowed
    assert not policies.decide(view(user={"id": "other"}), ["admins"]).allowed


def test_a_link_is_looked_at_before_the_engine_runs() -> None:
    asked: list[RequestView] = []

    class Watched(Condition):
        def compile(self) -> Decide:
            return lambda view: asked.append(view) is None

    class Watching:
        def parse(self, policy: Any, context: EngineContext) -> Condition:
            return Watched()

    body = {"engine": "watching", "link": [{"reference": "User/admin"}]}
    policies = Policies([compile_policy("p", "1", body, Engines(others={"watching": Watching()}))])

    assert not policies.decide(view(user={"id": "other"})).allowed
    assert asked == []
    assert policies.decide(view(user={"id": "admin"})).allowed
    assert len(asked) == 1


def test_a_policy_that_raises_denies_and_does_not_hide_the_others() -> None:
    broken = raising("broken", lambda: ValueError("eyJhbGciOi secret"))

    assert Policies([broken]).decide(view(uri="/")) == DENIED
    assert Policies([broken, policy("all", engine="allow")]).decide(view(uri="/")).policy == "all"


def test_a_policy_that_raises_is_logged_once_without_what_it_raised(caplog: pytest.LogCaptureFixture) -> None:
    broken = raising("broken", lambda: ValueError("eyJhbGciOi secret"))

    for policies in (Policies([broken]), Policies([broken])):
        policies.decide(view(uri="/"))
        policies.decide(view(uri="/"))

    (record,) = [record for record in caplog.records if record.name == "flask_foreign_token.policies"]
    assert record.levelno == logging.ERROR
    assert "AccessPolicy/broken" in record.getMessage()
    assert "ValueError" in record.getMessage()
    assert record.exc_info is None
    assert "secret" not in caplog.text


def test_a_policy_that_ends_the_process_denies_and_does_not_end_it() -> None:
    ending = raising("ending", lambda: SystemExit(1))

    assert Policies([ending, policy("all", engine="allow")]).decide(view(uri="/")).policy == "all"


class Raising(logging.Handler):
    """A handler of the app that has something wrong with it."""

    def handle(self, record: logging.LogRecord) -> bool:
        raise OSError


def test_a_log_that_fails_does_not_keep_the_others_from_being_tried() -> None:
    log = logging.getLogger("flask_foreign_token")
    handler = Raising()
    log.addHandler(handler)
    try:
        broken = raising("broken", lambda: ValueError())
        decisions = [Policies([broken, policy("all", engine="allow")]).decide(view(uri="/")) for _ in range(2)]
    finally:
        log.removeHandler(handler)

    assert [decision.policy for decision in decisions] == ["all", "all"]


def test_a_policy_that_is_only_tried_is_not_logged_and_is_once_a_request_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policies = Policies([raising("broken", lambda: ValueError())])

    assert policies.decide(simulated({"uri": "/"})) == DENIED
    assert caplog.records == []

    policies.decide(view(uri="/"))
    assert len(caplog.records) == 1


def test_an_interrupt_is_not_taken_for_a_denial() -> None:
    with pytest.raises(KeyboardInterrupt):
        Policies([raising("stopped", KeyboardInterrupt)]).decide(view(uri="/"))


@pytest.mark.parametrize("answer", ["deny", 1, ["x"], object(), None, 0])
def test_only_true_allows(answer: Any) -> None:
    sloppy = CompiledPolicy("p", "1", "allow", (), any_token, lambda view: answer, frozenset())

    assert Policies([sloppy]).decide(view(uri="/")) == DENIED


def test_what_cannot_be_told_denies_even_under_a_negation() -> None:
    policies = Policies([policy(engine="matcho", matcho={"uri": {"$not": "#^/admin"}})])

    assert policies.decide(view(uri="/open")).allowed
    assert not policies.decide(view(uri="/open" + "x" * 70_000)).allowed
    assert not policies.decide(view(uri="/open\ud800")).allowed


@pytest.mark.parametrize("pattern", [{"body": {"$not": {"secret": True}}}, {"resource": "nil?"}, {"$not": {"body": 1}}])
def test_a_body_that_does_not_parse_is_not_taken_for_a_missing_one(pattern: Any) -> None:
    policies = Policies([policy(engine="matcho", matcho=pattern)])

    def decide(**options: Any) -> bool:
        with Flask(__name__).test_request_context("/", method="POST", **options):
            return policies.decide(RequestView(request._get_current_object(), None, None)).allowed

    assert decide()
    assert not decide(data="{", content_type="application/json")


def test_a_real_request_is_decided_by_its_token() -> None:
    policies = Policies([compile_policy("keycloak-users-policy", "1", TUTORIAL, ENGINES)])

    def decide(claims: dict[str, Any] | None) -> Decision:
        with Flask(__name__).test_request_context("/fhir/Patient"):
            who = None if claims is None else token(claims)
            return policies.decide(RequestView(request._get_current_object(), who, None))

    assert decide({"iss": ISSUER}) == Decision(allowed=True, policy="keycloak-users-policy")
    assert decide({"iss": ISSUER + "/"}) == DENIED
    assert decide({"iss": [ISSUER]}) == DENIED
    assert decide(None) == DENIED
