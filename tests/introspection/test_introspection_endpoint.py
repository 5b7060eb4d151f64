from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

import pytest

from flask_foreign_token.errors import REST, InvalidToken, ProviderUnavailable
from flask_foreign_token.http import Http
from flask_foreign_token.introspection.client_authentication import ClientAuthentication
from flask_foreign_token.introspection.endpoints import StoredEndpoint
from flask_foreign_token.introspection.introspection_endpoint import (
    IN_FLIGHT,
    CredentialRefused,
    IntrospectionEndpoint,
)
from flask_foreign_token.introspection.remote_document import Resting

from .concurrency import Clock
from .introspecting import CLIENT, CLIENT_SECRET, Introspecting, introspecting
from .signing import NOW

BASIC = ClientAuthentication.basic(CLIENT, CLIENT_SECRET)
TOKEN = "ory_at_b9Q.s3cr3t"
MIB = 1024 * 1024


@pytest.fixture
def provider() -> Iterator[Introspecting]:
    with introspecting() as provider:
        yield provider


@pytest.fixture
def endpoint(provider: Introspecting, http: Http, clock: Clock) -> IntrospectionEndpoint:
    return IntrospectionEndpoint(http, StoredEndpoint(provider.url), BASIC, owner="TokenIntrospector/o", clock=clock)


def fails(endpoint: IntrospectionEndpoint, token: str = TOKEN) -> ProviderUnavailable:
    with pytest.raises(ProviderUnavailable) as failure:
        endpoint.ask(token)
    return failure.value


def logged(caplog: pytest.LogCaptureFixture) -> list[int]:
    """The levels of what this package logged; the provider of the tests logs its requests."""
    return [record.levelno for record in caplog.records if record.name.startswith("flask_foreign_token")]


@pytest.mark.parametrize("answer", [{"active": True, "sub": "anna"}, {"active": False}, {"active": True}])
def test_the_answer_comes_back_as_it_is(
    provider: Introspecting, endpoint: IntrospectionEndpoint, answer: dict[str, object]
) -> None:
    provider.answers[TOKEN] = answer

    assert endpoint.ask(TOKEN) == answer


def test_it_is_asked_by_post_for_json(provider: Introspecting, endpoint: IntrospectionEndpoint) -> None:
    endpoint.ask(TOKEN)

    assert provider.forms == [{"token": TOKEN, "token_type_hint": "access_token"}]
    assert provider.seen[0]["accept"] == "application/json"
    assert provider.seen[0]["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("authentication", "authorization", "form"),
    [
        (BASIC, BASIC.headers["Authorization"], {}),
        (ClientAuthentication.as_written("Bearer abc"), "Bearer abc", {}),
        (ClientAuthentication.post("app", "s&=+%"), None, {"client_id": "app", "client_secret": "s&=+%"}),
    ],
    ids=["basic", "as written", "post"],
)
def test_it_is_shown_who_asks(
    provider: Introspecting,
    http: Http,
    authentication: ClientAuthentication,
    authorization: str | None,
    form: dict[str, str],
) -> None:
    IntrospectionEndpoint(http, StoredEndpoint(provider.url), authentication).ask(TOKEN)

    assert provider.seen[0].get("authorization") == authorization
    assert provider.forms == [{"token": TOKEN, "token_type_hint": "access_token", **form}]


def test_an_answer_is_not_remembered_here(provider: Introspecting, endpoint: IntrospectionEndpoint) -> None:
    endpoint.ask(TOKEN)
    endpoint.ask(TOKEN)

    assert provider.calls == 2


NONSENSE = [
    {},
    [],
    [{"active": True}],
    None,
    "active",
    True,
    {"active": "true"},
    {"active": "false"},
    {"active": 1},
    {"active": 0},
    {"active": None},
    {"active": [True]},
    {"active": {}},
    {"Active": True},
    {"data": {"active": True}},
]


@pytest.mark.parametrize("answer", NONSENSE)
def test_an_answer_without_a_boolean_says_nothing_about_the_token(
    provider: Introspecting, endpoint: IntrospectionEndpoint, answer: object
) -> None:
    provider.answers[TOKEN] = answer

    assert fails(endpoint).code == HTTPStatus.SERVICE_UNAVAILABLE


@pytest.mark.parametrize("status", [201, 202, 203, 400, 404, 405, 415, 422])
def test_nor_does_an_answer_of_another_status(
    provider: Introspecting, endpoint: IntrospectionEndpoint, status: int
) -> None:
    provider.status = status
    provider.answers[TOKEN] = {"active": True}

    assert not isinstance(fails(endpoint), CredentialRefused)


