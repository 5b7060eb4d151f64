from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flask_foreign_token.errors import REST, InvalidToken, ProviderUnavailable, Refusal
from flask_foreign_token.http import Http
from flask_foreign_token.introspection import opaque as module
from flask_foreign_token.introspection.frozen import FrozenObject
from flask_foreign_token.introspection.introspection_endpoint import IN_FLIGHT, CredentialRefused
from flask_foreign_token.introspection.opaque import INACTIVE_TTL, OpaqueIntrospector
from flask_foreign_token.introspection.parse import MAX_SIZE, parse
from flask_foreign_token.introspection.token import Credential, Token, Versioned

from .concurrency import Clock, at_once
from .introspecting import Introspecting, active, introspecting, introspector
from .signing import AUDIENCE, ISSUER, NOW, claims, encoded, header, sign

GOOD = "good-token"


@pytest.fixture
def provider() -> Iterator[Introspecting]:
    with introspecting() as provider:
        provider.answers[GOOD] = active()
        yield provider


@pytest.fixture
def opaque(provider: Introspecting, http: Http, clock: Clock) -> OpaqueIntrospector:
    return introspector(provider, http, clock)


def introspect(opaque: OpaqueIntrospector, token: str = GOOD) -> Token:
    return opaque.introspect(Credential("bearer", token))


def outcome(opaque: OpaqueIntrospector, token: str) -> object:
    try:
        return introspect(opaque, token).subject
    except ProviderUnavailable:
        return ProviderUnavailable
    except Refusal as refusal:
        return type(refusal)


def test_a_token_says_what_the_provider_answered(opaque: OpaqueIntrospector) -> None:
    token = introspect(opaque)

    assert token.kind == "opaque"
    assert (token.issuer, token.subject, token.client_id) == (opaque.issuer, "anna", "app") == (ISSUER, "anna", "app")
    assert (token.expires_at, token.usable_until) == (NOW + 3600, NOW + 300)
    assert token.claims == active()
    assert token.introspector == Versioned("opaque", "1")
    assert not token.evidence.withdrawn


def test_what_it_says_cannot_be_changed(provider: Introspecting, opaque: OpaqueIntrospector) -> None:
    provider.answers[GOOD] = active(realm_access={"roles": ["nurse"]})
    claims: Any = introspect(opaque).claims

    assert isinstance(claims, FrozenObject)
    with pytest.raises(TypeError):
        claims["realm_access"]["roles"] = ["doctor"]
    assert claims["realm_access"]["roles"] == ("nurse",)


def test_a_token_that_is_not_active_is_refused(opaque: OpaqueIntrospector) -> None:
    with pytest.raises(InvalidToken, match="the token is not active"):
        introspect(opaque, "revoked")


@pytest.mark.parametrize("answer", [{"active": "true"}, {"active": 1}, {"active": None}, {"sub": "anna"}, [], None, ""])
def test_what_is_neither_active_nor_not_is_no_word_about_the_token(
    provider: Introspecting, opaque: OpaqueIntrospector, clock: Clock, answer: object
) -> None:
    provider.answers[GOOD] = answer
    with pytest.raises(ProviderUnavailable):
        introspect(opaque)

    provider.answers[GOOD] = active()
    clock.pass_(REST)
    assert introspect(opaque).subject == "anna"


def test_other_members_do_not_make_a_token_active(provider: Introspecting, opaque: OpaqueIntrospector) -> None:
    provider.answers[GOOD] = active(active=False)

    with pytest.raises(InvalidToken, match="not active"):
        introspect(opaque)


@pytest.mark.parametrize("subject_claim", ["sub", "oid"])
def test_a_token_of_a_client_that_acts_for_nobody_has_no_subject(
    provider: Introspecting, http: Http, clock: Clock, subject_claim: str
) -> None:
    provider.answers[GOOD] = active(sub=None)

    assert introspect(introspector(provider, http, clock, subject_claim=subject_claim)).subject is None


# What is remembered


def test_an_answer_counts_for_the_time_that_is_configured(
    provider: Introspecting, opaque: OpaqueIntrospector, clock: Clock
) -> None:
    introspect(opaque)
    provider.answers[GOOD] = {"active": False}
    clock.pass_(299.9)
    introspect(opaque)
    assert provider.calls == 1

    clock.pass_(0.1)
    with pytest.raises(InvalidToken, match="not active"):
        introspect(opaque)
    assert provider.calls == 2


def test_an_answer_does_not_count_past_the_end_of_the_token(
    provider: Introspecting, opaque: OpaqueIntrospector, clock: Clock
) -> None:
    provider.answers[GOOD] = active(exp=NOW + 10)
    assert introspect(opaque).usable_until == NOW + 10

    provider.answers[GOOD] = {"active": False}
    clock.pass_(10)
    with pytest.raises(InvalidToken, match="not active"):
        introspect(opaque)


def test_within_the_leeway_past_its_end_a_token_is_asked_about_each_time(
    provider: Introspecting, opaque: OpaqueIntrospector
) -> None:
    provider.answers[GOOD] = active(exp=NOW - 29)

    assert introspect(opaque).usable_until == introspect(opaque).expires_at == NOW - 29
    assert provider.calls == 2


