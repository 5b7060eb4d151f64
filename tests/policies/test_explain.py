"""Why policies decide as they do, and that it is the same evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_foreign_token.policies.condition import Condition, Decide, Mismatch
from flask_foreign_token.policies.decisions import Decision, Policies
from flask_foreign_token.policies.engine import EngineContext
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.explain import Explanation, Report, explain
from flask_foreign_token.policies.policy import compile_policy
from flask_foreign_token.policies.python import CodePolicies
from flask_foreign_token.policies.request import RequestView
from flask_foreign_token.policies.simulated import simulated

from ..apps import Resource, policy
from ..vectors import cases, read

ISSUER = "https://issuer.example"


class Failing(Condition):
    """Allows only who has the right claim, and fails for everybody else."""

    def compile(self) -> Decide:
        return lambda view: view["jwt"]["sub"] == "ann" or 1 / 0 > 0  # type: ignore[index]


class FailingEngine:
    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        return Failing()


class Flickering(Condition):
    """Never says the same twice."""

    answers: ClassVar[list[bool]] = []

    def compile(self) -> Decide:
        return lambda view: self.answers.pop(0)


class FlickeringEngine:
    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        return Flickering()


ENGINES = Engines(others={"failing": FailingEngine(), "flickering": FlickeringEngine()})


def explained(bodies: list[Resource], request: Mapping[str, object], *names: str) -> Explanation:
    by_id = {body.get("id", str(index)): body for index, body in enumerate(bodies)}
    return explain(policies_of(by_id), by_id, ENGINES, simulated(request), names)


def policies_of(bodies: Mapping[str, Resource]) -> Policies:
    active = {id_: body for id_, body in bodies.items() if body.get("active", True)}
    return Policies(compile_policy(id_, "1", body, ENGINES) for id_, body in active.items())


def report_of(bodies: list[Resource], request: Mapping[str, object], *names: str) -> Report:
    """Of the only policy, or the last one."""
    return explained(bodies, request, *names).reports[-1]


def test_the_decision_is_the_one_that_a_request_gets() -> None:
    bodies = [policy("puts", {"request-method": "put"}), policy("all")]

    explanation = explained(bodies, {"request-method": "get"})

    assert explanation.decision == Decision(True, "all")
    assert [report.allowed for report in explanation.reports] == [False, True]


def test_a_mismatch_says_where_what_and_what_instead() -> None:
    report = report_of([policy("p", {"uri": "/a", "jwt": {"iss": ISSUER}})], {"uri": "/a", "jwt": {"iss": "other"}})

    assert report.mismatches == (Mismatch(("jwt", "iss"), ISSUER, "other"),)


def test_a_policy_that_allows_has_no_mismatches() -> None:
    report = report_of([policy("p", {"uri": "/a"})], {"uri": "/a"})

    assert (report.allowed, report.mismatches, report.error) == (True, (), None)


def test_what_its_links_want_stands_at_link() -> None:
    body = policy("p", link=[{"reference": "User/ann"}, {"reference": "Client/web"}])

    report = report_of([body], {"user": {"id": "bob"}})

    assert report.mismatches == (
        Mismatch(("user", "id"), {"reference": "User/ann"}, "bob"),
        Mismatch(("client", "id"), {"reference": "Client/web"}, None),
    )


def test_where_a_link_fits_only_the_condition_is_amiss() -> None:
    body = policy("p", {"uri": "/a"}, link=[{"reference": "User/ann"}, {"reference": "Client/web"}])

    report = report_of([body], {"user": {"id": "ann"}, "uri": "/b"})

    assert report.mismatches == (Mismatch(("uri",), "/a", "/b"),)


def test_what_an_engine_raises_is_named_by_its_class(caplog: pytest.LogCaptureFixture) -> None:
    body = {"resourceType": "AccessPolicy", "id": "p", "engine": "failing"}

    failed, good = (report_of([body], {"jwt": {"sub": name}}) for name in ("bob", "ann"))

    assert (failed.allowed, failed.error, failed.mismatches) == (False, "ZeroDivisionError", ())
    assert (good.allowed, good.error) == (True, None)


def test_an_engine_that_changes_its_mind_is_shown_as_it_decided() -> None:
    Flickering.answers = [False, True]

    explanation = explained([{"resourceType": "AccessPolicy", "id": "p", "engine": "flickering"}], {})

    (report,) = explanation.reports
    assert (explanation.decision.allowed, report.allowed) == (False, False)
    assert [mismatch.expected for mismatch in report.mismatches] == ["that the policy allows it"]


@pytest.mark.parametrize(
    ("body", "request_", "candidate", "why"),
    [
        (policy("p"), {}, True, "always looked at"),
        (policy("p", {"params": {"a": "1"}}), {}, True, "always looked at"),
        (policy("p", {"uri": "/a"}), {"uri": "/a"}, True, 'filed under uri = "/a", as the request has it'),
        (policy("p", {"uri": "/a"}), {"uri": "/b"}, False, 'filed under uri = "/a"; the request has another'),
        (policy("p", {"jwt": {"iss": "x"}}), {}, False, 'filed under jwt.iss = "x"; the request has none'),
        (policy("p", {"jwt": {"pin": 7}}), {}, False, 'filed under jwt.pin = "********"; the request has none'),
        (policy("p", {"jwt": {"adult": True}}), {}, False, "filed under jwt.adult = true; the request has none"),
        (policy("p", active=False), {}, False, "inactive"),
        (
            policy("p", link=[{"reference": "User/a"}, {"reference": "Client/b"}]),
            {"client": {"id": "c"}},
            False,
            'filed under user.id = "a" or client.id = "b"; the request has another',
        ),
    ],
)
def test_it_says_why_a_policy_is_a_candidate_or_not(
    body: Resource, request_: dict[str, object], candidate: bool, why: str
) -> None:
    report = report_of([body], request_)

    assert (report.candidate, report.why) == (candidate, why)


def test_a_policy_that_is_filed_twice_says_so() -> None:
    bodies = [policy(f"p{n}", {"jwt": {"iss": ISSUER}, "uri": f"/{n}"}) for n in range(20)]
    bodies += [policy(f"q{n}", {"jwt": {"iss": ISSUER}, "uri": "/q"}) for n in range(20)]

    reports = explained(bodies, {"jwt": {"iss": ISSUER}, "uri": "/3"}).reports

    assert [report.id for report in reports if report.candidate] == ["p3"]
    assert all("filed under" in report.why for report in reports)


def test_a_policy_that_is_no_candidate_never_allows() -> None:
    bodies = [policy(f"p{n}", {"uri": f"/{n}"}) for n in range(5)]

    reports = explained(bodies, {"uri": "/3"}).reports

    assert [report.allowed for report in reports] == [report.candidate for report in reports]
    assert [report.mismatches for report in reports if report.allowed] == [()]


def test_with_names_the_others_are_no_candidates() -> None:
    explanation = explained([policy("a"), policy("b", {"uri": "/b"})], {"uri": "/a"}, "b")

    assert explanation.decision == Decision(False, None)
    assert [(report.id, report.candidate, report.why) for report in explanation.reports] == [
        ("a", False, "not named by the guard"),
        ("b", True, "named by the guard"),
    ]


def test_a_name_without_a_policy_is_shown() -> None:
    report = report_of([policy("a")], {}, "a", "gone")

    assert (report.id, report.candidate, report.why) == ("gone", False, "named by the guard, but not there")


def test_a_policy_out_of_service_says_why() -> None:
    bodies = {"bad": policy("bad", {"jwt": {"iss": None}}), "good": policy("good")}

    bad, good = explain(policies_of({"good": bodies["good"]}), bodies, ENGINES, simulated({})).reports

    assert bad.why.startswith("out of service: matcho.jwt.iss: ")
    assert (bad.candidate, bad.allowed, bad.out_of_service) == (False, False, True)
    assert (good.allowed, good.out_of_service) == (True, False)


@pytest.mark.parametrize("fault", [{"active": "no"}, {"description": 5}])
def test_one_of_which_only_the_engine_can_read_its_part_is_out_of_service_too(fault: dict[str, object]) -> None:
    bodies = {"bad": {**policy("bad"), **fault}, "off": {**policy("off"), "active": False}}

    bad, off = explain(policies_of({}), bodies, ENGINES, simulated({})).reports

    assert (bad.why.partition(";")[0], bad.allowed, bad.out_of_service) == ("out of service", False, True)
    assert (off.why, off.out_of_service) == ("inactive", False)


def test_the_nearest_want_least_and_can_be_asked() -> None:
    two, one = policy("two", {"uri": "/a", "scheme": "https"}), policy("one", {"uri": "/a"})
    bodies = [two, policy("off", active=False), one, policy("all")]

    explanation = explained(bodies, {"uri": "/b", "scheme": "http"})

    assert [report.id for report in explanation.nearest(5)] == ["one", "two"]
    assert [report.id for report in explanation.nearest(1)] == ["one"]


def test_a_role_that_is_missing_is_told_in_its_own_word() -> None:
    body = policy("p", {"uri": "/a"}, roleName="nurse")

    def amiss(request: dict[str, object]) -> tuple[Mismatch, ...]:
        return report_of([body], {"uri": "/a", **request}).mismatches

    assert amiss({"user": {"roles": ["clerk"]}}) == (Mismatch(("user", "roles"), {"roleName": "nurse"}, ["clerk"]),)
    assert amiss({"user": {}}) == amiss({}) == (Mismatch(("user", "roles"), {"roleName": "nurse"}, None),)
    for roles in ("nurse", ["clerk", "nurse"], [{"value": "nurse"}]):
        assert amiss({"user": {"roles": roles}}) == ()


def function(answer: Callable[[dict[str, Any]], object], request: Mapping[str, object]) -> Report:
    code = CodePolicies()
    code.add("own", answer)
    return explain(Policies([]), {}, ENGINES, simulated(request), ["own"], code).reports[0]


@pytest.mark.parametrize(
    ("answer", "allowed", "error"),
    [
        (lambda request: request["uri"] == "/a", True, None),
        (lambda request: request["uri"] == "/b", False, None),
        (lambda request: "yes", False, None),
        (lambda request: 1 / 0, False, "ZeroDivisionError"),
    ],
)
def test_a_policy_in_python_is_asked(answer: Callable[[dict[str, Any]], object], allowed: bool, error: str) -> None:
    report = function(answer, {"uri": "/a"})

    assert (report.id, report.engine, report.candidate) == ("own", "python", True)
    assert (report.allowed, report.error) == (allowed, error)


def test_a_policy_in_python_stands_before_a_stored_one_of_that_name() -> None:
    code = CodePolicies()
    code.add("own", lambda request: False)
    bodies = {"own": policy("own"), "other": policy("other")}

    def said(*names: str) -> list[tuple[str, str, bool]]:
        reports = explain(policies_of(bodies), bodies, ENGINES, simulated({}), names, code).reports
        return [(report.id, report.engine, report.allowed) for report in reports]

    assert said("own") == [("own", "python", False), ("other", "allow", True)]
    assert said("other") == said() == [("own", "allow", True), ("other", "allow", True)]


def test_names_are_tried_in_their_order_those_in_python_too() -> None:
    code = CodePolicies()
    code.add("own", lambda request: True)
    bodies = {"a": policy("a"), "b": policy("b", {"uri": "/b"})}

    def deciding(*names: str) -> str | None:
        view = simulated({})
        explanation = explain(policies_of(bodies), bodies, ENGINES, view, names, code)
        assert explanation.decision == code.decide(policies_of(bodies), view, names)
        return explanation.decision.policy

    assert deciding("b", "own", "a") == "own"
    assert deciding("gone", "a", "own") == "a"
    assert deciding("b", "gone") is None


# ---- each is asked once


class Counted(Condition):
    """Says what it is told to, and counts how often it is asked."""

    asked: ClassVar[list[str]] = []

    def __init__(self, says: str) -> None:
        self.says = says

    def compile(self) -> Decide:
        def allows(view: RequestView) -> bool:
            self.asked.append(self.says)
            return self.says == "yes" or (self.says == "fail" and 1 / 0 > 0)

        return allows

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        return [] if self.says == "yes" else [Mismatch(("uri",), self.says, None)]


class CountedEngine:
    def parse(self, policy: Mapping[str, object], context: EngineContext) -> Condition:
        return Counted(str(policy["counted"]))


COUNTING = Engines(others={"counted": CountedEngine()})
SAYING: list[Resource] = [
    {"resourceType": "AccessPolicy", "id": says, "engine": "counted", "counted": says} for says in ("no", "fail", "yes")
]


def test_every_policy_is_asked_once() -> None:
    bodies = {body["id"]: body for body in SAYING}
    policies = Policies(compile_policy(id_, "1", body, COUNTING) for id_, body in bodies.items())
    asked: list[dict[str, Any]] = []
    code = CodePolicies()
    code.add("own", lambda request: asked.append(request))
    Counted.asked.clear()

    explanation = explain(policies, bodies, COUNTING, simulated({}), ["no", "own", "fail", "yes"], code)

    assert explanation.decision == Decision(True, "yes")
    assert (sorted(Counted.asked), len(asked)) == (["fail", "no", "yes"], 1)
    assert [report.error for report in explanation.reports] == [None, "ZeroDivisionError", None, None]


def test_those_that_have_refused_a_request_are_not_asked_again() -> None:
    bodies = {body["id"]: body for body in SAYING[:2]}
    policies = Policies(compile_policy(id_, "1", body, COUNTING) for id_, body in bodies.items())
    asked: list[dict[str, Any]] = []
    code = CodePolicies()
    code.add("own", lambda request: asked.append(request))
    code.add("failing", lambda request: asked.append(request) or 1 / 0)
    view, names = simulated({}), ["no", "own", "fail", "failing"]
    Counted.asked.clear()

    assert not code.decide(policies, view, names).allowed
    explanation = explain(policies, bodies, COUNTING, view, names, code, refused=True)

    assert (Counted.asked, len(asked)) == (["no", "fail"], 2)
    assert not explanation.decision.allowed
    assert {report.id: report.error or report.mismatches[0].expected for report in explanation.reports} == {
        "no": "no",
        "fail": "ZeroDivisionError",
        "own": "that the policy allows it",
        "failing": "ZeroDivisionError",
    }


# ---- the recorder and the fast path agree


def decisions() -> list[pytest.ParameterSet]:
    return [pytest.param(row, id=row["name"]) for row in read("aidbox-policies/decisions.json")]


def authzen() -> list[pytest.ParameterSet]:
    table = read("authzen/interop.json")
    return [
        pytest.param((table["policies"][row["set"]], table["users"], row), id=f"{row['set']} {index}")
        for index, row in enumerate(table["rows"])
    ]


@pytest.mark.parametrize("row", cases("aidbox-policies/decisions.json", decisions))
def test_documented_decisions_are_explained_as_they_are_decided(row: dict[str, Any]) -> None:
    explanation = explained(row["policies"], row["request"])

    assert explanation.decision.allowed is row["allowed"]
    agreeing(explanation, {body.get("id", str(n)): body for n, body in enumerate(row["policies"])}, row["request"])


@pytest.mark.parametrize("case", cases("authzen/interop.json", authzen))
def test_decisions_of_authzen_are_explained_as_they_are_decided(case: Any) -> None:
    bodies, users, row = case
    user = users.get(row["request"]["subject"].get("id"))
    request = {**row["request"], **({} if user is None else {"user": user})}

    explanation = explained(bodies, request)

    assert explanation.decision.allowed is row["decision"]
    agreeing(explanation, {body["id"]: body for body in bodies}, request)


def agreeing(explanation: Explanation, bodies: Mapping[str, Resource], request: Mapping[str, object]) -> None:
    """Each policy by itself decides as its report says, and the report gives a reason exactly where it denies."""
    assert [report.id for report in explanation.reports] == list(bodies)
    for report in explanation.reports:
        compiled = compile_policy(report.id, "1", bodies[report.id], ENGINES)
        assert Policies([compiled]).decide(simulated(request)).allowed is report.allowed
        assert report.allowed is (not report.mismatches and report.error is None)
    assert explanation.decision == policies_of(bodies).decide(simulated(request))


@given(
    rows=st.lists(st.tuples(*[st.sampled_from([None, "a", "b"])] * 3, st.booleans()), max_size=12),
    request_=st.tuples(*[st.sampled_from([None, "a", "b"])] * 3),
    names=st.lists(st.sampled_from([f"p{n}" for n in range(14)]), max_size=4),
)
def test_what_follows_from_the_reports_is_what_a_request_gets(rows: Any, request_: Any, names: list[str]) -> None:
    def parts(uri: str | None, sub: str | None, page: str | None) -> dict[str, Any]:
        said = {"uri": uri, "jwt": sub and {"sub": sub}, "params": page and {"page": page}}
        return {name: part for name, part in said.items() if part is not None}

    bodies = {f"p{n}": policy(f"p{n}", parts(*row[:3]) or None, active=row[3]) for n, row in enumerate(rows)}
    policies = policies_of(bodies)

    explanation = explain(policies, bodies, ENGINES, simulated(parts(*request_)), names)

    assert explanation.decision == policies.decide(simulated(parts(*request_)), names)


def test_a_view_of_a_request_can_be_explained() -> None:
    body = policy("p", {"uri": "/a"})

    explanation = explain(policies_of({"p": body}), {"p": body}, ENGINES, view())

    assert explanation.reports[0].mismatches == (Mismatch(("uri",), "/a", "/b"),)


def view() -> RequestView:
    class Facts:
        path = "/b"

    return RequestView(Facts(), None, None)  # type: ignore[arg-type]