@pytest.mark.parametrize(("status", "answer"), [(200, []), (200, {"active": "true"}), (400, {"error": "x"}), (404, {})])
def test_of_an_answer_that_makes_no_sense_only_its_token_rests(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, status: int, answer: object
) -> None:
    provider.status = status
    provider.answers = {TOKEN: answer, "another": {"active": True}}
    fails(endpoint)
    provider.answer_plainly()

    fails(endpoint)
    assert endpoint.ask("another") == {"active": True}
    assert provider.calls == 2

    clock.pass_(REST)
    provider.answers[TOKEN] = {"active": True}
    assert endpoint.ask(TOKEN) == {"active": True}


def test_a_token_of_a_kind_that_the_provider_is_not_asked_about_is_refused(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock
) -> None:
    provider.status, provider.body = 400, b'{"error": "unsupported_token_type"}'
    for _ in range(2):
        with pytest.raises(InvalidToken, match="tokens of this kind") as refusal:
            endpoint.ask(TOKEN)
        assert refusal.value.hint is not None
        assert refusal.value.hint.startswith("TokenIntrospector/o: ")
    assert provider.calls == 1

    provider.answer_plainly()
    assert endpoint.ask("another") == {"active": False}
    clock.pass_(REST)
    assert endpoint.ask(TOKEN) == {"active": False}


@dataclass
class Trouble:
    status: int = 200
    body: bytes | None = None
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


TROUBLES = {
    "moved": Trouble(302, headers=(("Location", "/elsewhere"),)),
    "moved for good": Trouble(307, headers=(("Location", "/elsewhere"),)),
    "broken": Trouble(500),
    "unavailable": Trouble(503),
    "too many requests": Trouble(429),
    "unauthorized": Trouble(401),
    "forbidden": Trouble(403),
    "HTML": Trouble(body=b"<html></html>", content_type="text/html"),
    "JSON that calls itself HTML": Trouble(body=b'{"active": true}', content_type="text/html"),
    "HTML that calls itself JSON": Trouble(body=b"<html></html>"),
    "nothing": Trouble(body=b""),
    "no content": Trouble(204, body=b""),
    "2 MiB": Trouble(body=b'{"active": true, "x": "' + b"x" * 2 * MIB + b'"}'),
    "twice active": Trouble(body=b'{"active": false, "active": true}'),
    "twice active, deep": Trouble(body=b'{"active": true, "x": {"y": 1, "y": 2}}'),
    "NaN": Trouble(body=b'{"active": true, "exp": NaN}'),
    "1e400": Trouble(body=b'{"active": true, "exp": 1e400}'),
    "5 000 digits": Trouble(body=b'{"active": true, "exp": ' + b"9" * 5000 + b"}"),
    "3 000 levels": Trouble(body=b'{"active": true, "x": ' + b"[" * 3000 + b"]" * 3000 + b"}"),
    "lone surrogate": Trouble(body=b'{"active": true, "sub": "\\ud800"}'),
    "not UTF-8": Trouble(body=b'{"active": true, "sub": "\xff"}'),
    "compressed": Trouble(headers=(("Content-Encoding", "gzip"),)),
    "a JWT of RFC 9701": Trouble(body=b"e30.e30.e30", content_type="application/token-introspection+jwt"),
}


def upset(provider: Introspecting, trouble: Trouble) -> None:
    provider.status, provider.body, provider.content_type = trouble.status, trouble.body, trouble.content_type
    provider.headers = dict(trouble.headers)


@pytest.mark.parametrize("name", TROUBLES)
def test_while_it_is_in_trouble_nothing_is_known_and_nobody_asks_again(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, name: str
) -> None:
    provider.answers = {TOKEN: {"active": True}, "another": {"active": True}}
    upset(provider, TROUBLES[name])
    first = fails(endpoint)
    again = fails(endpoint, "another")
    provider.answer_plainly()
    clock.pass_(REST - 0.1)
    last = fails(endpoint)

    assert provider.calls == 1
    assert {first.code, again.code, last.code} == {HTTPStatus.SERVICE_UNAVAILABLE}
    assert ("Retry-After", "5") in first.get_headers()
    assert first.hint == again.hint == last.hint != None  # noqa: E711


