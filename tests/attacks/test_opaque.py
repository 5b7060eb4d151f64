"""Opaque tokens: a token is shown to one provider at most, and what can be read as a JWT to none but its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token.testing import Issuer

from ..apps import introspector, policy, provider, users_in
from ..conftest import MakeApp
from ..introspection.introspecting import Introspecting, introspecting
from .opaque import ISSUER, SOMEBODY, asking, good_answer
from .target import assert_refused, claims, encoded, present, sign_text
from .test_algorithms import NONE, UNKNOWN
from .test_headers import WRONG
from .test_structure import DEEP, FORMS, JWE, SPOILT, holding
from .test_transport import OTHER_CHARACTERS, WORDS

# ---- the good case


def test_a_token_of_which_good_is_said_is_let_in_and_asked_about_once(asking_app: Flask, asked: Introspecting) -> None:
    asked.answers["good"] = good_answer()

    answers = [present(asking_app, "Bearer good") for _ in range(3)]

    assert [answer.json for answer in answers] == [{"subject": "ann"}] * 3
    assert [form["token"] for form in asked.forms] == ["good"]


# ---- JWTs are shown to nobody else


def jwts(issuer: Issuer) -> Iterator[tuple[str, list[str]]]:
    """Families of malformed and forged JWTs."""
    key = issuer.keys.find("RS256")
    good = {"alg": "RS256", "typ": "JWT", "kid": key.kid}
    body = claims(issuer.issuer)

    def sign(head: Any, body: Any = body) -> str:
        return sign_text(f"{encoded(head)}.{encoded(body)}", "RS256", key)

    whole = sign(good)
    head, payload, signature = whole.split(".")
    yield "alg none", [f"{encoded({'alg': name})}.{payload}." for name in NONE]
    yield "alg unknown", [sign({**good, "alg": name}) for name in UNKNOWN]
    yield "wrong headers", [sign({**good, **members}) for members in WRONG.values()]
    yield (
        "wrong forms",
        [form for make in FORMS.values() if (form := make(head, payload, signature))[:8] == head[:8] and "." in form],
    )
    yield "encrypted", [f"{encoded(each)}..AAAA.AAAA.AAAA" for each in JWE.values()]
    yield "nested too deeply", [sign(good, holding(value, dict(body))) for value in DEEP.values()]
    yield "spoilt claims", [sign(good, spoil(json.dumps(body).encode())) for spoil in SPOILT.values()]
    yield "padded", [whole + "=", whole + "==", f"{whole}A", f"{head}~.{payload}.{signature}"]
    yield "expired", [sign(good, claims(issuer.issuer, exp=1)), sign(good, claims(issuer.issuer, exp=None))]
    yield "of another kind", [sign(good, claims(issuer.issuer, typ=kind)) for kind in ("ID", "Refresh", "Logout")]
    yield "of nobody", [sign(good, claims(iss)) for iss in ("", "https://thief.example", f"{issuer.issuer}/")]
    yield "of no issuer", [sign(good, claims("", iss=None)), sign(good, {**body, "iss": [issuer.issuer]})]
    yield "with a wrong signature", [f"{head}.{payload}.{signature[::-1]}", f"{head}.{payload}."]


@pytest.mark.requirement("RFC 9700", "4.9")
def test_no_jwt_is_shown_to_a_provider_that_does_not_issue_it(
    asking_app: Flask, asked: Introspecting, jwt_issuer: Issuer
) -> None:
    users = users_in(asking_app)

    for _name, tokens in jwts(jwt_issuer):
        assert tokens
        for token in tokens:
            assert_refused(present(asking_app, f"Bearer {token}"))

    assert asked.forms == []
    assert users_in(asking_app) == users


def test_a_header_that_is_malformed_is_shown_to_nobody(asking_app: Flask, asked: Introspecting) -> None:
    asked.answers["good"] = good_answer()

    for words in WORDS.values():
        assert_refused(present(asking_app, words.replace("{token}", "good")), 400)
    for character in OTHER_CHARACTERS:
        assert_refused(present(asking_app, f"Bearer go{character}od"), 400)
    assert_refused(present(asking_app, "Bearer good".ljust(16 * 1024 + 1, "=")), 400)
    for query in ("access_token=good", "access_token="):
        assert_refused(present(asking_app, "Bearer good", query_string=query), 400)

    assert asked.forms == []


FORGED_FOR_OPAQUE: dict[str, Callable[[Issuer], str]] = {
    "signed by another": lambda issuer: issuer.token(iss=ISSUER),
    "with a key of its own": lambda issuer: issuer.token(
        iss=ISSUER, headers={"jwk": issuer.keys.find("RS256").as_dict(private=False)}
    ),
}


@pytest.mark.parametrize("forge", FORGED_FOR_OPAQUE.values(), ids=FORGED_FOR_OPAQUE.keys())
def test_a_forged_jwt_goes_to_its_own_provider_at_most_which_does_not_know_it(
    asking_app: Flask, asked: Introspecting, jwt_issuer: Issuer, forge: Callable[[Issuer], str]
) -> None:
    token = forge(jwt_issuer)
    before = jwt_issuer.requests.total()

    for _ in range(3):
        assert_refused(present(asking_app, f"Bearer {token}"))

    assert [form["token"] for form in asked.forms] == [token]
    assert jwt_issuer.requests.total() == before


@pytest.mark.parametrize(
    "members",
    [
        {"exp": 1},
        {"nbf": 9_999_999_999},
        {"exp": "9999999999"},
        {"typ": "Refresh"},
        {"cnf": {"jkt": "x"}},
        {"events": {}},
    ],
)
def test_a_jwt_that_is_no_good_by_its_own_account_is_shown_to_nobody(
    asking_app: Flask, asked: Introspecting, jwt_issuer: Issuer, members: dict[str, object]
) -> None:
    token = jwt_issuer.token(iss=ISSUER, **members)
    asked.answers[token] = good_answer()

    assert_refused(present(asking_app, f"Bearer {token}"))
    assert asked.forms == []


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "nonE", " none", "none ", "", " "])
def test_a_jwt_that_nobody_signed_is_shown_to_nobody(asking_app: Flask, asked: Introspecting, name: str) -> None:
    for signature in ("", "AAAA"):
        token = f"{encoded({'alg': name})}.{encoded(claims(ISSUER))}.{signature}"
        asked.answers[token] = good_answer()
        assert_refused(present(asking_app, f"Bearer {token}"))

    assert asked.forms == []


# ---- tokens of others


def test_a_provider_speaks_for_no_issuer_that_another_resource_names(
    make_app: MakeApp, asked: Introspecting, jwt_issuer: Issuer
) -> None:
    trusted = introspector("jwt", "jwt", jwt={"iss": jwt_issuer.issuer}, jwks_uri=jwt_issuer.jwks_uri)
    only_theirs = policy("theirs", {"token": {"iss": jwt_issuer.issuer}})
    app = make_app([provider("jwt"), trusted, *asking(asked.url), only_theirs, SOMEBODY])
    asked.answers["theirs"] = good_answer(iss=jwt_issuer.issuer)
    asked.answers["own"] = good_answer()

    assert_refused(present(app, "Bearer theirs"))
    assert present(app, "Bearer own").status_code == 200


@pytest.mark.requirement("RFC 9700", "4.9")
def test_a_token_of_a_provider_that_was_switched_off_is_shown_to_no_other(make_app: MakeApp) -> None:
    with introspecting() as first, introspecting() as second:
        off = asking(first.url, "first", token_prefix="one_", active=False)
        app = make_app([*off, *asking(second.url, "second"), SOMEBODY])
        second.answers["two_a"] = good_answer()

        assert_refused(present(app, "Bearer one_a"))

        assert present(app, "Bearer two_a").status_code == 200
        assert (first.calls, second.calls) == (0, 1)


@pytest.mark.parametrize("claim", ["oid", "username"])
def test_who_is_named_by_another_claim_than_the_one_that_counts_is_nobody(
    make_app: MakeApp, asked: Introspecting, claim: str
) -> None:
    described, trusted = asking(asked.url)
    app = make_app([{**described, "subject_claim": claim}, trusted, policy("all", {"token": {"active": True}})])
    asked.answers |= {"sub": good_answer(), "both": good_answer(**{claim: "ann"})}

    assert_refused(present(app, "Bearer sub"))
    assert present(app, "Bearer both").status_code == 200


@pytest.mark.requirement("RFC 9700", "4.9")
def test_a_token_is_shown_to_the_provider_of_its_very_prefix(make_app: MakeApp) -> None:
    with introspecting() as first, introspecting() as second:
        one = asking(first.url, "first", token_prefix="one_")
        two = asking(second.url, "second", token_prefix="two_")
        app = make_app([*one, *two, SOMEBODY])
        good = {"one_a": first, "two_a": second}
        for token, asked in good.items():
            asked.answers[token] = good_answer()
            assert present(app, f"Bearer {token}").status_code == 200
        for token in ("one_b", "one_two_a", "one_", "two_b", "two_one_a", "two_"):
            assert_refused(present(app, f"Bearer {token}"))
        shown = [[form["token"] for form in asked.forms] for asked in (first, second)]
        assert shown == [["one_a", "one_b", "one_two_a", "one_"], ["two_a", "two_b", "two_one_a", "two_"]]

        for token in ("One_a", "ONE_a", "a", "one", "one-a", "_one_a", "~one_a", "on", "a.b", "..", "." * 16_000):
            assert_refused(present(app, f"Bearer {token}"))

        assert [asked.calls for asked in (first, second)] == [4, 4]


# ---- what is almost a token that is known


@pytest.mark.parametrize("almost", ["goo", "ood", "goodx", "Good", "GOOD", "good=", "good.", "g", "doog", "goodgood"])
def test_what_is_almost_a_token_that_is_remembered_is_another(
    asking_app: Flask, asked: Introspecting, almost: str
) -> None:
    asked.answers["good"] = good_answer()
    assert present(asking_app, "Bearer good").status_code == 200

    assert_refused(present(asking_app, f"Bearer {almost}"))
    assert present(asking_app, "Bearer good").status_code == 200
    assert [form["token"] for form in asked.forms] == ["good", almost]


@pytest.mark.parametrize("token", ["a", "..", "a.b.c", "....", "-._~+/", "AAAA====", "." * 16_000, "A" * 16_377])
def test_an_odd_token_is_shown_whole_and_refused(asking_app: Flask, asked: Introspecting, token: str) -> None:
    for _ in range(2):
        assert_refused(present(asking_app, f"Bearer {token}"))

    assert [form["token"] for form in asked.forms] == [token]
