"""Policies that no request can meet, and those of which that cannot be told."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import pytest

from flask_foreign_token.diagnosis.findings import Finding
from flask_foreign_token.diagnosis.policies import StoredUsers, check_policies_meant, check_policies_met
from flask_foreign_token.diagnosis.routes import Routes
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.lint import lint

from ..apps import Resource, introspector, policy, provider, trusting_a_secret
from ..registry.snapshots import built

ISSUER = "https://secret.example"
ROUTES = Routes(
    operations=frozenset({"patients", "foreign_token.on"}),
    switched_off=frozenset({"foreign_token.read_user"}),
    methods=frozenset({"get", "post"}),
    answers=lambda method, path: (method, path) != ("post", "/patients/1"),
    leads_somewhere=lambda path: path.startswith("/patients"),
)


def ada_is_stored(ids: Collection[str]) -> Collection[str]:
    return {"ada"} & set(ids)


def nobody_knows(ids: Collection[str]) -> None:
    return None


def found(
    *policies: Resource, routes: Routes = ROUTES, users: StoredUsers = ada_is_stored, more: Collection[Resource] = ()
) -> list[Finding]:
    resources = trusting_a_secret(*policies)
    return list(check_policies_met(built(*resources, *more), routes, users))


def reasons(*policies: Resource, **more: object) -> list[str]:
    """What is said, each after the name of its policy."""
    warnings = [finding for finding in found(*policies, **more) if finding.mark == "warning"]  # type: ignore[arg-type]
    return [finding.found.removeprefix("no request can meet AccessPolicy/") for finding in warnings]


def linked(name: str, *references: str) -> Resource:
    return policy(name, link=[{"reference": reference} for reference in references])


NEVER = {
    "operation": ({"operation": {"id": "patient"}}, "operation.id = patient, and the app has no such endpoint"),
    "operation in an array": ({"operation": {"id": {"$enum": ["a", "b"]}}}, "operation.id = a, and the app has"),
    "the operator's": ({"operation": {"id": "foreign_token.read_user"}}, "without FOREIGN_TOKEN_ADMIN_URL_PREFIX"),
    "user": ({"user": {"id": "eve"}}, "user.id = eve, and no such user is stored"),
    "issuer": ({"jwt": {"iss": "https://other.example"}}, "no introspector in force takes JWTs of that issuer"),
    "issuer of answers": ({"token": {"iss": ISSUER}}, "no introspector in force takes opaque tokens of that issuer"),
    "method": ({"request-method": "delete"}, "request-method = delete, and no view answers such a request"),
    "method in capitals": ({"request-method": "GET"}, "request-method = GET, and no view answers"),
    "head": ({"request-method": "head"}, "request-method = head, and no view answers"),
    "path": ({"uri": "/patient"}, "uri = /patient, and no route leads there"),
    "beside what can be": ({"uri": "/patients", "request-method": "put"}, "request-method = put"),
    "method and path": (
        {"request-method": "post", "uri": "/patients/1"},
        "request-method = post at uri = /patients/1, and no view there answers such a request",
    ),
    "method and paths": (
        {"request-method": "post", "uri": {"$enum": ["/patients/1", "/a"]}},
        "request-method = post at uri = /patients/1, and no view there answers such a request; it asks for",
    ),
    "alternatives": ({"$one-of": [{"uri": "/a"}, {"request-method": "put"}]}, "uri = /a, and no route leads there; it"),
}


@pytest.mark.parametrize(("matcho", "words"), NEVER.values(), ids=NEVER)
def test_a_policy_that_asks_for_what_is_not_there_is_named_with_the_reason(matcho: Resource, words: str) -> None:
    [reason] = reasons(policy("p", matcho))

    assert reason.startswith("p: it asks for ")
    assert words in reason


PERHAPS = {
    "operation": {"operation": {"id": "patients"}},
    "operation that is the operator's": {"operation": {"id": "foreign_token.on"}},
    "user": {"user": {"id": "ada"}},
    "client": {"client": {"id": "nobody"}},
    "issuer": {"jwt": {"iss": ISSUER}},
    "another claim": {"jwt": {"sub": "nobody"}},
    "method": {"request-method": "post"},
    "path": {"uri": "/patients/1"},
    "method beside another path": {"request-method": "post", "uri": "/patients"},
    "one method of several at a path": {"request-method": {"$enum": ["post", "get"]}, "uri": "/patients/1"},
    "one path of several for a method": {"request-method": "post", "uri": {"$enum": ["/patients/1", "/patients"]}},
    "alternatives that go together": {
        "$one-of": [{"request-method": "post", "uri": "/patients"}, {"request-method": "get", "uri": "/patients/1"}]
    },
    "method and expression": {"request-method": "post", "uri": "#^/patients/1$"},
    "expression": {"uri": "#^/patient$"},
    "one alternative that can be": {"$one-of": [{"uri": "/a"}, {"uri": "/patients"}]},
    "one member of an enum that can be": {"request-method": {"$enum": ["put", "get"]}},
    "a negation": {"uri": {"$not": "/a"}},
    "a scheme": {"scheme": "gopher"},
    "a path that is no text": {"uri": 5},
}


@pytest.mark.parametrize("matcho", PERHAPS.values(), ids=PERHAPS)
def test_nothing_is_said_of_a_policy_that_some_request_may_meet(matcho: Resource) -> None:
    [finding] = found(policy("p", matcho))

    assert (finding.check, finding.mark) == ("policies", "ok")


@pytest.mark.parametrize(
    ("references", "words"),
    [
        (["Operation/nothing"], "its link is Operation/nothing, and the app has no such endpoint"),
        (["User/eve"], "its link is User/eve, and no such user is stored"),
        (["User/eve", "User/bob"], "its link is User/eve, and no such user is stored; its link is User/bob"),
        (["User/eve", "Operation/nothing"], "no such user is stored; its link is Operation/nothing"),
        (["Operation/foreign_token.read_user"], "which is the operator's"),
    ],
    ids=["operation", "user", "users", "both", "operator"],
)
def test_a_link_that_leads_nowhere_is_called_a_link(references: list[str], words: str) -> None:
    [reason] = reasons(linked("p", *references))

    assert words in reason


@pytest.mark.parametrize(
    "references",
    [["User/eve", "User/ada"], ["User/eve", "Client/any"], ["Operation/nothing", "Operation/patients"], ["Client/any"]],
    ids=["user", "client beside user", "operation", "client"],
)
def test_one_link_that_may_lead_somewhere_is_enough(references: list[str]) -> None:
    assert reasons(linked("p", *references)) == []


def test_of_many_alternatives_three_are_named() -> None:
    [reason] = reasons(linked("p", *(f"User/{number}" for number in range(5))))

    assert reason.count("its link is") == 3
    assert reason.endswith("; and 2 more")


def test_what_an_engine_of_another_kind_asks_for_counts_as_well() -> None:
    both = policy(
        "p", engine="complex", **{"and": [{"engine": "matcho", "matcho": {"uri": "/a"}}, {"engine": "allow"}]}
    )
    either = policy(
        "q", engine="complex", **{"or": [{"engine": "matcho", "matcho": {"uri": "/a"}}, {"engine": "allow"}]}
    )
    schema = {"properties": {"uri": {"const": "/a"}}, "required": ["uri"]}

    named = reasons(both, either, policy("r", engine="json-schema", schema=schema))

    assert [reason.partition(":")[0] for reason in named] == ["p", "r"]


def test_policies_that_are_not_active_are_not_looked_at() -> None:
    assert reasons(policy("p", {"uri": "/a"}, active=False)) == []


def test_without_policies_nothing_is_said() -> None:
    assert list(check_policies_met(built(), ROUTES, ada_is_stored)) == []


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["p"], "1 policy; nothing speaks against its being met"),
        (["p", "q"], "2 policies; nothing speaks against any of them being met"),
    ],
    ids=["one", "two"],
)
def test_where_all_might_be_met_that_is_said_plainly(ids: list[str], words: str) -> None:
    [finding] = found(*(policy(name, {"uri": "/patients"}) for name in ids))

    assert finding.found == words


def test_findings_come_in_the_order_of_ids() -> None:
    named = reasons(policy("b", {"uri": "/a"}), policy("a", {"jwt": {"iss": "x"}}), policy("c", {"uri": "/b"}))

    assert [reason[0] for reason in named] == ["a", "b", "c"]


# ---- what cannot be told


def test_where_users_cannot_be_told_nothing_is_said_of_them() -> None:
    assert reasons(linked("p", "User/eve"), users=nobody_knows) == []


def test_where_methods_cannot_be_told_nothing_is_said_of_them() -> None:
    assert reasons(policy("p", {"request-method": "delete"}), routes=replace(ROUTES, methods=None)) == []


def test_users_are_asked_about_once_for_all_policies() -> None:
    asked: list[Collection[str]] = []

    def stored(ids: Collection[str]) -> Collection[str]:
        asked.append(ids)
        return ids

    found(
        linked("p", "User/eve"), linked("q", "User/bob", "User/eve"), policy("r", {"user": {"id": "ada"}}), users=stored
    )

    assert asked == [{"eve", "bob", "ada"}]


def test_where_no_policy_names_a_user_nobody_is_asked() -> None:
    def refuse(ids: Collection[str]) -> Collection[str]:
        raise AssertionError(ids)

    found(policy("p", {"uri": "/patients"}), users=refuse)


# ---- whose tokens can come


def opaque(**attributes: object) -> Resource:
    asked = {"url": "https://id.example/introspect", "client_id": "c", "client_secret": "s" * 20}
    return introspector("o", None, type="opaque", introspection_endpoint=asked, **{"jwt": {}, **attributes})


def test_an_issuer_whose_introspector_is_not_in_force_is_nobodys() -> None:
    off = [provider("off", active=False), introspector("off", "off", jwt={"iss": "https://off", "secret": "s" * 40})]

    [reason] = reasons(policy("p", {"jwt": {"iss": "https://off"}}), more=off)

    assert "no introspector in force" in reason


def test_answers_name_the_issuer_of_the_introspector_that_asks() -> None:
    asks = opaque(jwt={"iss": "https://id.example"})

    named = reasons(
        policy("right", {"token": {"iss": "https://id.example"}}),
        policy("wrong", {"token": {"iss": "https://other.example"}}),
        policy("as a jwt", {"jwt": {"iss": "https://id.example"}}) | {"id": "misplaced"},
        more=[asks],
    )

    assert [reason.partition(":")[0] for reason in named] == ["misplaced", "wrong"]


def test_answers_of_an_issuer_that_nobody_names_may_say_anything() -> None:
    assert reasons(policy("p", {"token": {"iss": "https://other.example"}}), more=[opaque()]) == []


# ---- what is probably not meant


def warned_of(*policies: Resource) -> list[str]:
    findings = list(check_policies_meant(built(*policies), partial(lint, engines=Engines())))
    assert {(finding.check, finding.mark) for finding in findings} <= {("policies", "warning")}
    return [finding.found for finding in findings]


def test_a_policy_that_lets_everybody_in_is_named_with_the_sentence_that_it_is_stored_with() -> None:
    everybody = policy("b")

    assert warned_of(everybody, policy("a", {"uri": "#^/pat"})) == [
        *map(str, lint("a", policy("a", {"uri": "#^/pat"}), Engines())),
        *map(str, lint("b", everybody, Engines())),
    ]


@pytest.mark.parametrize(
    "meant",
    [policy("p", {"jwt": "present?"}), linked("p", "Operation/patients"), policy("p", active=False)],
    ids=["asks for somebody", "names the operation", "not active"],
)
def test_of_one_that_is_meant_or_not_in_force_nothing_is_said(meant: Resource) -> None:
    assert warned_of(meant) == []