@pytest.mark.parametrize("name", TROUBLES)
def test_after_the_rest_it_is_asked_again(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, name: str
) -> None:
    provider.answers[TOKEN] = {"active": True}
    upset(provider, TROUBLES[name])
    fails(endpoint)
    provider.answer_plainly()
    clock.pass_(REST)

    assert endpoint.ask(TOKEN) == {"active": True}


def test_what_cannot_be_reached_rests_too(http: Http, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with introspecting() as gone:
        endpoint = IntrospectionEndpoint(http, StoredEndpoint(gone.url), BASIC, clock=clock)

    assert fails(endpoint).hint == fails(endpoint, "another").hint == "the connection is refused"
    assert logged(caplog) == [logging.WARNING]


@dataclass
class NotFound:
    """Of an endpoint that must be discovered, and cannot be."""

    asked: int = 0
    known: str | None = None

    def locate(self) -> str:
        self.asked += 1
        raise ProviderUnavailable(hint="no metadata")


def test_what_cannot_be_discovered_rests_too(http: Http, clock: Clock) -> None:
    nowhere = NotFound()
    endpoint = IntrospectionEndpoint(http, nowhere, BASIC, clock=clock)

    assert fails(endpoint).hint == fails(endpoint, "another").hint == "no metadata"
    assert nowhere.asked == 1


@dataclass
class RestingAlready:
    """Of an endpoint that could not be discovered a moment ago, and then can."""

    rests: bool = True
    known: str | None = None

    def locate(self) -> str:
        if self.rests:
            raise Resting(None, hint="no metadata", at=NOW - REST + 1)
        return "http://127.0.0.1:9/introspect"


def test_a_discovery_that_rests_is_not_prolonged(http: Http, clock: Clock) -> None:
    somewhere = RestingAlready()
    endpoint = IntrospectionEndpoint(http, somewhere, BASIC, clock=clock)
    assert fails(endpoint).hint == "no metadata"

    somewhere.rests = False

    assert fails(endpoint).hint == "the connection is refused"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (401, b'{"error": "invalid_client"}'),
        (403, b'{"error": "access_denied"}'),
        (400, b'{"error": "invalid_client"}'),
    ],
)
def test_a_credential_that_is_refused_is_told_from_other_trouble(
    provider: Introspecting, endpoint: IntrospectionEndpoint, status: int, body: bytes
) -> None:
    provider.status, provider.body = status, body

    refused = fails(endpoint)

    assert isinstance(refused, CredentialRefused)
    assert refused.hint is not None
    assert refused.hint.startswith("TokenIntrospector/o: ")
    assert f"status {status}" in refused.hint
    assert isinstance(fails(endpoint, "another"), CredentialRefused)