def test_a_token_without_an_end_is_asked_about_anew(
    provider: Introspecting, opaque: OpaqueIntrospector, clock: Clock
) -> None:
    provider.answers[GOOD] = active(exp=None)
    token = introspect(opaque)
    clock.pass_(300)
    introspect(opaque)

    assert (token.expires_at, token.usable_until) == (math.inf, NOW + 300)
    assert provider.calls == 2


@pytest.mark.parametrize(("cache_ttl", "remembered"), [(300.0, INACTIVE_TTL), (86_400.0, INACTIVE_TTL), (1.0, 1.0)])
def test_that_a_token_is_not_active_counts_for_a_minute_at_most(
    provider: Introspecting, http: Http, clock: Clock, cache_ttl: float, remembered: float
) -> None:
    opaque = introspector(provider, http, clock, cache_ttl=cache_ttl)
    assert outcome(opaque, "later") is InvalidToken
    provider.answers["later"] = active()
    clock.pass_(remembered - 0.1)
    assert outcome(opaque, "later") is InvalidToken
    assert provider.calls == 1

    clock.pass_(0.1)
    assert outcome(opaque, "later") == "anna"


def test_tokens_that_are_not_active_push_out_none_that_is(provider: Introspecting, http: Http, clock: Clock) -> None:
    opaque = introspector(provider, http, clock, size=4)
    introspect(opaque)
    for number in range(100):
        assert outcome(opaque, f"invented-{number}") is InvalidToken
    introspect(opaque)

    assert provider.calls == 101


def test_a_token_that_is_not_valid_yet_is_not_remembered_as_refused(
    provider: Introspecting, opaque: OpaqueIntrospector, clock: Clock
) -> None:
    provider.answers[GOOD] = active(nbf=NOW + 40)
    with pytest.raises(InvalidToken, match="nbf lies ahead"):
        introspect(opaque)

    clock.pass_(10)
    assert introspect(opaque).subject == "anna"
    assert provider.calls == 1


def test_a_token_for_somebody_else_is_asked_about_once(provider: Introspecting, opaque: OpaqueIntrospector) -> None:
    provider.answers[GOOD] = active(aud="another")
    for _ in range(3):
        with pytest.raises(InvalidToken, match="aud names another audience"):
            introspect(opaque)

    assert provider.calls == 1


def test_trouble_is_not_remembered_longer_than_the_rest(
    provider: Introspecting, opaque: OpaqueIntrospector, clock: Clock
) -> None:
    provider.status = 503
    assert outcome(opaque, GOOD) is ProviderUnavailable
    provider.answer_plainly()
    clock.pass_(REST)

    assert outcome(opaque, GOOD) == "anna"


def test_an_answer_outlives_the_provider(provider: Introspecting, opaque: OpaqueIntrospector, clock: Clock) -> None:
    introspect(opaque)
    provider.status = 503
    assert outcome(opaque, "cold") is ProviderUnavailable
    clock.pass_(299)
    assert outcome(opaque, GOOD) == "anna"

    clock.pass_(1)
    assert outcome(opaque, GOOD) is ProviderUnavailable


def test_a_credential_that_is_refused_is_no_word_about_the_token(
    provider: Introspecting, opaque: OpaqueIntrospector
) -> None:
    provider.status = 401

    with pytest.raises(CredentialRefused):
        introspect(opaque)


def test_one_introspector_does_not_believe_what_another_was_told(
    provider: Introspecting, opaque: OpaqueIntrospector, http: Http, clock: Clock
) -> None:
    introspect(opaque)
    with introspecting() as second:
        with pytest.raises(InvalidToken, match="not active"):
            introspect(introspector(second, http, clock))
        assert second.calls == 1


def test_a_token_with_a_character_changed_is_another(provider: Introspecting, opaque: OpaqueIntrospector) -> None:
    introspect(opaque)
    for changed in (GOOD + "=", GOOD.upper(), GOOD[:-1], "-" + GOOD):
        assert outcome(opaque, changed) is InvalidToken

    assert provider.calls == 5


# Many at once


@pytest.mark.parametrize(("token", "expected"), [(GOOD, "anna"), ("revoked", InvalidToken)])
def test_many_who_bring_one_token_wait_for_one_call(
    provider: Introspecting, opaque: OpaqueIntrospector, token: str, expected: object
) -> None:
    assert at_once(64, lambda _: outcome(opaque, token)) == [expected] * 64
    assert provider.calls == 1


def test_many_who_bring_one_token_wait_for_one_failure(provider: Introspecting, opaque: OpaqueIntrospector) -> None:
    provider.status = 503

    assert at_once(64, lambda _: outcome(opaque, GOOD)) == [ProviderUnavailable] * 64
    assert provider.calls == 1


