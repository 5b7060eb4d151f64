"""Userinfo that comes as a signed JWT (OpenID Connect Core 1.0 section 5.3.2)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import OctKey

from flask_foreign_token.errors import REST, InvalidToken, Issue, ProviderUnavailable
from flask_foreign_token.http import Http, UselessAnswer
from flask_foreign_token.introspection.endpoints import StoredEndpoint
from flask_foreign_token.introspection.introspection_endpoint import MAX_ANSWER
from flask_foreign_token.introspection.key_set import read_key_set
from flask_foreign_token.introspection.keys import KeySource
from flask_foreign_token.introspection.parse import MAX_SIZE
from flask_foreign_token.introspection.remote_keys import RemoteKeys
from flask_foreign_token.introspection.static_keys import StaticKeys
from flask_foreign_token.introspection.token import Token
from flask_foreign_token.registry.parts import NoKeys
from flask_foreign_token.users.nesting import MAX_VALUES
from flask_foreign_token.users.signed_userinfo import SignedUserinfo
from flask_foreign_token.users.userinfo import UserinfoEndpoint

from ..introspection.provider import Provider as KeyServer
from ..introspection.provider import running
from ..introspection.signing import ISSUER, NOW, SECRET, encoded, header, jwk, key_for, sign
from .conftest import Clock, a_credential, a_token
from .userinfo_server import Provider

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
PUBLISHED = read_key_set({"keys": [jwk(algorithm) for algorithm in ALGORITHMS]}, ("RS256",))
SYMMETRIC = StaticKeys.from_secret(SECRET, None)
CLIENT = "clinic"
SAID = {"iss": ISSUER, "aud": CLIENT, "sub": "anna", "email": "anna@example.com", "groups": ["ward 7"]}
LEEWAY = 30.0


def the_token(**claims: object) -> Token:
    """A token of anna's."""
    return a_token("anna", ISSUER, **claims)


def said(**changes: object) -> dict[str, Any]:
    """A good answer; a claim that is `None` is left out."""
    return {name: value for name, value in {**SAID, **changes}.items() if value is not None}


def verifying(keys: KeySource = PUBLISHED, **rules: Any) -> SignedUserinfo:
    rules = {"algorithms": None, "client_id": CLIENT, "leeway": LEEWAY, "clock": lambda: NOW, **rules}
    return SignedUserinfo(keys, **rules)


def reason_of(answer: str, token: Token | None = None, signed: SignedUserinfo | None = None) -> str:
    """Why an answer is of no use."""
    with pytest.raises(UselessAnswer) as useless:
        (signed or verifying()).claims(answer, token or the_token())
    assert useless.value.description == ProviderUnavailable.text
    kind, _, reason = str(useless.value.hint).partition(": ")
    assert kind == "signed userinfo"
    return reason


# ---- what is believed


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_the_issuer_signed_is_taken_as_it_came(algorithm: str) -> None:
    assert verifying().claims(sign(body=said(), algorithm=algorithm), the_token()) == SAID


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": [CLIENT]},
        {"aud": ["somebody", CLIENT]},
        {"iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "1"},
        {"iat": NOW + LEEWAY, "exp": NOW - LEEWAY + 1},
        {"typ": "patient"},
        {"azp": CLIENT, "scope": "openid"},
        {"sub": "somebody else"},
    ],
    ids=["a list", "a list of several", "times that hold", "the leeway", "a typ of its own", "a client", "another sub"],
)
def test_what_else_a_good_answer_may_say(claims: dict[str, object]) -> None:
    assert verifying().claims(sign(body=said(**claims)), the_token()) == said(**claims)


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "application/jwt"])
def test_its_header_may_name_the_type_of_every_jwt(typ: str | None) -> None:
    assert verifying().claims(sign(header(typ=typ), said()), the_token()) == SAID


@pytest.mark.parametrize("claim", ["azp", "client_id"])
def test_it_may_be_for_the_client_that_the_token_was_issued_to(claim: str) -> None:
    signed = verifying(client_id=None)
    token = the_token(**{claim: "frontend"})

    assert signed.claims(sign(body=said(aud="frontend")), token)["aud"] == "frontend"
    assert reason_of(sign(body=said()), token, signed) == "aud names another audience"


