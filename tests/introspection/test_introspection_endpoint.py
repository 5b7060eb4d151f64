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
    MAX_ANSWER,
    TRUSTED_FOR,
    CredentialRefused,
    IntrospectionEndpoint,
)
from flask_foreign_token.introspection.remote_document import Resting

from ..http_servers import Peer, answer, serving
from .concurrency import Clock
from .introspecting import CLIENT, CLIENT_SECRET, Introspecting, Odd, introspecting
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


DOWN = {
    "too many requests": Trouble(429),
    "unauthorized": Trouble(401),
    "forbidden": Trouble(403),
    "moved": Trouble(302, headers=(("Location", "/elsewhere"),)),
    "moved for good": Trouble(307, headers=(("Location", "/elsewhere"),)),
    "broken": Trouble(500),
    "unavailable": Trouble(503),
}
"""What keeps everybody out."""
USELESS = {
    "HTML": Trouble(body=b"<html></html>", content_type="text/html"),
    "JSON that calls itself HTML": Trouble(body=b'{"active": true}', content_type="text/html"),
    "HTML that calls itself JSON": Trouble(body=b"<html></html>"),
    "nothing": Trouble(body=b""),
    "no content": Trouble(204, body=b""),
    "over 64 KiB": Trouble(body=b'{"active": true}'.ljust(MAX_ANSWER + 1)),
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
    "an odd status": Trouble(201),
    "another 4xx": Trouble(400),
    "a list": Trouble(body=b"[]"),
    "active as a text": Trouble(body=b'{"active": "true"}'),
}
"""What may be due to the one token."""
TROUBLES = DOWN | USELESS


def upset(provider: Introspecting, trouble: Trouble) -> None:
    provider.status, provider.body, provider.content_type = trouble.status, trouble.body, trouble.content_type
    provider.headers = dict(trouble.headers)


@pytest.mark.parametrize("name", DOWN)
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


@pytest.mark.parametrize("name", USELESS)
def test_of_an_answer_of_no_use_only_its_token_rests(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, name: str
) -> None:
    upset(provider, USELESS[name])
    first = fails(endpoint)
    provider.answer_plainly()
    clock.pass_(REST - 0.1)
    last = fails(endpoint)

    assert first.code == HTTPStatus.SERVICE_UNAVAILABLE
    assert ("Retry-After", "5") in first.get_headers()
    assert first.hint == last.hint != None  # noqa: E711
    assert provider.calls == 1
    assert endpoint.ask("another") == {"active": False}


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


def test_an_answer_of_64_kib_is_read(provider: Introspecting, endpoint: IntrospectionEndpoint) -> None:
    provider.body = b'{"active": true}'.ljust(MAX_ANSWER)

    assert endpoint.ask(TOKEN) == {"active": True}


def test_an_answer_over_64_kib_is_called_so(provider: Introspecting, endpoint: IntrospectionEndpoint) -> None:
    upset(provider, USELESS["over 64 KiB"])

    assert fails(endpoint).hint == "a body over 64 KiB"


