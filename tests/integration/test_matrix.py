"""Every kind of access token that the real providers issue, as it was issued and as it must not be taken."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from flask import Flask

from ..apps import Resource, ask
from ..conftest import MakeApp
from .real_providers import (
    BASIC,
    OPAQUE,
    POST,
    RealKeycloak,
    RealOidcProvider,
    RealProvider,
    RealProviders,
    trusting_answers,
    trusting_keys,
)
from .waiting import until

INTROSPECTED = (f"opaque, {BASIC}", f"opaque, {POST}")
KINDS: Mapping[str, tuple[str, ...]] = {
    "keycloak": (*RealKeycloak.kinds, *INTROSPECTED),
    "oidc-provider": (*RealOidcProvider.kinds, *INTROSPECTED),
}
ROWS = [(name, kind) for name, kinds in KINDS.items() for kind in kinds]

INACTIVE, EXPIRED = "the token is not active", "the token has expired"
ELSEWHERE = "aud names another audience"
REASONS: Mapping[str, tuple[str, str, str]] = {
    "altered": ("the signature is wrong", INACTIVE, INACTIVE),
    "expired": (EXPIRED, EXPIRED, INACTIVE),
    "for elsewhere": (ELSEWHERE, ELSEWHERE, ELSEWHERE),
}
"""What is said of each wrong token: of a JWT that the app verifies, of one that it asks about, and of an opaque one."""


@pytest.fixture(scope="module")
def brief(real_providers: RealProviders) -> Mapping[tuple[str, str], str]:
    """Tokens that live for a second, issued before all others."""
    return {(name, kind): real_providers[name].issue_brief(issued_as(kind)) for name, kind in ROWS}


def issued_as(kind: str) -> str:
    return OPAQUE if kind in INTROSPECTED else kind


def trusting(real: RealProvider, kind: str) -> list[Resource]:
    if kind in INTROSPECTED:
        return trusting_answers(real, kind.removeprefix("opaque, "))
    return trusting_keys(real)


def altered(token: str, other: str) -> str:
    """A JWT with the signature of another one; of anything else, the same characters in another order."""
    if "." not in token:
        return token[::-1]
    return ".".join([*token.split(".")[:2], other.split(".")[2]])


@pytest.mark.parametrize(("name", "kind"), ROWS)
def test_an_access_token_is_let_in(
    real_providers: RealProviders, brief: object, make_app: MakeApp, name: str, kind: str
) -> None:
    real = real_providers[name]
    app = make_app(trusting(real, kind))

    answer = ask(app, real.issue(issued_as(kind)))

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("case", REASONS)
@pytest.mark.parametrize(("name", "kind"), ROWS)
def test_a_wrong_one_is_refused(
    real_providers: RealProviders,
    brief: Mapping[tuple[str, str], str],
    make_app: MakeApp,
    name: str,
    kind: str,
    case: str,
) -> None:
    real = real_providers[name]
    app = make_app(trusting(real, kind))

    if case == "altered":
        token = altered(real.issue(issued_as(kind)), real.issue(issued_as(kind)))
    elif case == "for elsewhere":
        token = real.issue_for_elsewhere(issued_as(kind))
    else:
        token = brief[name, kind]
        until(lambda answer: answer.status_code == 401, lambda: ask(app, token), within=5)

    column = 0 if kind not in INTROSPECTED else 1 if "." in token else 2
    assert refused(app, token) == REASONS[case][column]


def refused(app: Flask, token: str) -> str:
    """Why a token is: the description in the answer."""
    answer = ask(app, token)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_token"), answer.text
    return str(answer.json["error_description"])