def test_it_may_be_longer_than_a_token() -> None:
    groups = ["x" * 1000] * 40
    answer = sign(body=said(groups=groups))

    assert MAX_SIZE < len(answer) < MAX_ANSWER
    assert verifying().claims(answer, the_token())["groups"] == groups


def test_where_the_introspector_has_a_secret_it_is_signed_with_that() -> None:
    answer = sign(header("HS256"), said(), algorithm="HS256", key=OctKey.import_key(SECRET))

    assert verifying(SYMMETRIC).claims(answer, the_token()) == SAID
    assert reason_of(answer) == "no key of the issuer fits the token"


# ---- what is not


def altered() -> str:
    head, _, signature = sign(body=said()).split(".")
    return f"{head}.{encoded(said(email='eve@example.com'))}.{signature}"


def unsigned() -> str:
    return f"{encoded({'alg': 'none'})}.{encoded(said())}."


def with_public_key() -> str:
    signing_input = f"{encoded(header('HS256', kid='RS256'))}.{encoded(said())}"
    signature = hmac.digest(key_for("RS256").as_pem(private=False), signing_input.encode(), "sha256")
    return f"{signing_input}.{encoded(signature)}"


WRONG: dict[str, tuple[Callable[[], str], str]] = {
    "empty": (lambda: "", "the token has not three parts"),
    "two parts": (lambda: sign(body=said()).rpartition(".")[0], "the token has not three parts"),
    "encrypted": (lambda: f"{sign(body=said())}.a.b", "the token is encrypted"),
    "JSON serialization": (lambda: '{"payload": ""}', "the token is not in compact serialization"),
    "a line end": (lambda: f"{sign(body=said())}\n", "the signature is not base64url"),
    "too long": (lambda: "a" * (MAX_ANSWER + 1), "the token is longer than 64 KiB"),
    "no object": (lambda: sign(body=b"[]"), "the claims: not a JSON object"),
    "a member twice": (lambda: sign(body=b'{"sub": "anna", "sub": "eve"}'), "the claims: JSON with a duplicate member"),
    "an extension": (lambda: sign(header(crit=["exp"]), said()), "crit is not understood"),
    "altered": (altered, "the signature is wrong"),
    "signed by another": (lambda: sign(body=said(), key=key_for("RS256", "other")), "the signature is wrong"),
    "of a key that nobody has": (lambda: sign(header(kid="x"), said()), "no key of the issuer fits the token"),
    "unsigned": (unsigned, "the algorithm is not permitted"),
    "another algorithm": (
        lambda: sign(header("PS256", kid="RS256"), said(), algorithm="PS256"),
        "no key of the issuer fits the token",
    ),
    "the public key as a secret": (with_public_key, "no key of the issuer fits the token"),
    "no iss": (lambda: sign(body=said(iss=None)), "iss is not the issuer"),
    "another iss": (lambda: sign(body=said(iss=f"{ISSUER}/")), "iss is not the issuer"),
    "a list of iss": (lambda: sign(body=said(iss=[ISSUER])), "iss is not the issuer"),
    "no aud": (lambda: sign(body=said(aud=None)), "aud is missing"),
    "no aud in the list": (lambda: sign(body=said(aud=[])), "aud is neither a text nor a list of texts"),
    "another aud": (lambda: sign(body=said(aud="Clinic")), "aud names another audience"),
    "a number as aud": (lambda: sign(body=said(aud=1)), "aud is neither a text nor a list of texts"),
    "past": (lambda: sign(body=said(exp=NOW - LEEWAY)), "the token has expired"),
    "an exp that is no time": (lambda: sign(body=said(exp="tomorrow")), "exp is not a time"),
    "an nbf ahead": (lambda: sign(body=said(nbf=NOW + LEEWAY + 1)), "nbf lies ahead"),
    "an iat ahead": (lambda: sign(body=said(iat=NOW + LEEWAY + 1)), "iat lies ahead"),
}