def test_what_cannot_be_reached_rests_too(http: Http, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with introspecting() as gone:
        endpoint = IntrospectionEndpoint(http, StoredEndpoint(gone.url), BASIC, clock=clock)

    assert fails(endpoint).hint == fails(endpoint, "another").hint == "the connection is refused"
    assert logged(caplog) == [logging.WARNING]


def test_what_ends_too_early_is_no_answer(http: Http, clock: Clock) -> None:
    def handle(peer: Peer) -> None:
        peer.read()
        peer.write(answer(b"{}", length=3))

    with serving(handle) as server:
        endpoint = IntrospectionEndpoint(http, StoredEndpoint(server.origin), BASIC, clock=clock)

        assert fails(endpoint).hint == fails(endpoint, "another").hint == "an answer that ends too early"
        assert len(server.requests) == 1


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


REFUSALS = [(401, b""), (403, b'{"error": "access_denied"}'), (400, b'{"error": "invalid_client"}')]


@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_a_credential_that_was_taken_a_moment_ago_is_refused_for_one_token_alone(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, status: int, body: bytes
) -> None:
    endpoint.ask("good")
    clock.pass_(TRUSTED_FOR - 1)
    provider.status, provider.body = status, body
    assert isinstance(fails(endpoint), CredentialRefused)
    provider.answer_plainly()

    assert endpoint.ask("good") == {"active": False}
    assert isinstance(fails(endpoint), CredentialRefused)
    assert provider.calls == 3

    clock.pass_(REST)
    assert endpoint.ask(TOKEN) == {"active": False}


@pytest.mark.parametrize("seconds", [TRUSTED_FOR, -1])
@pytest.mark.parametrize(("status", "body"), REFUSALS)
def test_a_credential_that_was_taken_longer_ago_is_refused_for_all(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, status: int, body: bytes, seconds: float
) -> None:
    endpoint.ask("good")
    clock.pass_(seconds)
    provider.status, provider.body = status, body
    fails(endpoint)
    provider.answer_plainly()

    assert isinstance(fails(endpoint, "good"), CredentialRefused)
    assert provider.calls == 2


def test_403_that_is_no_error_of_oauth_may_be_a_firewalls_and_rests_its_token_only(
    provider: Introspecting, endpoint: IntrospectionEndpoint
) -> None:
    provider.odd["../../etc/passwd"] = Odd(403, b"<html>blocked", "text/html")

    assert isinstance(fails(endpoint, "../../etc/passwd"), CredentialRefused)
    assert endpoint.ask("good") == {"active": False}


def test_a_credential_that_is_withdrawn_is_logged_though_an_odd_token_comes_now_and_then(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    provider.odd["odd"] = Odd(403, b"<html>blocked", "text/html")
    for number in range(10):
        endpoint.ask(f"good-{number}")
        fails(endpoint, "odd")
        clock.pass_(30)
    caplog.clear()

    provider.odd.clear()
    provider.status, provider.body = 401, b"{}"
    for number in range(60):
        fails(endpoint, f"another-{number}")
        clock.pass_(REST)

    assert logged(caplog).count(logging.ERROR) == 1


def test_only_a_good_answer_shows_that_the_credential_was_taken(
    provider: Introspecting, endpoint: IntrospectionEndpoint
) -> None:
    provider.body = b"[]"
    fails(endpoint, "odd")
    upset(provider, DOWN["unauthorized"])
    fails(endpoint)
    provider.answer_plainly()

    assert isinstance(fails(endpoint, "another"), CredentialRefused)


def refused_for_a_minute(provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock) -> None:
    provider.status = 401
    for _ in range(12):
        fails(endpoint)
        clock.pass_(REST)
    provider.answer_plainly()


def test_a_refused_credential_is_logged_once_until_it_has_been_accepted_for_a_while(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    refused_for_a_minute(provider, endpoint, clock)
    assert logged(caplog) == [logging.ERROR]
    message = next(record.getMessage() for record in caplog.records if record.levelno == logging.ERROR)
    assert message == (
        "127.0.0.1: TokenIntrospector/o: the introspection endpoint refuses this credential with status 401; "
        "correct it, unless other tokens pass"
    )

    endpoint.ask(TOKEN)
    clock.pass_(TRUSTED_FOR - REST)
    refused_for_a_minute(provider, endpoint, clock)
    assert logged(caplog) == [logging.ERROR] * 2


def test_a_credential_that_nobody_has_accepted_since_is_no_news(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        refused_for_a_minute(provider, endpoint, clock)
        clock.pass_(TRUSTED_FOR)

    assert logged(caplog) == [logging.ERROR]


def test_one_odd_token_after_the_other_writes_one_error_a_minute_at_most(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        endpoint.ask("good")
        provider.status = 403
        fails(endpoint, f"odd-{number}")
        provider.answer_plainly()
        clock.pass_(1)
    assert logged(caplog) == [logging.ERROR]

    endpoint.ask("good")
    clock.pass_(TRUSTED_FOR - 1)
    provider.status = 403
    fails(endpoint, "odd")
    assert logged(caplog) == [logging.ERROR] * 2


def test_a_clock_that_is_set_back_keeps_no_refused_credential_out_of_the_log(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        provider.status = 401
        fails(endpoint)
        provider.answer_plainly()
        clock.pass_(-3600)
        endpoint.ask(TOKEN)

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


@pytest.mark.parametrize("name", USELESS)
def test_invented_tokens_do_not_fill_the_log(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    upset(provider, USELESS[name])
    for number in range(20):
        fails(endpoint, f"invented-{number}")
    assert provider.calls == 20
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


def test_that_too_many_ask_is_logged_now_and_then(
    provider: Introspecting, endpoint: IntrospectionEndpoint, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    provider.hold()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        for number in range(IN_FLIGHT):
            pool.submit(endpoint.ask, f"token-{number}")
            provider.asked.acquire(timeout=10)
        for number in range(20):
            fails(endpoint, f"one-more-{number}")
        assert logged(caplog) == [logging.WARNING]
        assert "127.0.0.1: introspection: 8 calls are under way, and no more are made" in caplog.messages
        clock.pass_(REST)
        fails(endpoint)
        provider.release()

    assert logged(caplog) == [logging.WARNING] * 2


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
