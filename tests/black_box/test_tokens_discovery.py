"""Endpoints that no resource gives, found at run time where the issuer publishes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from werkzeug.wrappers import Response

from ..apps import Resource, ask, introspector, policy, provider
from ..conftest import MakeApp
from .publishing import document as published
from .tokens import (
    OPAQUE,
    Server,
    active,
    asked_at,
    at_once,
    document,
    jwk,
    let_in,
    refused,
    rsa_key,
    serving,
    token_of,
    unavailable,
    until,
)

WELL_KNOWN = "/.well-known/openid-configuration"
CLIENT = {"id": "clinic", "secret": "the-secret-of-the-clinic"}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        server.keys(jwk(rsa_key()))
        publish(server)
        yield server


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """Another origin."""
    with serving() as server:
        server.keys(jwk(rsa_key()))
        server.pages["/introspect"] = active()
        yield server


def publish(server: Server, headers: Mapping[str, str] = {}, **changes: object) -> None:
    body = published(server.url, server.url, introspection_endpoint=f"{server.url}/introspect", **changes)
    server.pages[WELL_KNOWN] = document(body, **headers)


def discovered(server: Server, **attributes: object) -> list[Resource]:
    """An issuer, and no endpoint."""
    return [
        provider(issuer=server.url, **attributes),
        introspector("own", jwt={"iss": server.url}),
        policy("own-tokens", {"jwt": {"iss": server.url}}),
    ]


def paths(server: Server) -> list[str]:
    return [call.path for call in server.calls]


def test_keys_are_found_at_the_issuer_of_the_provider_once(server: Server, make_app: MakeApp):
    app = make_app(discovered(server))
    assert server.calls == []

    let_in(ask(app, token_of(iss=server.url)))
    let_in(ask(app, token_of(iss=server.url, sub="bob")), "bob")
    refused(ask(app, token_of(rsa_key("another"), iss=server.url)), "signature")
    assert paths(server) == [WELL_KNOWN, "/keys"]


@pytest.mark.parametrize("linked", [None, "keycloak"])
def test_keys_are_found_at_the_issuer_of_the_tokens_where_no_provider_names_one(server, make_app, linked):
    resources = [provider(), introspector("own", linked, jwt={"iss": server.url}), policy("all", {"jwt": "present?"})]

    let_in(ask(make_app(resources), token_of(iss=server.url)))
    assert paths(server) == [WELL_KNOWN, "/keys"]


@pytest.mark.parametrize("path", ["", "/tenant", "/realms/one"])
@pytest.mark.parametrize("standard", ["openid", "oauth"])
def test_metadata_are_found_where_either_standard_puts_them(server: Server, make_app: MakeApp, path, standard):
    del server.pages[WELL_KNOWN]
    issuer = server.url + path
    place = f"{path}{WELL_KNOWN}" if standard == "openid" else f"/.well-known/oauth-authorization-server{path}"
    server.pages[place] = published(issuer, server.url)
    resources = discovered(server)
    resources[0]["issuer"] = resources[1]["jwt"]["iss"] = resources[2]["matcho"]["jwt"]["iss"] = issuer

    let_in(ask(make_app(resources), token_of(iss=issuer)))
    assert paths(server)[-1] == "/keys"


def test_an_address_that_is_given_is_called_and_nothing_discovered(server: Server, make_app: MakeApp):
    resources = discovered(server)
    resources[1]["jwks_uri"] = f"{server.url}/keys"

    let_in(ask(make_app(resources), token_of(iss=server.url)))
    assert paths(server) == ["/keys"]


def test_the_key_set_of_the_provider_is_called_and_nothing_discovered(server: Server, make_app: MakeApp):
    let_in(ask(make_app(discovered(server, jwks_uri=f"{server.url}/keys")), token_of(iss=server.url)))
    assert paths(server) == ["/keys"]


def test_the_introspection_endpoint_is_found_and_asked_as_the_client(server: Server, make_app: MakeApp):
    server.pages["/introspect"] = active(iss=server.url)
    resources = asked_at("", introspection_endpoint=None)
    resources[0] = provider(issuer=server.url, client=CLIENT)
    app = make_app(resources)

    let_in(ask(app, OPAQUE))
    let_in(ask(app, "another"))
    assert paths(server) == [WELL_KNOWN, "/introspect", "/introspect"]
    assert server.calls[1].headers["Authorization"].startswith("Basic ")


def test_userinfo_is_found_and_asked(server: Server, make_app: MakeApp):
    server.pages["/userinfo"] = {"sub": "ada", "given_name": "Ada"}
    app = make_app(discovered(server, **{"userinfo-source": "userinfo-endpoint"}))

    let_in(ask(app, token_of(iss=server.url)))
    let_in(ask(app, token_of(iss=server.url, jti="2")))
    assert sorted(paths(server)) == sorted([WELL_KNOWN, "/keys", "/userinfo"])


@pytest.mark.parametrize("changes", [{"issuer": "https://evil.example"}, {"issuer": None}, {"issuer": 1}])
def test_a_document_of_another_issuer_is_not_believed(server: Server, make_app: MakeApp, changes):
    publish(server, **changes)

    unavailable(ask(make_app(discovered(server)), token_of(iss=server.url)))
    assert "/keys" not in paths(server)


def test_an_issuer_with_a_slash_is_another_issuer(server: Server, make_app: MakeApp):
    publish(server, issuer=f"{server.url}/")

    unavailable(ask(make_app(discovered(server)), token_of(iss=server.url)))
    assert "/keys" not in paths(server)


BAD_DOCUMENTS = {
    "no JSON": lambda: Response("<html>"),
    "a list": lambda: document([]),
    "500": lambda: document({}, 500),
    "404": lambda: document({}, 404),
    "2 MiB": lambda: document({"x": "y" * 2**21}),
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_a_document_that_is_none_is_an_outage(server: Server, make_app: MakeApp, case):
    server.pages[WELL_KNOWN] = BAD_DOCUMENTS[case]()

    unavailable(ask(make_app(discovered(server)), token_of(iss=server.url)))


def test_a_redirect_is_not_followed(server: Server, elsewhere: Server, make_app: MakeApp):
    server.pages[WELL_KNOWN] = document({}, 302, Location=f"{elsewhere.url}{WELL_KNOWN}")

    unavailable(ask(make_app(discovered(server)), token_of(iss=server.url)))
    assert elsewhere.calls == []


@pytest.mark.parametrize("name", ["jwks_uri", "introspection_endpoint", "userinfo_endpoint"])
def test_an_address_at_a_host_that_no_resource_names_is_not_called(server, elsewhere, make_app, name):
    publish(server)
    body = published(server.url, server.url, introspection_endpoint=f"{server.url}/introspect")
    server.pages[WELL_KNOWN] = document({**body, name: f"{elsewhere.url}/keys"})
    if name == "introspection_endpoint":
        resources = asked_at("", introspection_endpoint=None)
        resources[0] = provider(issuer=server.url, client=CLIENT)
        unavailable(ask(make_app(resources), OPAQUE))
    else:
        source = {"userinfo-source": "userinfo-endpoint"} if name == "userinfo_endpoint" else {}
        unavailable(ask(make_app(discovered(server, **source)), token_of(iss=server.url)))

    assert elsewhere.calls == []


def test_an_address_at_a_host_that_a_resource_names_is_called(server, elsewhere, make_app):
    publish(server, jwks_uri=f"{elsewhere.url}/keys")
    app = make_app(discovered(server, userinfo_endpoint=f"{elsewhere.url}/userinfo"))

    let_in(ask(app, token_of(iss=server.url)))
    assert paths(elsewhere) == ["/keys"]


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1/x", "keys", "", 7, None, "http://10.0.0.1/"]
)
def test_an_address_that_is_none_or_not_to_be_called_is_an_outage(server: Server, make_app: MakeApp, address):
    publish(server, jwks_uri=address)

    unavailable(ask(make_app(discovered(server)), token_of(iss=server.url)))
    assert set(paths(server)) == {WELL_KNOWN}


def test_an_issuer_without_tls_is_not_called_unless_its_host_is_allowed(make_app: MakeApp, caplog):
    issuer = "http://login.example"
    resources = [provider(issuer=issuer), introspector("own", jwt={"iss": issuer}), policy("all", {"jwt": "present?"})]

    assert ask(make_app(resources), token_of(iss=issuer)).status_code == 503
    assert "FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in caplog.text


@pytest.mark.parametrize("allowed", [True, False])
def test_a_host_is_called_without_tls_only_where_it_is_allowed(server: Server, make_app: MakeApp, allowed, caplog):
    hosts = ["127.0.0.1"] if allowed else ["localhost"]
    answer = ask(make_app(discovered(server), FOREIGN_TOKEN_ALLOW_HTTP_HOSTS=hosts), token_of(iss=server.url))

    assert answer.status_code == (200 if allowed else 503)
    assert bool(server.calls) == allowed
    assert ("FOREIGN_TOKEN_ALLOW_HTTP_HOSTS" in caplog.text) != allowed


def test_a_token_of_an_issuer_that_is_not_registered_has_nothing_discovered(server, elsewhere, make_app):
    app = make_app(discovered(server))

    refused(ask(app, token_of(iss=elsewhere.url)))
    refused(ask(app, token_of(iss=elsewhere.url, header={"jku": f"{elsewhere.url}/keys"})))
    assert elsewhere.calls == []
    assert server.calls == []


def test_what_was_discovered_is_refreshed_like_keys(server: Server, timed_app: MakeApp, now):
    app = timed_app(discovered(server))
    let_in(ask(app, token_of(iss=server.url)))
    server.pages["/new-keys"] = {"keys": [jwk(rsa_key("new"), "new")]}
    publish(server, jwks_uri=f"{server.url}/new-keys")

    now.now += 300
    let_in(ask(app, token_of(iss=server.url, iat=None, exp=int(now.now) + 300)))
    assert server.count(WELL_KNOWN) == 1
    now.now += 3500
    token = token_of(rsa_key("new"), kid="new", iss=server.url, iat=None, exp=int(now.now) + 300)
    until(lambda: ask(app, token).status_code == 200)
    assert server.count(WELL_KNOWN) == 2


@pytest.mark.parametrize(("header", "life"), [("max-age=120", 120), ("max-age=1", 60), ("no-cache", 3600)])
def test_how_long_it_is_kept_follows_max_age_within_bounds(server: Server, timed_app: MakeApp, now, header, life):
    publish(server, {"Cache_Control": header})
    app = timed_app(discovered(server))
    let_in(ask(app, token_of(iss=server.url)))

    now.now += life * 0.7
    ask(app, token_of(kid="unknown", iss=server.url))
    assert server.count(WELL_KNOWN) == 1
    now.now += life * 0.4
    ask(app, token_of(kid="unknown", iss=server.url))
    until(lambda: server.count(WELL_KNOWN) == 2)


def test_an_outage_is_503_until_five_seconds_after_and_no_call_in_between(server: Server, timed_app: MakeApp, now):
    good = server.pages[WELL_KNOWN]
    server.pages[WELL_KNOWN] = document({}, 500)
    app = timed_app(discovered(server))
    unavailable(ask(app, token_of(iss=server.url)))
    asked = len(server.calls)

    server.pages[WELL_KNOWN] = good
    for _ in range(5):
        unavailable(ask(app, token_of(iss=server.url)))
    assert len(server.calls) == asked
    now.now += 5.1
    let_in(ask(app, token_of(iss=server.url)))


def test_while_the_metadata_cannot_be_had_what_was_discovered_goes_on(server: Server, timed_app: MakeApp, now):
    app = timed_app(discovered(server))
    let_in(ask(app, token_of(iss=server.url)))
    server.pages[WELL_KNOWN] = document({}, 500)

    now.now += 3700
    token = token_of(iss=server.url, sub="bob", iat=None, exp=int(now.now) + 300)
    let_in(ask(app, token), "bob")


def test_64_threads_that_need_it_have_it_discovered_once(server: Server, make_app: MakeApp):
    app = make_app(discovered(server))
    token = token_of(iss=server.url)

    assert at_once(64, lambda _: ask(app, token).status_code) == [200] * 64
    assert paths(server) == [WELL_KNOWN, "/keys"]
