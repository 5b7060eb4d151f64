"""What policies say of a token before any request with it, and how often they are asked."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any
from weakref import ref

import pytest
from flask import Flask, request

from flask_foreign_token.policies.condition import Alternatives, Equality
from flask_foreign_token.policies.decisions import DENIED, FEW, REMEMBERED, Decision, Policies
from flask_foreign_token.policies.engines import Engines
from flask_foreign_token.policies.policy import TOKEN_PARTS, CompiledPolicy, any_token, compile_policy
from flask_foreign_token.policies.request import RequestView

from .facts import token

ENGINES = Engines()


def matcho(policy_id: str, **pattern: Any) -> CompiledPolicy:
    return compile_policy(policy_id, "1", {"engine": "matcho", "matcho": pattern}, ENGINES)


@dataclass
class Asked:
    """A policy that counts how often it is asked."""

    reads: frozenset[str] = frozenset({"jwt"})
    deterministic: bool = True
    answer: bool = True
    seen: list[RequestView] = field(default_factory=list)

    def allows(self, view: RequestView) -> bool:
        self.seen.append(view)
        return self.answer

    def policy(self, policy_id: str = "p", *groups: Alternatives) -> CompiledPolicy:
        allows = self.allows
        if self.deterministic and self.reads <= TOKEN_PARTS:
            return CompiledPolicy(policy_id, "1", "own", (), allows, None, frozenset(), equalities=groups)
        return CompiledPolicy(policy_id, "1", "own", (), any_token, allows, self.reads, equalities=groups)


numbers = count()


def on(who: Any, path: str = "/") -> RequestView:
    """A request of its own with that token."""
    with Flask(__name__).test_request_context(f"{path}?number={next(numbers)}"):
        return RequestView(request._get_current_object(), who, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize("names", [(), ("p",)])
@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("who", [token(), None], ids=["token", "anonymous"])
def test_a_policy_that_reads_only_the_token_is_asked_once_for_it(who: Any, answer: bool, names: Any) -> None:
    asked = Asked(answer=answer)
    policies = Policies([asked.policy()])

    decisions = [policies.decide(on(who), names) for _ in range(5)]

    assert decisions == [Decision(True, "p") if answer else DENIED] * 5
    assert len(asked.seen) == 1


@pytest.mark.parametrize("names", [(), ("p",)])
@pytest.mark.parametrize("reads", ["uri", "user", "body", "operation", "request-method"])
def test_a_policy_that_reads_more_is_asked_by_every_request(reads: str, names: Any) -> None:
    asked = Asked(reads=frozenset({"jwt", reads}))
    policies = Policies([asked.policy()])
    who = token()

    for _ in range(5):
        policies.decide(on(who), names)

    assert len(asked.seen) == 5


def test_a_policy_whose_answer_may_change_is_asked_by_every_request() -> None:
    asked = Asked(deterministic=False)
    policies = Policies([asked.policy()])
    who = token()

    for _ in range(5):
        policies.decide(on(who))

    assert len(asked.seen) == 5


def test_another_token_is_asked_about_anew() -> None:
    policies = Policies([matcho("p", jwt={"role": "nurse"})])
    nurse, guest = token({"role": "nurse"}), token({"role": "guest"})

    answers = [policies.decide(on(who)).allowed for who in (nurse, guest, None, nurse, guest, None)]

    assert answers == [True, False, False, True, False, False]


def test_other_policies_are_asked_anew() -> None:
    asked, who = Asked(), token()

    for _ in range(3):
        Policies([asked.policy()]).decide(on(who))

    assert len(asked.seen) == 3


def test_what_old_policies_said_of_a_token_is_not_what_new_ones_say() -> None:
    old, new = Policies([matcho("p", jwt={"role": "nurse"})]), Policies([matcho("p", jwt={"role": "doctor"})])
    nurse = token({"role": "nurse"})

    # A request that began before the change may still be under way.
    answers = [policies.decide(on(nurse), names).allowed for names in ((), ("p",)) for policies in (old, new, old, new)]

    assert answers == [True, False] * 4


def test_what_is_remembered_of_one_name_is_not_said_of_another() -> None:
    policies = Policies([matcho("nurses", jwt={"role": "nurse"}), matcho("doctors", jwt={"role": "doctor"})])
    nurse = token({"role": "nurse"})

    for _ in range(2):
        assert policies.decide(on(nurse), ["doctors"]) == DENIED
        assert policies.decide(on(nurse), ["doctors", "nurses"]) == Decision(True, "nurses")
        assert policies.decide(on(nurse)) == Decision(True, "nurses")


def test_what_is_remembered_is_not_asked_of_the_request_at_hand() -> None:
    asked = Asked()
    policies = Policies([asked.policy()])
    at_hand = on(token(), "/secret")

    policies.decide(at_hand)

    assert asked.seen[0] is not at_hand
    assert asked.seen[0]["jwt"] == at_hand["jwt"]


def test_a_policy_that_looks_at_more_than_it_says_is_denied() -> None:
    sly = CompiledPolicy("p", "1", "own", (), lambda view: view["uri"] == "/", None, frozenset())

    assert Policies([sly]).decide(on(token())) == DENIED


def test_a_request_that_was_made_up_neither_gets_nor_leaves_what_is_remembered() -> None:
    policies = Policies([matcho("p", jwt={"role": "nurse"})])
    made_up = on(None)
    made_up["jwt"] = {"role": "nurse"}

    answers = [policies.decide(asked).allowed for asked in (on(None), made_up, on(None), {"jwt": {"role": "nurse"}})]  # type: ignore[arg-type]

    assert answers == [False, True, False, True]


def test_a_policy_that_raises_is_not_asked_again_about_the_same_token(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[RequestView] = []

    def fails(view: RequestView) -> bool:
        calls.append(view)
        raise ValueError

    broken = CompiledPolicy("broken", "1", "own", (), fails, None, frozenset())
    policies = Policies([broken, matcho("readers", uri="/")])
    who = token()

    assert [policies.decide(on(who)).policy for _ in range(3)] == ["readers"] * 3
    assert len(calls) == 1
    assert len(caplog.records) == 1


def test_what_a_policy_asks_of_the_token_is_asked_once_for_it() -> None:
    of_token, of_request = Asked(), Asked()
    both = CompiledPolicy("p", "1", "own", (), of_token.allows, of_request.allows, frozenset({"uri"}), True)
    policies, who = Policies([both]), token()

    for names in ((), ("p",)):
        for _ in range(3):
            assert policies.decide(on(who), names) == Decision(True, "p")

    assert len(of_request.seen) == 6
    assert len(of_token.seen) == 2


@pytest.mark.parametrize("number", [1, FEW, FEW + 1, 3 * FEW])
def test_few_policies_decide_as_many_do(number: int) -> None:
    policies = Policies(matcho(f"p-{n}", jwt={"role": "nurse"}, uri=f"#^/{n}$") for n in range(number))
    nurse, guest = token({"role": "nurse"}), token({"role": "guest"})

    for n in range(number):
        assert policies.decide(on(nurse, f"/{n}")) == Decision(True, f"p-{n}")
        assert policies.decide(on(guest, f"/{n}")) == DENIED
    assert policies.decide(on(nurse, f"/{number}")) == DENIED
    assert policies.decide(on(None, "/0")) == DENIED


def test_of_few_that_allow_the_first_one_given_does() -> None:
    policies = Policies([matcho("no", uri="#^/x"), matcho("a", uri="#^/"), matcho("b", jwt={"iss": "x"}, uri="#^/")])

    assert policies.decide(on(token({"iss": "x"}))) == Decision(True, "a")


def test_one_of_few_that_fails_keeps_no_other_from_being_asked(caplog: pytest.LogCaptureFixture) -> None:
    def fails(view: RequestView) -> bool:
        raise ValueError

    broken = CompiledPolicy("broken", "1", "own", (), any_token, fails, frozenset({"uri"}), True)
    policies = Policies([broken, matcho("readers", uri="/")])

    assert [policies.decide(on(token())).policy for _ in range(2)] == ["readers"] * 2
    assert len(caplog.records) == 1


def test_a_body_that_no_policy_for_such_an_address_looks_at_is_not_read() -> None:
    policies = Policies([matcho("writers", body={"a": 1}, uri="/other")])
    asked = on(token())

    assert policies.decide(asked) == DENIED
    assert "body" not in asked


def test_what_may_answer_otherwise_next_time_is_asked_where_it_could_allow_the_request() -> None:
    asked = Asked(reads=frozenset({"uri"}), deterministic=False)
    policies = Policies([asked.policy("p", (Equality(("uri",), "/a"),))])
    who = token()

    assert [policies.decide(on(who, path)).allowed for path in ("/a", "/b", "/c")] == [True, False, False]
    assert len(asked.seen) == 1


def test_a_token_keeps_no_policies_in_memory() -> None:
    def allows(view: RequestView) -> bool:
        return True

    policies, who = Policies([CompiledPolicy("p", "1", "own", (), allows, allows, frozenset({"uri"}), True)]), token()
    assert policies.decide(on(who)).allowed
    assert policies.decide(on(who), ["p"]).allowed
    kept = ref(allows)

    del policies, allows
    gc.collect()

    assert kept() is None


def test_what_one_owner_keeps_with_a_token_ends_when_another_comes() -> None:
    who, owner = token(), object()
    who.memo.of(owner)["name"] = "kept"

    assert who.memo.of(owner) == {"name": "kept"}
    assert who.memo.of(object()) == {}
    assert who.memo.of(owner) == {}


def test_a_token_remembers_no_more_names_than_guards_have() -> None:
    asked = Asked()
    policies = Policies(asked.policy(f"p-{number}") for number in range(3 * REMEMBERED))
    who = token()

    for number in range(3 * REMEMBERED):
        policies.decide(on(who), [f"p-{number}"])

    assert len(asked.seen) == 3 * REMEMBERED
    assert len(who.memo.of(policies._owner)) == REMEMBERED


def test_a_copy_of_a_token_remembers_nothing() -> None:
    policies = Policies([matcho("p", jwt={"role": "nurse"})])
    nurse = token({"role": "nurse"})
    assert policies.decide(on(nurse)).allowed

    assert not policies.decide(on(replace(nurse, claims={"role": "guest"}))).allowed


def test_nothing_is_built_where_the_token_decides() -> None:
    policies = Policies([matcho("uri", uri="/a", jwt={"sub": "alice"}), matcho("issuer", jwt={"sub": "alice"})])
    asked = on(token())

    assert policies.decide(asked) == Decision(True, "issuer")
    assert dict(asked) == {}


# ---- by the address alone


@pytest.mark.parametrize(
    ("pattern", "tells"),
    [
        ({"uri": "/a"}, True),
        ({"uri": "#^/", "request-method": "get"}, True),
        ({"uri": "/a", "jwt": {"sub": "alice"}}, True),
        ({"uri": "/b"}, False),
        ({"uri": "/a", "request-method": "post"}, False),
        ({"uri": "/a", "jwt": {"sub": "bob"}}, False),
        ({"uri": "/a", "remote-addr": "nil?"}, False),
        ({"uri": "/a", "headers": {"x": "nil?"}}, False),
    ],
    ids=str,
)
def test_uri_and_method_tell_where_policies_look_at_nothing_else(pattern: dict[str, Any], tells: bool) -> None:
    policies, who = Policies([matcho("p", **pattern)]), token({"sub": "alice"})

    assert policies.allowing_by_address("/a", "GET", policies.prospect(who)) == ("p" if tells else None)
    assert policies.decide(on(who, "/a")).allowed is (tells or "remote-addr" in pattern or "headers" in pattern)


def test_one_policy_that_looks_at_more_keeps_uri_and_method_from_telling() -> None:
    policies = Policies([matcho("p", uri="/a"), matcho("q", params={"x": "1"})])

    assert policies.allowing_by_address("/a", "GET", policies.prospect(token())) is None
    assert policies.decide(on(token(), "/a")) == Decision(True, "p")


def test_a_policy_that_cannot_tell_by_the_address_denies_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    policies, who = Policies([matcho("p", uri={"$not": "#^/admin"})]), token()
    long = "/open" + "x" * 70_000

    assert policies.allowing_by_address(long, "GET", policies.prospect(who)) is None
    assert policies.allowing(on(who, long), policies.prospect(who)) is None
    assert policies.allowing_by_address("/open", "GET", policies.prospect(who)) == "p"
    assert len(caplog.records) == 1
