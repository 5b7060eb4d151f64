"""What switches sharing on: settings that fit are taken without a connection, others refused, and none is shown."""

from __future__ import annotations

import logging
import secrets
import sys
from typing import Any

import pytest
from flask import Flask

from flask_foreign_token import ForeignToken
from flask_foreign_token.errors import ConfigError

from ..apps import ask, introspector, provider
from ..conftest import MakeApp
from ..http_servers import Peer, serving
from .callers import OPERATOR_SETTINGS, put, run
from .people import People
from .sharing import CACHE_KEY, KINDS, sharing
from .tokens import let_in

URL = "redis://cache.example:6379/0"
PASSWORD = "nobody-else-knows-this-password"
OF_A_SECRET = f"redis://:{PASSWORD}@127.0.0.1:9/0"


def refusal(make_app: MakeApp, setting: str, **config: object) -> str:
    """What is said, after a look that it names the setting, a reason and a value that works."""
    with pytest.raises(ConfigError, match=rf"FOREIGN_TOKEN_{setting}\b.*; this works\b.*: .+") as refused:
        make_app(**config)
    return str(refused.value)


GOOD_URLS = [
    URL,
    "redis://cache.example",
    "redis://cache.example:6379",
    "redis://:pass@cache.example:6380/3",
    "redis://user:p%40ss@cache.example/1",
    "redis://[::1]:6379/0",
    "rediss://cache.example:6380/0",
    "unix:///run/redis/redis.sock",
    "unix:///run/redis/redis.sock?db=1",
    "valkey://cache.example:6379/0",
    "valkeys://cache.example:6380/0",
]

