"""A Redis that is not there, goes, comes back, refuses, or says nothing: every worker goes on alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from redis import Redis

from example_app.keycloak_server import free_port

from ..apps import ask
from ..conftest import MakeApp
from ..http_servers import Peer, Server, serving
from .callers import OPERATOR_SETTINGS
from .people import People
from .people import token as token_about
from .registries import live, ready
from .sharing import CACHE_KEY, INTROSPECTION, KINDS, Line, Worker, lasting, opaque, rest, sharing
from .tokens import at_once, let_in, refused, rsa_key, until

PASSWORD = "nobody-else-knows-this-password"


def url_of(server: Server, password: str = "") -> str:
    return server.origin.replace("http://", f"redis://:{password}@" if password else "redis://")


def says(reply: bytes) -> Callable[[Peer], None]:
    """Whatever it is told, it answers this."""

    def handle(peer: Peer) -> None:
        while peer.sock.recv(65536):
            peer.sock.sendall(reply)

    return handle


def hangs(peer: Peer) -> None:
    peer.server.stopping.wait(60)


def hangs_up(peer: Peer) -> None:
    pass


def hangs_up_once_asked(peer: Peer) -> None:
    peer.sock.recv(65536)


KINDS_OF_SERVERS: dict[str, Callable[[Peer], None]] = {
    "hangs": hangs,
    "hangs up": hangs_up,
    "hangs up once it is asked": hangs_up_once_asked,
    "is an HTTP server": says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    "is loading": says(b"-LOADING Redis is loading the dataset in memory\r\n"),
    "wants a password": says(b"-NOAUTH Authentication required.\r\n"),
    "only reads": says(b"-READONLY You can't write against a read only replica.\r\n"),
    "is elsewhere": says(b"-MOVED 3999 127.0.0.1:1\r\n"),
    "errs": says(b"-ERR nobody knows\r\n"),
    "says OK": says(b"+OK\r\n"),
    "says a number": says(b":1\r\n"),
    "says a list": says(b"*2\r\n:1\r\n:2\r\n"),
    "promises much": says(b"$1000000000\r\n"),
    "promises too much": says(b"$99999999999999999999\r\n"),
    "says nonsense": says(b"\x00\xff nonsense \r\n\r\n"),
    "says half a word": says(b"+O"),
    "never ends a line": says(b"+" + b"x" * 100_000),
    "says garbage for a value": says(b"$7\r\ngarbage\r\n"),
}


@pytest.mark.parametrize("name", KINDS_OF_SERVERS)
def test_a_redis_of_no_use_changes_no_answer(make_app: MakeApp, issuing: People, name: str):
    with serving(KINDS_OF_SERVERS[name]) as server:
        for kind in KINDS.values():
            app = make_app(kind.resources(issuing), **sharing(url_of(server)))
            let_in(ask(app, kind.token(issuing)))
            refused(ask(app, lasting(rsa_key("another"), iss=issuing.url)))
        assert server.connections > 0
    assert [issuing.count(kind.path) for kind in KINDS.values()] == [3, 1, 1, 1]


def test_a_redis_that_is_not_there_changes_no_answer(make_app: MakeApp, issuing: People):
    for kind in KINDS.values():
        app = make_app(kind.resources(issuing), **sharing(f"redis://127.0.0.1:{free_port()}/0"))
        let_in(ask(app, kind.token(issuing)))
        refused(ask(app, lasting(rsa_key("another"), iss=issuing.url)))


def test_a_socket_that_is_not_there_changes_no_answer(make_app: MakeApp, issuing: People, tmp_path):
    kind = KINDS["keys"]
    let_in(ask(make_app(kind.resources(issuing), **sharing(f"unix://{tmp_path}/none.sock")), kind.token(issuing)))


def test_an_app_whose_redis_is_not_there_is_ready(make_app: MakeApp, issuing: People):
    config = {**OPERATOR_SETTINGS, **sharing(f"redis://127.0.0.1:{free_port()}/0")}
    app = make_app(KINDS["keys"].resources(issuing), **config)
    let_in(ask(app, lasting()))

    assert (live(app), ready(app)) == (200, 200)


# ---- how often it is tried


@pytest.fixture(params=["hangs", "hangs up", "wants a password", "errs", "says nonsense"], name="useless")
def useless_fixture(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serving(KINDS_OF_SERVERS[request.param]) as server:
        yield server


def test_a_redis_that_failed_is_tried_once_in_five_seconds(timed_app: MakeApp, issuing: People, useless: Server, now):
    app = timed_app(opaque(issuing), **sharing(url_of(useless)))

    for number in range(10):
        let_in(ask(app, f"token{number}"))
    assert useless.connections == 1
    now.now += 4.5
    let_in(ask(app, "nearly"))
    assert useless.connections == 1

    for attempt in range(2, 5):
        now.now += 5.1
        for number in range(5):
            let_in(ask(app, f"token{attempt}.{number}"))
        assert useless.connections == attempt


def test_a_redis_that_failed_is_tried_by_one_of_many_requests(timed_app: MakeApp, issuing: People, now):
    with serving(hangs) as server:
        app = timed_app(opaque(issuing), **sharing(url_of(server)))
        let_in(ask(app, "first"))
        rest(now)

        assert set(at_once(8, lambda number: ask(app, f"token{number}").status_code)) <= {200}
        assert server.connections == 2


def test_many_cold_requests_are_not_held_up_by_one_another(timed_app: MakeApp, issuing: People):
    with serving(hangs) as server:
        app = timed_app(opaque(issuing), **sharing(url_of(server)))

        assert at_once(8, lambda number: ask(app, f"token{number}").status_code) == [200] * 8
        assert server.connections <= 8


def test_each_kind_learns_from_the_failure_of_another(timed_app: MakeApp, issuing: People):
    with serving(hangs) as server:
        app = timed_app([*issuing.resources(), *opaque(issuing)[1:]], **sharing(url_of(server)))

        for token in (token_about(), "opaque", token_about("bob")):
            assert ask(app, token).status_code == 200
        assert server.connections == 1


@pytest.mark.parametrize("reply", [b"$100000\r\n", b"+", b""], ids=["a value", "a line", "bytes"])
def test_who_drips_a_byte_at_a_time_is_not_waited_for(make_app: MakeApp, issuing: People, reply: bytes):
    over = threading.Event()

    def drips(peer: Peer) -> None:
        peer.sock.recv(65536)
        peer.sock.sendall(reply)
        peer.drip(b"x" * 40, 0.1)
        over.set()

    with serving(drips) as server:
        let_in(ask(make_app(KINDS["keys"].resources(issuing), **sharing(url_of(server))), lasting()))
        early = not over.is_set()
    assert early, "the answer came when the Redis had said all of it"


# ---- going and coming


@pytest.fixture(name="line")
def line_fixture(redis_url: str) -> Iterator[Line]:
    line = Line(redis_url.rsplit(":", 1)[1].split("/")[0])
    yield line
    line._flows.set()
    line.cut()


@pytest.fixture(name="by_line")
def by_line_fixture(timed_app: MakeApp, line: Line, store: Redis, issuing: People) -> Callable[..., Flask]:
    """Makes workers that reach the Redis by `line`."""

    def make(**config: object) -> Flask:
        return timed_app(opaque(issuing), **sharing(line.url), **config)

    return make


def cut(line: Line) -> None:
    line.cut()


@pytest.mark.parametrize("how", ["cut", "hangs"])
def test_a_redis_that_goes_is_missed_by_nobody_and_used_when_it_is_back(by_line, line, worker, issuing, now, how: str):
    app = by_line()
    let_in(ask(app, "before"))

    if how == "cut":
        line.cut()
        for number in range(5):
            let_in(ask(app, f"while{number}"))
        line.mend()
    else:
        with line.hanging():
            for number in range(5):
                let_in(ask(app, f"while{number}"))
    let_in(ask(app, "resting"))
    asked = issuing.count(INTROSPECTION)
    rest(now)
    let_in(ask(app, "after"))

    other = worker(opaque(issuing))
    for token in ("before", "after"):
        let_in(ask(other, token))
    assert issuing.count(INTROSPECTION) == asked + 1
    let_in(ask(other, "while3"))
    assert issuing.count(INTROSPECTION) == asked + 2, "nobody could tell the Redis of that one"


def test_a_redis_that_is_not_there_at_first_is_used_once_it_is(by_line, line, worker, issuing, now):
    line.cut()
    app = by_line()
    let_in(ask(app, "before"))
    line.mend()

    rest(now)
    let_in(ask(app, "after"))
    let_in(ask(worker(opaque(issuing)), "after"))
    assert issuing.count(INTROSPECTION) == 2


def test_a_connection_that_the_redis_closed_meanwhile_is_no_outage(by_line, line, worker, issuing, store: Redis):
    app = by_line()
    let_in(ask(app, "before"))

    assert line.connected
    store.client_kill_filter(_type="normal", skipme=True)
    until(lambda: not line.connected)
    let_in(ask(app, "after"))
    let_in(ask(app, "later"))
    let_in(ask(worker(opaque(issuing)), "later"))
    assert issuing.count(INTROSPECTION) == 3


def test_a_redis_that_is_full_changes_no_answer(worker: Worker, issuing: People, store: Redis, now):
    store.config_set("maxmemory", 1)
    try:
        app, other = worker(opaque(issuing)), worker(opaque(issuing))
        for token in ("one", "two"):
            let_in(ask(app, token))
            let_in(ask(other, token))
    finally:
        store.config_set("maxmemory", 0)
    rest(now)
    let_in(ask(app, "three"))
    asked = issuing.count(INTROSPECTION)
    let_in(ask(worker(opaque(issuing)), "three"))
    assert issuing.count(INTROSPECTION) == asked


@pytest.fixture(name="locked")
def locked_fixture(store: Redis) -> Iterator[None]:
    """The Redis has a password."""
    store.config_set("requirepass", PASSWORD)
    yield
    store.config_set("requirepass", "")


def with_password(redis_url: str, password: str) -> str:
    return redis_url.replace("redis://", f"redis://:{password}@")


@pytest.mark.parametrize("password", ["", "wrong-one-of-nobody"])
def test_a_wrong_password_changes_no_answer_and_is_not_logged(
    timed_app, issuing, redis_url, locked, caplog, password: str
):
    caplog.set_level(logging.DEBUG)
    url = with_password(redis_url, password) if password else redis_url

    for _ in range(2):
        let_in(ask(timed_app(opaque(issuing), **sharing(url)), "token"))
    assert issuing.count(INTROSPECTION) == 2
    assert password == "" or password not in caplog.text


def test_the_right_password_opens(timed_app: MakeApp, issuing: People, redis_url: str, locked):
    for _ in range(2):
        let_in(ask(timed_app(opaque(issuing), **sharing(with_password(redis_url, PASSWORD))), "token"))

    assert issuing.count(INTROSPECTION) == 1


@pytest.mark.parametrize("option", ["socket_timeout=60", "socket_connect_timeout=60", "retry_on_timeout=True"])
def test_no_option_in_the_address_makes_anybody_wait(timed_app: MakeApp, issuing: People, option: str):
    over = threading.Event()

    def lasts(peer: Peer) -> None:
        peer.server.stopping.wait(10)
        over.set()

    with serving(lasts) as server:
        let_in(ask(timed_app(opaque(issuing), **sharing(f"{url_of(server)}/0?{option}")), "token"))
        assert server.connections == 1
        assert not over.is_set()


# ---- what is logged


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the extension said of the Redis."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("flask_foreign_token")
        and record.levelno >= logging.INFO
        and ("redis" in record.getMessage().lower() or "shared cache" in record.getMessage().lower())
    ]


def test_it_is_logged_once_that_it_went_and_once_that_it_is_back(by_line, line, issuing, now, caplog):
    caplog.set_level(logging.DEBUG)
    app = by_line()
    let_in(ask(app, "before"))
    assert told(caplog) == []

    line.cut()
    for number in range(3):
        for again in range(3):
            let_in(ask(app, f"while{number}.{again}"))
        rest(now)
    gone = told(caplog)
    line.mend()
    for number in range(3):
        let_in(ask(app, f"after{number}"))
        rest(now)

    assert len(gone) == 1, gone
    assert len(told(caplog)) == 2, told(caplog)
    assert CACHE_KEY not in caplog.text


def test_the_second_time_it_goes_is_logged_too(by_line, line, now, caplog):
    caplog.set_level(logging.INFO)
    app = by_line()

    for number in range(2):
        let_in(ask(app, f"before{number}"))
        line.cut()
        let_in(ask(app, f"while{number}"))
        line.mend()
        rest(now)
        let_in(ask(app, f"after{number}"))
    assert len(told(caplog)) == 4, told(caplog)


@pytest.mark.parametrize("name", ["hangs", "hangs up", "wants a password", "says nonsense"])
def test_no_log_of_an_outage_shows_a_secret_or_a_token(make_app: MakeApp, issuing: People, caplog, name: str):
    caplog.set_level(logging.DEBUG)
    with serving(KINDS_OF_SERVERS[name]) as server:
        token = token_about("somebody-unmistakable")
        app = make_app(issuing.resources(), **sharing(url_of(server, PASSWORD)))
        let_in(ask(app, token), "somebody-unmistakable")

    assert len(told(caplog)) == 1, told(caplog)
    for secret in (PASSWORD, CACHE_KEY, token, token.split(".")[2], "somebody-unmistakable"):
        assert secret not in caplog.text
