"""What a policy is warned of when it is saved: each with a policy beside it that looks alike and is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flask_foreign_token.errors import Issue, Rejected
from flask_foreign_token.policies.anchors import tied_in_front, tied_somewhere
from flask_foreign_token.policies.condition import Condition
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.lint import MAX_WARNINGS, lint
from flask_foreign_token.registration import users_policy

from .. import vectors

ENGINES = Engines()


def warned(**body: Any) -> dict[str, str]:
    """The reasons by their paths."""
    return {issue.path: issue.message for issue in lint("p", body, ENGINES)}


def warned_of(pattern: dict[str, Any]) -> dict[str, str]:
    """What is said of a pattern, in a policy that asks for a token."""
    return warned(engine="complex", **{"and": [{"engine": "matcho", "matcho": pattern}, *TOKEN]})


TOKEN = [{"engine": "matcho", "matcho": {"jwt": "present?"}}]

ODD: list[tuple[dict[str, Any], str, str]] = [
    ({"request-method": "GET"}, "request-method", 'say "get"'),
    ({"request-method": {"$enum": ["get", "Post"]}}, "request-method.$enum.1", 'say "post"'),
    ({"request-method": {"$one-of": ["get", "Post"]}}, "request-method.$one-of.1", 'say "post"'),
    ({"request-method": {"$not": "DELETE"}}, "request-method.$not", 'say "delete"'),
    ({"request-method": "head"}, "request-method", 'say "get"'),
    ({"request-method": "HEAD"}, "request-method", 'say "get"'),
    ({"request-method": "read"}, "request-method", "no method of HTTP"),
    ({"request-method": "get "}, "request-method", 'say "get"'),
    ({"request-method": "#^(GET|POST)$"}, "request-method", "lower case"),
    ({"request-method": True}, "request-method", "is a text"),
    ({"request-method": ["get", "post"]}, "request-method", '{"$enum": […]}'),
    ({"uri": {"path": "/x"}}, "uri", '{"$enum": […]}'),
    ({"uri": "fhir/Patient"}, "uri", 'begins with "/"'),
    ({"uri": {"$enum": ["/a", "b"]}}, "uri.$enum.1", 'begins with "/"'),
    ({"uri": "/fhir/*"}, "uri", '"#^/fhir/.*"'),
    ({"user": {"roles": {"contains": "admin"}}}, "user.roles.contains", '"$contains"'),
    ({"user": {"roles": {"every": {"type": "x"}}}}, "user.roles.every", '"$every"'),
    ({"user": {"role": {"enum": ["a", "b"]}}}, "user.role.enum", '"$enum"'),
    ({"user": {"role": {"one-of": ["a", "b"]}}}, "user.role.one-of", '"$one-of"'),
    ({"params": {"id": {"one-of": ".user.ids"}}}, "params.id.one-of", '"$one-of"'),
    ({"user": {"role": {"not": "guest"}}}, "user.role.not", '"$not"'),
    ({"user": {"roles": {"length": 2}}}, "user.roles.length", '"$length"'),
    ({"user": {"roles": {"present-all": ["a", "b"]}}}, "user.roles.present-all", '"$present-all"'),
    ({"body": {"subject": {"reference": {"id": "1"}}}}, "body.subject.reference", '"$reference"'),
    ({"uri": {"enum": ["/a", "/b"]}}, "uri.enum", '"$enum"'),
    ({"or": [{"uri": "/a"}, {"uri": "/b"}]}, "or", '"$one-of"'),
    ({"user": {"anyOf": [{"id": "1"}]}}, "user.anyOf", '"$one-of"'),
    ({"user": {"role": {"in": ["a", "b"]}}}, "user.role.in", '"$enum"'),
    ({"and": [{"uri": "/a"}]}, "and", "under and"),
    ({"operation": "patients"}, "operation", "operation is an object"),
    ({"user": "present"}, "user", "user is an object"),
    ({"client": {"$enum": ["web"]}}, "client.$enum.0", "client is an object"),
    ({"uri": "^/api/.*"}, "uri", 'say "#^/api/.*"'),
    ({"uri": {"$one-of": ["/a", "^/b"]}}, "uri.$one-of.1", 'say "#^/b"'),
    ({"params": {"id": "[0-9]+"}}, "params.id", "regular expression"),
    ({"params": {"id": "[^/]"}}, "params.id", "regular expression"),
    ({"params": {"id": r"\d+"}}, "params.id", "regular expression"),
    ({"params": {"id": "Patient$"}}, "params.id", "regular expression"),
    ({"params": {"id": "Pat.+"}}, "params.id", "regular expression"),
    ({"params": {"id": "(?i)patient"}}, "params.id", "regular expression"),
    ({"user": {"roles": {"$contains": "admin.*"}}}, "user.roles.$contains", "regular expression"),
    ({"user": {"roles": {"$present-all": ["a", "b.*"]}}}, "user.roles.$present-all.1", "regular expression"),
    ({"user": {"roles": {"$every": "admin.*"}}}, "user.roles.$every", "regular expression"),
    ({"body": {"ref": {"$reference": {"id": "^1"}}}}, "body.ref.$reference.id", "regular expression"),
    ({"uri": "#/admin"}, "uri", "begin each alternative with ^"),
    ({"uri": "#/admin$"}, "uri", "anywhere in the uri"),
    ({"uri": "#^/a|/b"}, "uri", "anywhere in the uri"),
    ({"params": {"identifier": "#http://system"}}, "params.identifier", "anywhere in the text"),
    ({"method": "get"}, "method", 'say "request-method"'),
    ({"path": "/x"}, "path", 'say "uri"'),
    ({"heders": {"a": "b"}}, "heders", 'did you mean "headers"?'),
    ({"xyz": "present?"}, "xyz", "is no part of a request"),
    ({"session": {"id": "present?"}}, "session", "Aidbox"),
    ({"role": {"name": "admin"}}, "role", "roleName"),
    ({"$one-of": [{"uri": "/a"}, {"session": "present?"}]}, "$one-of.1.session", "Aidbox"),
    ({"params": {"id": ".session.user.id"}}, "params.id", '"session" is a part'),
    ({"params": {"id": {"$one-of": ".session.ids"}}}, "params.id.$one-of", '"session" is a part'),
    ({"params": {"id": ".headers.X-Id"}}, "params.id", 'say "x-id"'),
    ({"headers": {"X-Tenant": "a"}}, "headers.X-Tenant", 'say "x-tenant"'),
    ({"headers": {"authorization": "present?"}}, "headers.authorization", "credential"),
    ({"headers": {"Cookie": "present?"}}, "headers.Cookie", "credential"),
]

RIGHT: list[dict[str, Any]] = [
    {"request-method": "get"},
    {"request-method": {"$enum": ["get", "post", "patch", "propfind"]}},
    {"request-method": "#(?i)GET"},
    {"request-method": "#get|post"},
    {"request-method": {"$not": "delete"}},
    {"headers": {"request-method": "GET"}},
    {"uri": {"$enum": ["/a", "/b"]}},
    {"uri": {"$not": "/admin"}},
    {"uri": "/a/$import"},
    {"params": {"path": "fhir/*"}},
    {"user": {"roles": {"$contains": "admin"}}},
    {"body": {"expansion": {"contains": {"$contains": {"code": "x"}}}}},
    {"body": {"length": {"value": 3}}},
    {"body": {"enum": "x", "one-of": "y"}},
    {"body": {"subject": {"reference": "Patient/1"}}},
    {"body": {"subject": {"reference": ".user.fhirUser"}}},
    {"body": {"or": "Oregon", "in": {"unit": "inch"}, "and": "present?"}},
    {"uri": {"$enum": ["/a/^b", "/[^a]"]}},
    {"params": {"price": "5 $ a piece", "type": "a.b", "accept": "*/*"}},
    {"user": {"login": r"CORP\dave", "mail": "a.b+c@example.com", "list": "a|b"}},
    {"jwt": {"iss": "https://id.example/realms/a?b=c"}},
    {"uri": "#^/a"},
    {"uri": r"#\A/a"},
    {"uri": "#(?i)^/a"},
    {"uri": "#^/a|^/b"},
    {"uri": "#^(/a|/b)$"},
    {"uri": "#(?:^/a|(?<name>^/b))"},
    {"uri": "#^.*/admin"},
    {"params": {"name": "#^a"}},
    {"params": {"name": "#a$"}},
    {"jwt": {"scope": r"#\bpatient\.read\b"}},
    {"jwt": {"scope": "#(^| )patient( |$)"}},
    {"params": {"session": "x", "role": "y", "method": "z"}},
    {"params": {"id": ".user.session.role"}},
    {"headers": {"x-tenant": "a"}},
    {"params": {"id": ".headers.x-id"}},
    {"body": {"headers": {"Authorization": "x"}}},
]


@pytest.mark.parametrize(("pattern", "path", "reason"), ODD, ids=lambda value: json.dumps(value))
def test_what_is_probably_not_meant_is_said_with_its_place(pattern: dict[str, Any], path: str, reason: str) -> None:
    found = warned_of(pattern)

    assert list(found) == [f"and.0.matcho.{path}"]
    assert reason in found[f"and.0.matcho.{path}"]


@pytest.mark.parametrize("pattern", RIGHT, ids=json.dumps)
def test_what_looks_like_it_and_is_right_is_left_alone(pattern: dict[str, Any]) -> None:
    assert warned_of(pattern) == {}


@pytest.mark.parametrize(
    "source",
    ["(^/a)?", "(^/a)*/b", "(^/a){0,1}", "", "(?i)", "(/a|^/b)", "(?:^/a|/b)", "[^/]a", r"\^/a", "a^", "((^/a)|b)"],
)
def test_an_expression_that_may_begin_elsewhere_is_not_tied_in_front(source: str) -> None:
    assert not tied_in_front(source)


@pytest.mark.parametrize("source", ["^", "((^/a)|^/b)", r"^\|a", "^[|]a", "^(a|b)|^c", "(?i:^/a)", "(?P<x>^/a)", "(^a"])
def test_an_expression_that_begins_in_front_is_tied_there(source: str) -> None:
    assert tied_in_front(source)


@pytest.mark.parametrize(("source", "is_tied"), [("a", False), (r"a\$", False), ("[$]", False), ("^a|b", False)])
def test_a_sign_that_stands_for_itself_ties_nothing(source: str, is_tied: bool) -> None:
    assert tied_somewhere(source) is is_tied


def test_the_path_begins_at_the_top_of_the_policy() -> None:
    body = {"engine": "matcho", "matcho": {"jwt": "present?", "request-method": "GET"}}

    assert lint("readers", body, ENGINES) == [
        Issue(
            "AccessPolicy/readers",
            "matcho.request-method",
            'methods are lower case, so no request has "GET"; say "get"',
        )
    ]


def test_a_link_that_stands_twice_is_said() -> None:
    links = [{"reference": "User/a"}, {"reference": "User/b"}, {"resourceType": "User", "id": "a"}]

    assert list(warned(engine="allow", link=links)) == ["link.2"]
    assert warned(engine="allow", link=links[:2]) == {}


def test_the_pattern_behind_a_role_is_nothing_to_warn_of() -> None:
    assert warned(engine="allow", roleName="^admin.*") == {}


def test_what_provider_add_advises_is_right() -> None:
    assert lint("p", users_policy("keycloak", "https://id.example"), ENGINES) == []


def test_a_policy_that_is_refused_is_not_warned_of() -> None:
    with pytest.raises(Rejected):
        warned(engine="matcho", matcho={"request-method": "GET", "$or": []})


def test_no_more_are_named_than_somebody_reads() -> None:
    found = lint("p", {"engine": "matcho", "matcho": {"jwt": {f"a{number}": "^x" for number in range(200)}}}, ENGINES)

    assert len(found) == MAX_WARNINGS


class Broken(Condition):
    def compile(self) -> Any:
        return lambda view: False

    def warnings(self) -> Any:
        raise LookupError("what nobody should read")


class BrokenEngine:
    def parse(self, policy: object, context: object) -> Condition:
        return Broken()


def test_an_engine_of_another_package_that_fails_to_warn_does_not_keep_a_policy_from_being_saved() -> None:
    engines = Engines(others={"broken": BrokenEngine()})

    (issue,) = lint("p", {"engine": "broken", "broken": {}}, engines)

    assert (issue.path, issue.message) == ("engine", "the engine cannot tell what may be wrong: LookupError")


DECISIONS = json.loads((Path(__file__).parent / "aidbox_decisions.json").read_text())

WARNED_DECISIONS = {
    # A global allow, or a pattern that asks for a method alone.
    "allow, no links",
    "complex: one and (neither or neither)",
    "complex: one and (neither or one)",
    "complex: or, the list of patients or one of them, or a query",
    "several policies: one that allows is enough",
    "the same, split in two as advised",
    # An expression that is found anywhere.
    "practitioner of the department sees his patients",
    "a system updates its own patients",
    "bulk operations",
    "list of paths",
    # "wrong-access-policy" of the page: it takes links for conditions.
    "links are alternatives",
    # A part of the request that is Aidbox's alone.
    "session, role, link",
}


def test_of_the_documented_policies_those_are_warned_of_that_should_be() -> None:
    found = {
        row["name"].rpartition(": ")[0] for row in DECISIONS for policy in row["policies"] if lint("p", policy, ENGINES)
    }

    assert found == WARNED_DECISIONS


@pytest.mark.parametrize(
    "policies",
    vectors.cases(
        "authzen/interop.json",
        lambda: [pytest.param(vectors.read("authzen/interop.json")["policies"], id="all")],
    ),
)
def test_what_only_another_kind_of_request_has_is_all_that_is_said_of_policies_for_it(
    policies: dict[str, list[dict[str, Any]]],
) -> None:
    for policy in [policy for several in policies.values() for policy in several]:
        (issue,) = lint("p", policy, ENGINES)

        assert (issue.path, "is no part of a request" in issue.message) == ("matcho.action", True)