def test_who_waits_for_a_call_under_way_is_not_a_call(provider: Introspecting, opaque: OpaqueIntrospector) -> None:
    tokens = [f"token-{number}" for number in range(IN_FLIGHT)]
    provider.answers = {token: active() for token in tokens}
    provider.hold()
    with ThreadPoolExecutor(4 * IN_FLIGHT) as pool:
        callers = [pool.submit(outcome, opaque, token) for token in tokens]
        for _ in tokens:
            provider.asked.acquire(timeout=10)
        waiters = [pool.submit(outcome, opaque, token) for token in tokens * 3]
        assert outcome(opaque, "one-more") is ProviderUnavailable
        provider.release()

    assert {done.result() for done in (*callers, *waiters)} == {"anna"}
    assert provider.calls == IN_FLIGHT


def test_who_waits_for_a_slow_call_is_refused_after_a_while(
    provider: Introspecting, opaque: OpaqueIntrospector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    provider.hold()
    with ThreadPoolExecutor(1) as pool:
        caller = pool.submit(outcome, opaque, GOOD)
        provider.asked.acquire(timeout=10)
        assert at_once(20, lambda _: outcome(opaque, GOOD)) == [ProviderUnavailable] * 20
        with pytest.raises(ProviderUnavailable) as refusal:
            introspect(opaque)
        assert not caller.done()
        provider.release()

    assert "a call about this token is under way" in str(refusal.value.hint)
    assert caller.result() == "anna"
    assert outcome(opaque, GOOD) == "anna"
    assert provider.calls == 1


# The form of a token


@pytest.mark.parametrize(
    "token",
    [
        "",
        "=",
        "a=b",
        "a b",
        "a\n",
        "\ta",
        "a\r\nX: y",
        "a\x00",
        "tök",
        "a\ud800",
        '{"token":1}',
        "a%20b",
        "a&token=b",
        "a," * 3,
        "a" * (MAX_SIZE + 1),
    ],
)
def test_what_can_be_no_token_is_asked_about_nowhere(
    provider: Introspecting, opaque: OpaqueIntrospector, token: str
) -> None:
    assert outcome(opaque, token) is InvalidToken
    assert provider.calls == 0


@pytest.mark.parametrize("token", ["a", "a.b", "a._~+/-9==", "a" * MAX_SIZE])
def test_a_token_of_any_other_form_comes_over_whole(
    provider: Introspecting, opaque: OpaqueIntrospector, token: str
) -> None:
    provider.answers[token] = active()

    assert outcome(opaque, token) == "anna"


# JWTs


def introspect_jwt(opaque: OpaqueIntrospector, token: str) -> Token:
    return opaque.introspect_jwt(parse(token), Credential("bearer", token))


def test_a_jwt_is_what_its_provider_says_and_not_what_it_says_itself(
    provider: Introspecting, opaque: OpaqueIntrospector
) -> None:
    token = sign(body=claims(sub="mallory", aud=AUDIENCE))
    provider.answers[token] = active(aud=[AUDIENCE])

    verified = introspect_jwt(opaque, token)
    assert (verified.kind, verified.subject) == ("opaque", "anna")
    assert provider.forms == [{"token": token, "token_type_hint": "access_token"}]


def test_a_jwt_that_its_provider_does_not_know_is_refused(opaque: OpaqueIntrospector) -> None:
    with pytest.raises(InvalidToken, match="not active"):
        introspect_jwt(opaque, sign())


@pytest.mark.parametrize(
    ("changes", "head", "reason"),
    [
        ({"exp": NOW - 31}, {}, "has expired"),
        ({"nbf": NOW + 31}, {}, "nbf lies ahead"),
        ({"exp": "soon"}, {}, "exp is not a time"),
        ({"typ": "Refresh"}, {}, "the claim typ"),
        ({"at_hash": "x"}, {}, "at_hash"),
        ({"cnf": {"jkt": "x"}}, {}, "bound to a key"),
        ({}, {"typ": "logout+jwt"}, "the typ of the header"),
    ],
)
def test_a_jwt_that_says_itself_that_it_is_no_good_is_not_asked_about(
    provider: Introspecting, opaque: OpaqueIntrospector, changes: dict[str, Any], head: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidToken, match=reason):
        introspect_jwt(opaque, sign(header(**head), claims(**changes)))
    assert provider.calls == 0


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", " none", "none ", "none\n", "", " "])
def test_a_jwt_that_is_not_signed_is_not_asked_about(
    provider: Introspecting, opaque: OpaqueIntrospector, algorithm: str
) -> None:
    token = f"{encoded(header(algorithm))}.{encoded(claims())}."
    provider.answers[token] = active()

    with pytest.raises(InvalidToken, match="the algorithm is not permitted"):
        introspect_jwt(opaque, token)
    assert provider.calls == 0


def test_a_signature_of_any_algorithm_is_for_the_provider_to_judge(
    provider: Introspecting, opaque: OpaqueIntrospector
) -> None:
    token = sign(header("ES256K"))
    provider.answers[token] = active()

    assert introspect_jwt(opaque, token).subject == "anna"


def test_a_jwt_may_have_no_times(provider: Introspecting, opaque: OpaqueIntrospector) -> None:
    token = sign(body=claims(exp=None, iat=None))
    provider.answers[token] = active()

    assert introspect_jwt(opaque, token).subject == "anna"
