"""A real provider that is killed while tokens come, and is back some seconds later under the same address."""

from __future__ import annotations

import time
from dataclasses import dataclass

from flask import Flask
from joserfc.jwk import ECKey

from example_app.keycloak_server import free_port
from flask_foreign_token.errors import REST

from ..apps import ask, introspector, policy, provider
from ..conftest import MakeApp
from .load import load
from .oidc_provider import OidcProvider, of_the_run, resource
from .real_providers import OPAQUE, RealOidcProvider, trusting_answers
from .waiting import until

CACHE_TTL = 1
KNOWN, UNKNOWN = (
    dict(ECKey.generate_key("P-256", {"kid": name, "alg": "ES256", "use": "sig"}).as_dict(private=True))
    for name in ("known", "unknown")
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request with a token under the unknown key. Times are seconds since the epoch."""

    at: float
    answered_at: float
    status: int
    retry_after: str | None


def trusting(running: OidcProvider) -> list[dict[str, object]]:
    """Its keys are due so soon that it is missed at once."""
    jwt = {"iss": running.issuer, "aud": resource("ES256")}
    return [
        provider(),
        introspector("oidc", jwt=jwt, jwks_uri=f"{running.url}/jwks", cache_ttl=CACHE_TTL),
        policy("known-issuer", {"jwt": {"iss": running.issuer}}),
    ]


def asked(app: Flask, token: str) -> Asked:
    at = time.time()
    answer = ask(app, token)
    return Asked(at, time.time(), answer.status_code, answer.headers.get("Retry-After"))


def tries(app: Flask, token: str) -> list[Asked]:
    """Every request until the first that is let in, that one included."""
    made: list[Asked] = []

    def once_more() -> int:
        made.append(asked(app, token))
        return made[-1].status

    until(lambda status: status == 200, once_more)
    return made


def test_tokens_under_known_keys_go_on_and_others_wait_until_the_first_request_after_the_rest(
    make_app: MakeApp,
) -> None:
    port = free_port()
    with of_the_run(port=port, keys=[KNOWN]) as running:
        known = running.token()
        with of_the_run(issuer=running.issuer, keys=[UNKNOWN]) as later:
            unknown = later.token()
        app = make_app(trusting(running))
        with load(lambda: ask(app, known).status_code) as statuses:
            until_more_come(statuses)
            running.kill()
            killed_at = time.time()
            first = asked(app, unknown)
            until(lambda now: now > killed_at + 1 + CACHE_TTL, time.time)
            until_more_come(statuses)
            with of_the_run(port=port, keys=[UNKNOWN, KNOWN]):
                *waiting, let_in = tries(app, unknown)
                until_more_come(statuses)

    refused = [first, *waiting]
    assert set(statuses) == {200}
    assert {(each.status, each.retry_after) for each in refused} == {(503, str(REST))}
    assert let_in.answered_at >= killed_at + REST
    assert all(each.at < first.answered_at + REST for each in refused)


def until_more_come(statuses: list[int]) -> None:
    enough = len(statuses) + 20
    until(lambda count: count > enough, lambda: len(statuses))


def test_what_was_said_of_a_token_outlives_the_provider_and_of_others_nothing_is_said(make_app: MakeApp) -> None:
    with of_the_run() as running:
        real = RealOidcProvider(running)
        app = make_app(trusting_answers(real, cache_ttl=60))
        known, unknown = real.issue(OPAQUE), real.issue(OPAQUE)
        assert ask(app, known).status_code == 200

        running.kill()
        answers = [ask(app, token) for token in (known, unknown)]

    assert [answer.status_code for answer in answers] == [200, 503]
    assert answers[1].headers["Retry-After"] == str(REST)