@pytest.mark.parametrize(("answer", "reason"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_believed_is_of_no_use(answer: Callable[[], str], reason: str) -> None:
    assert reason_of(answer()) == reason


@pytest.mark.parametrize(
    "typ", ["at+jwt", "application/at+jwt", "logout+jwt", "token-introspection+jwt", "dpop+jwt", "secevent+jwt", ""]
)
def test_what_names_another_type_is_no_userinfo(typ: str) -> None:
    assert reason_of(sign(header(typ=typ), said())) == "the typ of the header is that of something else"


@pytest.mark.parametrize("typ", ["Bearer", "ID", "Refresh", "Offline", "Logout"])
def test_what_keycloak_calls_something_else_is_no_userinfo(typ: str) -> None:
    assert reason_of(sign(body=said(typ=typ))) == "the claim typ is that of something else"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n"},
        {"at_hash": "h"},
        {"c_hash": "h"},
        {"s_hash": "h"},
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
        {"token_use": "access"},
        {"token_type": "access"},
        {"token_introspection": {"active": True}},
        {"cnf": {"jkt": "k"}},
    ],
    ids=lambda claims: next(iter(claims)),
)
def test_what_has_claims_that_only_other_tokens_have_is_no_userinfo(claims: dict[str, object]) -> None:
    assert reason_of(sign(body=said(**claims))) == f"userinfo has no {next(iter(claims))}"


def test_an_access_token_for_an_api_is_no_userinfo() -> None:
    answer = sign(body=said(aud="https://api.example", azp=CLIENT, exp=NOW + 300))

    assert reason_of(answer) == "aud names another audience"


def test_where_no_client_is_known_nothing_is_believed() -> None:
    signed = verifying(client_id=None)

    reason = reason_of(sign(body=said()), signed=signed)

    assert reason == "nobody says which client it must be for: give client.id to the IdentityProvider"


def test_algorithms_that_the_introspector_does_not_permit_are_not() -> None:
    signed = verifying(algorithms=frozenset(["ES256"]))

    assert reason_of(sign(body=said()), signed=signed) == "the algorithm is not permitted"
    assert signed.claims(sign(body=said(), algorithm="ES256"), the_token()) == SAID


def test_without_keys_the_reason_says_what_is_missing() -> None:
    signed = verifying(NoKeys([Issue("IdentityProvider/k", "jwks_uri", "is required")]))

    assert reason_of(sign(body=said()), signed=signed) == "there are no keys: IdentityProvider/k jwks_uri: is required"


def test_no_reason_repeats_what_was_said() -> None:
    answer = sign(body=said(iss="https://private.example"))

    with pytest.raises(UselessAnswer) as useless:
        verifying().claims(answer, the_token())

    told = f"{useless.value.hint} {useless.value.get_body()} {useless.value.__context__!r}"
    assert "private" not in told
    assert "anna" not in told
    assert answer not in told


# ---- at the endpoint


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    provider.content_type = "application/jwt"
    yield provider
    provider.close()


@pytest.fixture
def http() -> Iterator[Http]:
    with closing(Http()) as http:
        yield http


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def endpoint(http: Http, provider: Provider, clock: Clock) -> UserinfoEndpoint:
    return UserinfoEndpoint(http, StoredEndpoint(provider.url), signed=verifying(), clock=clock)


def answering(provider: Provider, **claims: object) -> None:
    provider.body = sign(body=said(**claims)).encode()