BAD_URLS = [
    "",
    " ",
    7,
    True,
    [URL],
    b"redis://cache.example",
    "cache.example",
    "cache.example:6379",
    "localhost",
    "http://cache.example",
    "https://cache.example:6379/0",
    "memcached://cache.example",
    "file:///run/cache",
    "/run/redis.sock",
    "redis:cache.example",
    "redis://cache.example:port/0",
    "redis://cache.example:99999/0",
    "redis://cache.example/first",
    "unix://",
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_an_address_that_fits_is_taken(make_app: MakeApp, url: str):
    make_app(**sharing(url))


@pytest.mark.parametrize("url", BAD_URLS, ids=repr)
def test_an_address_that_does_not_fit_is_refused(make_app: MakeApp, url: object):
    refusal(make_app, "CACHE_URL", FOREIGN_TOKEN_CACHE_URL=url, FOREIGN_TOKEN_CACHE_KEY=CACHE_KEY)


@pytest.mark.parametrize("url", [f"redis://:{PASSWORD}@cache:port/0", f"http://u:{PASSWORD}@cache", f":{PASSWORD}"])
def test_the_refusal_of_an_address_does_not_show_it(make_app: MakeApp, url: str):
    said = refusal(make_app, "CACHE_URL", FOREIGN_TOKEN_CACHE_URL=url, FOREIGN_TOKEN_CACHE_KEY=CACHE_KEY)

    assert PASSWORD not in said


@pytest.mark.parametrize("key", ["k" * 32, "ä" * 16, "0123456789abcdef" * 4])
def test_a_key_of_32_bytes_is_taken(make_app: MakeApp, key: str):
    make_app(FOREIGN_TOKEN_CACHE_URL=URL, FOREIGN_TOKEN_CACHE_KEY=key)


@pytest.mark.parametrize("key", ["", "k" * 31, "ä" * 15, " " * 40, 7, 10**40, True, ["k" * 32]], ids=repr)
def test_a_key_that_is_short_or_no_text_is_refused_and_not_shown(make_app: MakeApp, key: object):
    said = refusal(make_app, "CACHE_KEY", FOREIGN_TOKEN_CACHE_URL=URL, FOREIGN_TOKEN_CACHE_KEY=key)

    if len(str(key)) > 8:
        assert str(key) not in said.split("; this works")[0]


def test_an_address_without_a_key_is_refused(make_app: MakeApp):
    said = refusal(make_app, "CACHE_KEY", FOREIGN_TOKEN_CACHE_URL=OF_A_SECRET)

    assert PASSWORD not in said


def test_a_key_that_the_refusal_proposes_works(make_app: MakeApp):
    said = refusal(make_app, "CACHE_KEY", FOREIGN_TOKEN_CACHE_URL=URL).split("; this works")[1].split(": ")[1]
    key: Any = eval(said, {"secrets": secrets}) if "(" in said else said.strip("'\"")
    make_app(FOREIGN_TOKEN_CACHE_URL=URL, FOREIGN_TOKEN_CACHE_KEY=key)


def test_without_redis_py_the_refusal_says_how_to_get_it(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "redis", None)

    with pytest.raises(ConfigError, match=r"pip install .*Flask-ForeignToken\[redis\]") as refused:
        make_app(**sharing(OF_A_SECRET))
    assert "FOREIGN_TOKEN_CACHE_URL" in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_without_redis_py_an_app_that_shares_nothing_works(make_app: MakeApp, issuing, monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)

    let_in(ask(make_app(KINDS["keys"].resources(issuing)), KINDS["keys"].token(issuing)))


def test_the_settings_are_read_from_the_environment(make_app: MakeApp, issuing: People, redis_url, store, monkeypatch):
    monkeypatch.setenv("FOREIGN_TOKEN_CACHE_URL", redis_url)
    monkeypatch.setenv("FOREIGN_TOKEN_CACHE_KEY", CACHE_KEY)
    kind = KINDS["keys"]

    for _ in range(2):
        let_in(ask(make_app(kind.resources(issuing)), kind.token(issuing)))
    assert issuing.fetches == 1


def _never(peer: Peer) -> None:
    peer.server.stopping.wait(30)


def test_to_be_set_up_opens_no_connection(make_app: MakeApp, issuing: People):
    with serving(_never) as server:
        url = server.origin.replace("http:", "redis:")
        app = make_app(KINDS["keys"].resources(issuing), **sharing(url))
        app.test_client().get("/nothing-here")

        assert server.connections == 0
        let_in(ask(app, KINDS["keys"].token(issuing)))
        assert server.connections == 1


def test_what_nothing_is_fetched_for_opens_no_connection(make_app: MakeApp, issuing: People):
    with serving(_never) as server:
        app = make_app(KINDS["keys"].resources(issuing), **sharing(server.origin.replace("http:", "redis:")))

        assert ask(app, path="/open").status_code == 200
        assert ask(app).status_code == 401
        assert ask(app, "a.b.c").status_code == 401
        assert server.connections == 0


# ---- never shown


@pytest.fixture
def secretive(make_app: MakeApp, issuing: People) -> Flask:
    """An app whose Redis is not there, with a password in its address."""
    return make_app(KINDS["userinfo"].resources(issuing), **OPERATOR_SETTINGS, **sharing(OF_A_SECRET))


def hidden(text: str) -> None:
    assert PASSWORD not in text
    assert CACHE_KEY not in text
    assert OF_A_SECRET not in text


def test_no_repr_shows_the_key_or_the_address(secretive: Flask, issuing: People):
    ask(secretive, KINDS["userinfo"].token(issuing))
    application = secretive.extensions["foreign_token"]
    runtime = application.runtime()
    held = [value for owner in (application, runtime) for value in _held(owner)]

    for value in (application, runtime, *held):
        hidden(repr(value) + str(value))


def _held(owner: object) -> list[object]:
    names = [name for kind in type(owner).__mro__ for name in getattr(kind, "__slots__", ())]
    return [getattr(owner, name, None) for name in [*names, *getattr(owner, "__dict__", {})]]


def test_no_log_shows_the_key_or_the_address(secretive: Flask, issuing: People, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)

    let_in(ask(secretive, KINDS["userinfo"].token(issuing)))
    assert "flask_foreign_token" in {record.name.split(".")[0] for record in caplog.records}
    hidden(caplog.text)


@pytest.mark.parametrize("command", [["doctor"], ["doctor", "--json"], ["list", "IdentityProvider"], ["routes"]])
def test_no_command_shows_the_key_or_the_address(secretive: Flask, caplog, command):
    caplog.set_level(logging.DEBUG)
    result = run(secretive, *command, status=None)

    hidden(result.output + result.stderr + caplog.text)


@pytest.mark.parametrize("path", ["health", "health/ready", "openapi.json", "IdentityProvider", "TokenIntrospector"])
def test_no_answer_to_the_operator_shows_the_key_or_the_address(secretive: Flask, path):
    from .callers import operate

    secretive.debug = True
    hidden(operate(secretive, "GET", f"/fhir/{path}").get_data(as_text=True))


NAMED = {
    "the key": CACHE_KEY,
    "the address": OF_A_SECRET,
    "the password in the address": PASSWORD,
    "a text with the key": f"Bearer {CACHE_KEY}",
    "a text with the password": f"Bearer {PASSWORD}",
}


@pytest.mark.parametrize("name", NAMED)
def test_no_resource_may_refer_to_them(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, name: str):
    app = make_app(**OPERATOR_SETTINGS, **sharing(OF_A_SECRET))
    put(app, provider())
    monkeypatch.setenv("OTHER_NAME", NAMED[name])
    body = introspector("other", jwt={"iss": "https://other.example", "secret": {"env": "OTHER_NAME"}})

    answer = put(app, body)

    said = answer.get_data(as_text=True)
    assert answer.status_code == 422, said
    assert "is a secret of the app's own, which no resource may name" in said
    hidden(said)


@pytest.mark.parametrize("variable", ["FOREIGN_TOKEN_CACHE_KEY", "FOREIGN_TOKEN_CACHE_URL"])
def test_their_own_variables_may_not_be_named(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, variable: str):
    monkeypatch.setenv("FOREIGN_TOKEN_CACHE_KEY", CACHE_KEY)
    monkeypatch.setenv("FOREIGN_TOKEN_CACHE_URL", OF_A_SECRET)
    app = make_app(**OPERATOR_SETTINGS)

    answer = put(app, introspector("other", None, jwt={"iss": "https://o.example", "secret": {"env": variable}}))

    assert answer.status_code == 422
    hidden(answer.get_data(as_text=True))


def test_another_secret_may_be_referred_to(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch):
    app = make_app(**OPERATOR_SETTINGS, **sharing(OF_A_SECRET))
    monkeypatch.setenv("OTHER_NAME", "a-secret-that-is-nobody-elses-0123456789")

    answer = put(app, introspector("other", None, jwt={"iss": "https://o.example", "secret": {"env": "OTHER_NAME"}}))
    assert answer.status_code == 201


def test_one_extension_serves_apps_with_and_without_sharing(make_app: MakeApp, issuing, redis_url, store):
    extension, kind = ForeignToken(), KINDS["keys"]
    alone = make_app(kind.resources(issuing), extension)
    shared = make_app(kind.resources(issuing), extension, **sharing(redis_url))

    for app in (alone, shared):
        let_in(ask(app, kind.token(issuing)))
    assert issuing.fetches == 2
    assert store.dbsize() > 0