def test_a_refused_credential_is_logged_once_until_it_is_accepted_again(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def refused_for_a_minute() -> None:
        provider.status = 401
        for _ in range(12):
            fails(endpoint)
            clock.pass_(REST)

    refused_for_a_minute()
    assert logged(caplog) == [logging.ERROR]

    provider.answer_plainly()
    endpoint.ask(TOKEN)
    refused_for_a_minute()
    assert logged(caplog) == [logging.ERROR] * 2


def test_a_refused_credential_is_logged_once_however_many_find_out(
    provider: Introspecting, endpoint: IntrospectionEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    provider.status = 401
    provider.hold()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        failures = [pool.submit(fails, endpoint, f"token-{number}") for number in range(IN_FLIGHT)]
        for _ in failures:
            provider.asked.acquire(timeout=10)
        provider.release()

    assert {type(failure.result()) for failure in failures} == {CredentialRefused}
    assert logged(caplog) == [logging.ERROR]


def test_invented_tokens_do_not_fill_the_log(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    provider.status = 400
    for number in range(50):
        fails(endpoint, f"invented-{number}")
    assert logged(caplog) == [logging.WARNING]

    clock.pass_(REST)
    fails(endpoint)
    assert logged(caplog) == [logging.WARNING] * 2


@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_a_clock_that_is_set_back_prolongs_no_rest(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, status: int
) -> None:
    provider.status = status
    fails(endpoint)
    provider.answer_plainly()

    clock.pass_(-3600)

    assert endpoint.ask(TOKEN) == {"active": False}


def test_a_clock_that_is_set_back_keeps_nothing_out_of_the_log(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    provider.status = 400
    fails(endpoint)
    clock.pass_(-3600)

    fails(endpoint, "another")

    assert logged(caplog) == [logging.WARNING] * 2


@pytest.mark.parametrize(("status", "body"), [(401, b"{}"), (400, b"{}"), (200, b"[]"), (500, b""), (200, b"x")])
@pytest.mark.parametrize("authentication", [BASIC, ClientAuthentication.post(CLIENT, CLIENT_SECRET)])
def test_neither_the_token_nor_a_secret_is_logged_or_told(
    provider: Introspecting,
    http: Http,
    caplog: pytest.LogCaptureFixture,
    authentication: ClientAuthentication,
    status: int,
    body: bytes,
) -> None:
    caplog.set_level(logging.DEBUG)
    provider.status, provider.body = status, body
    failure = fails(IntrospectionEndpoint(http, StoredEndpoint(provider.url), authentication))

    text = "".join(record.getMessage() for record in caplog.records)
    told = f"{text} {failure.hint} {failure.description} {failure!r} {failure.get_body()}"
    for secret in (TOKEN, CLIENT_SECRET, BASIC.headers["Authorization"].removeprefix("Basic ")):
        assert secret not in told


def test_a_credential_that_no_header_may_hold_is_not_sent(provider: Introspecting, http: Http) -> None:
    authentication = ClientAuthentication.as_written("Basic abc\r\nX-Forwarded-For: 127.0.0.1")

    fails(IntrospectionEndpoint(http, StoredEndpoint(provider.url), authentication))
    assert provider.calls == 0


def test_only_so_many_calls_are_made_at_a_time(provider: Introspecting, endpoint: IntrospectionEndpoint) -> None:
    provider.hold()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        answers = [pool.submit(endpoint.ask, f"token-{number}") for number in range(IN_FLIGHT)]
        for _ in answers:
            provider.asked.acquire(timeout=10)
        one_more = fails(endpoint, "one-more")
        provider.release()

    assert [answer.result() for answer in answers] == [{"active": False}] * IN_FLIGHT
    assert one_more.code == HTTPStatus.SERVICE_UNAVAILABLE
    assert ("Retry-After", "5") in one_more.get_headers()
    assert one_more.hint == "introspection: 8 calls are under way, and no more are made"
    assert provider.calls == IN_FLIGHT


def test_who_was_turned_away_since_many_asked_may_ask_as_soon_as_one_is_done(
    provider: Introspecting, endpoint: IntrospectionEndpoint
) -> None:
    provider.hold()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for number in range(IN_FLIGHT):
            pool.submit(endpoint.ask, f"token-{number}")
            provider.asked.acquire(timeout=10)
        fails(endpoint)
        provider.release()

    assert endpoint.ask(TOKEN) == {"active": False}


@pytest.mark.parametrize("name", ["broken", "unauthorized", "HTML", "too many requests"])
def test_a_call_that_fails_is_over(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, name: str
) -> None:
    upset(provider, TROUBLES[name])
    for _ in range(IN_FLIGHT + 1):
        fails(endpoint)
        clock.pass_(REST)

    provider.answer_plainly()
    assert endpoint.ask(TOKEN) == {"active": False}


def test_calls_to_another_endpoint_are_counted_apart(provider: Introspecting, http: Http) -> None:
    busy, idle = (IntrospectionEndpoint(http, StoredEndpoint(provider.url), BASIC) for _ in range(2))
    provider.hold()
    with ThreadPoolExecutor(IN_FLIGHT + 1) as pool:
        for number in range(IN_FLIGHT):
            pool.submit(busy.ask, f"token-{number}")
            provider.asked.acquire(timeout=10)
        answer = pool.submit(idle.ask, TOKEN)
        provider.asked.acquire(timeout=10)
        provider.release()

    assert answer.result() == {"active": False}


def test_a_thread_that_waits_for_an_answer_holds_up_nobody_else(
    provider: Introspecting, endpoint: IntrospectionEndpoint
) -> None:
    provider.hold()
    slow = threading.Thread(target=endpoint.ask, args=["slow"])
    slow.start()
    provider.asked.acquire(timeout=10)
    fast = threading.Thread(target=endpoint.ask, args=["fast"])
    fast.start()

    assert provider.asked.acquire(timeout=10)
    provider.release()
    slow.join()
    fast.join()


def test_json_of_any_kind_is_read(provider: Introspecting, endpoint: IntrospectionEndpoint) -> None:
    provider.content_type = "application/introspection+json; charset=utf-8"
    provider.body = json.dumps({"active": True}).encode()

    assert endpoint.ask(TOKEN) == {"active": True}