def test_an_endpoint_may_sign_what_it_says(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    answering(provider)

    assert endpoint.userinfo(the_token(), a_credential()) == SAID


@pytest.mark.requirement("OIDC Core", "5.3.2")
@pytest.mark.parametrize("sub", ["eve", "Anna", "", None, 7, ["anna"]])
def test_signed_userinfo_of_another_subject_is_refused(
    endpoint: UserinfoEndpoint, provider: Provider, sub: object
) -> None:
    answering(provider, sub=sub)

    with pytest.raises(InvalidToken, match="userinfo names another subject"):
        endpoint.userinfo(the_token(), a_credential())


def test_what_is_of_no_use_rests_for_that_token_alone_and_is_logged_once(
    endpoint: UserinfoEndpoint, provider: Provider, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    answering(provider, aud="somebody")
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            endpoint.userinfo(the_token(), a_credential("bad"))
    assert len(provider.requests) == 1
    answering(provider)

    assert endpoint.userinfo(the_token(), a_credential("good")) == SAID
    clock.now += REST
    assert endpoint.userinfo(the_token(), a_credential("bad")) == SAID
    assert caplog.messages == ["127.0.0.1: signed userinfo: aud names another audience"]


@pytest.mark.parametrize(
    ("much", "reason"),
    [
        ({"pad": "x" * (MAX_ANSWER * 3 // 4)}, "a body over 64 KiB"),
        ({"groups": [{}] * MAX_VALUES}, "userinfo: over 2000 values"),
    ],
    ids=["size", "values"],
)
def test_one_that_is_too_large_is_of_no_use_either(
    endpoint: UserinfoEndpoint, provider: Provider, much: dict[str, object], reason: str
) -> None:
    answering(provider, **much)

    for _ in range(2):
        with pytest.raises(UselessAnswer) as useless:
            endpoint.userinfo(the_token(), a_credential())

    assert useless.value.hint == reason
    assert len(provider.requests) == 1


def test_while_it_names_another_subject_it_is_not_asked_about_that_token_again(
    endpoint: UserinfoEndpoint, provider: Provider, clock: Clock
) -> None:
    answering(provider, sub="eve")
    for _ in range(3):
        with pytest.raises(InvalidToken, match="userinfo names another subject"):
            endpoint.userinfo(the_token(), a_credential())
    assert len(provider.requests) == 1
    answering(provider)

    clock.now += REST

    assert endpoint.userinfo(the_token(), a_credential()) == SAID


def test_a_jwt_under_another_name_is_none(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    answering(provider)
    provider.content_type = "text/plain"

    with pytest.raises(ProviderUnavailable):
        endpoint.userinfo(the_token(), a_credential())


def test_json_needs_no_signature(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    provider.content_type = "application/json"
    provider.body = b'{"sub": "anna"}'

    assert endpoint.userinfo(the_token(), a_credential()) == {"sub": "anna"}


def test_who_verifies_nothing_takes_no_jwt(http: Http, provider: Provider) -> None:
    answering(provider)

    with pytest.raises(UselessAnswer) as useless:
        UserinfoEndpoint(http, StoredEndpoint(provider.url)).userinfo(the_token(), a_credential())

    assert useless.value.hint == "signed userinfo: there are no keys"


def test_all_that_ask_at_an_endpoint_spare_it_together(endpoint: UserinfoEndpoint, provider: Provider) -> None:
    provider.status = 429
    with pytest.raises(ProviderUnavailable):
        endpoint.userinfo(the_token(), a_credential("one"))

    with pytest.raises(ProviderUnavailable):
        endpoint.verifying(verifying()).userinfo(the_token(), a_credential("two"))

    assert len(provider.requests) == 1


# ---- keys that are fetched


def test_a_rotation_is_picked_up_with_the_first_answer_under_the_new_key(http: Http, provider: Provider) -> None:
    with running(KeyServer(jwk("RS256", "first"))) as key_server:
        keys = RemoteKeys(http, StoredEndpoint(key_server.url), ttl=300, grace=0, clock=lambda: NOW)
        endpoint = UserinfoEndpoint(http, StoredEndpoint(provider.url), signed=verifying(keys))
        provider.body = sign(header(kid="first"), said()).encode()
        endpoint.userinfo(the_token(), a_credential("one"))
        key_server.serve(jwk("RS256", "second", "other"))
        provider.body = sign(header(kid="second"), said(), key=key_for("RS256", "other")).encode()

        assert endpoint.userinfo(the_token(), a_credential("two")) == SAID
        assert key_server.requests == 2


def test_while_the_keys_cannot_be_had_only_that_token_rests(http: Http, provider: Provider, clock: Clock) -> None:
    with running(KeyServer(jwk("RS256"))) as key_server:
        key_server.go_down()
        keys = RemoteKeys(http, StoredEndpoint(key_server.url), ttl=300, grace=0, clock=clock)
        signed = replace(verifying(keys), clock=clock)
        endpoint = UserinfoEndpoint(http, StoredEndpoint(provider.url), signed=signed, clock=clock)
        answering(provider)
        for _ in range(2):
            with pytest.raises(UselessAnswer) as useless:
                endpoint.userinfo(the_token(), a_credential("one"))
        assert useless.value.hint == "signed userinfo: there are no keys: status 503"
        assert len(provider.requests) == 1
        provider.content_type, provider.body = "application/json", b'{"sub": "anna"}'
        assert endpoint.userinfo(the_token(), a_credential("two")) == {"sub": "anna"}
        key_server.come_back()
        provider.content_type = "application/jwt"
        answering(provider)

        clock.now += REST

        assert endpoint.userinfo(the_token(), a_credential("one")) == SAID
