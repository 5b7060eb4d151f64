"""What explanations leave out, and what they show."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from flask_foreign_token.documents import write_json
from flask_foreign_token.policies.redaction import MASK, MAX_DEPTH, Redaction, is_secret, kind_of

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJlLXRoYXQtc2F5cy1pdA"
OPAQUE = "2YotnFZFEjr1zCsicMWpAA"
REDACTION = Redaction(OPAQUE, None, "s3")


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "X-Api-Key",
        "apikey",
        "API_KEY",
        "key",
        "Ocp-Apim-Subscription-Key",
        "access_token",
        "refreshToken",
        "id_token_hint",
        "X-CSRF-Token",
        "client_secret",
        "clientSecret",
        "password",
        "Passwd",
        "pwd",
        "passphrase",
        "client_assertion",
        "code_verifier",
        "credentials",
        "privateKey",
        "sig",
        "X-Auth",
        "X-Session",
        "sessionid",
        "session_state",
        "X-Csrf",
        "xsrfmiddleware",
        "X-Hub-Signature-256",
        "X-Amz-Signature",
        "SAMLResponse",
        "authorization_code",
        "device_code",
    ],
)
def test_a_name_that_gives_a_secret_away(name: str) -> None:
    assert is_secret(name)
    assert REDACTION.request(
        {"headers": {name: "x"}, "params": {name: ["x", "y"]}, "body": {"a": [{name: {"b": 1}}]}}
    ) == {
        "headers": {name: MASK},
        "params": {name: MASK},
        "body": {"a": [{name: MASK}]},
    }


@pytest.mark.parametrize(
    "name",
    [
        *("iss", "sub", "aud", "azp", "scope", "user-agent", "token_type", "token_use", "authorization_details", "uri"),
        *("code", "ticket", "postal_code", "x-auth-user", "country", "pinned"),
    ],
)
def test_a_name_that_does_not(name: str) -> None:
    assert not is_secret(name)
    assert REDACTION.request({"jwt": {name: "x"}}) == {"jwt": {name: "x"}}


@pytest.mark.parametrize("name", ["code", "ticket", "Code"])
def test_what_signs_in_once_is_a_secret_in_the_query_and_as_a_text_at_the_top_of_a_body(name: str) -> None:
    coded = {"coding": [{"code": "8480-6"}]}

    assert REDACTION.request(
        {"params": {name: "x"}, "query-string": f"{name}=x", "body": {name: "x", "a": {name: "y"}}}
    ) == {"params": {name: MASK}, "query-string": f"{name}={MASK}", "body": {name: MASK, "a": {name: "y"}}}
    assert REDACTION.request({"body": {name: coded}, "resource": {name: [coded]}}) == {
        "body": {name: coded},
        "resource": {name: [coded]},
    }
    assert REDACTION.found(("params", name), "x") == REDACTION.expected(("params", name, 0), "x") == MASK
    assert REDACTION.found(("body", name), "x") == REDACTION.found(("resource", name), 7) == MASK
    assert REDACTION.found(("body", name, "coding", 0, "code"), "8480-6") == "8480-6"
    assert REDACTION.found(("body", "a", name), "x") == "x"
    pattern = {"$one-of": [{"params": {"$one-of": [{name: "x"}]}}, {"body": {"a": {name: "y"}}}]}
    assert REDACTION.expected((), pattern) == {
        "$one-of": [{"params": {"$one-of": [{name: MASK}]}}, {"body": {"a": {name: "y"}}}]
    }
    assert REDACTION.expected(("params",), {name: "x"}) == {name: MASK}


def test_what_tokens_say_is_shown() -> None:
    parts = {"jwt": {"iss": "https://issuer.example", "sub": "ann"}, "token": {"active": True, "scope": "read"}}

    assert REDACTION.request(parts) == parts


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (JWT, MASK),
        (f"Bearer {JWT}", f"Bearer {MASK}"),
        (f"see {JWT}, and so on", f"see {MASK}, and so on"),
        (f"https://app.example/cb/{JWT}", f"https://app.example/cb/{MASK}"),
        ("bearer abc", f"bearer {MASK}"),
        ("DPoP abc.def~", f"DPoP {MASK}"),
        ("Basic b3BlcmF0b3I6c2VjcmV0", f"Basic {MASK}"),
        ("Basic dXNlcjpwd2Q", f"Basic {MASK}"),
        ("Basic dXP__j46cD93", f"Basic {MASK}"),
        ("a basic information", "a basic information"),
        ("Token abcdefghij", f"Token {MASK}"),
        ("sent as Token 9944b09199c62bcf", f"sent as Token {MASK}"),
        ("ApiKey ann:204db7bcfafb2deb7506", f"ApiKey {MASK}"),
        (
            "the token introspector and the token according to it",
            "the token introspector and the token according to it",
        ),
        ("password: x", f"password: {MASK}"),
        ("X-Api-Key: a b; c\nuri: /a", f"X-Api-Key: {MASK}\nuri: /a"),
        ("password = x y", f"password = {MASK}"),
        ("wrong, password: x and more", f"wrong, password: {MASK} and more"),
        ("matcho.headers.x-api-key: say what is meant", "matcho.headers.x-api-key: say what is meant"),
        ('password="x y"', f"password={MASK}"),
        ("password='x y'", f"password={MASK}"),
        ('{"pin": 1234, "page": 2}', f'{{"pin": "{MASK}", "page": 2}}'),
        ("{'pin': '12 34'}", f"{{'pin': \"{MASK}\"}}"),
        ("a bearer token is required", "a bearer token is required"),
        (OPAQUE, MASK),
        (f"it was {OPAQUE}.", f"it was {MASK}."),
        ("s3", MASK),
        ("s3 is short", "s3 is short"),
        ("access_token=abc&page=2", f"access_token={MASK}&page=2"),
        ("page=2&access%5Ftoken=abc", f"page=2&access%5Ftoken={MASK}"),
        ("a=1;password=x;b=2", f"a=1;password={MASK};b=2"),
        (f"next=%2Fcb%3Faccess_token%3D{OPAQUE}", f"next=%2Fcb%3Faccess_token%3D{MASK}"),
        ("next=%252Fcb%253Fpassword%253Dabc", f"next={MASK}"),
        ("next=a%2525252525253Db", f"next={MASK}"),
        ("next=%2Fcb%3Fpassword%3Dabc&x=1", f"next={MASK}&x=1"),
        ("https://app.example/?x=1&token=abc#top", f"https://app.example/?x=1&token={MASK}#top"),
        ('{"user": "ann", "password": "a \\" b"}', f'{{"user": "ann", "password": "{MASK}"}}'),
        ("https://ann:secret@db.example/x", f"https://ann:{MASK}@db.example/x"),
        ("https://honeyJar.example.com/eyewear.html", "https://honeyJar.example.com/eyewear.html"),
        ("page=2&sort=name", "page=2&sort=name"),
        ("no secret at all", "no secret at all"),
        ("half \ud83d", "half \N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_text(text: str, shown: str) -> None:
    assert REDACTION.text(text) == shown
    assert REDACTION.request({"body": [text]}) == {"body": [shown]}
    assert REDACTION.request({"query-string": text}) == {"query-string": shown}


def test_names_are_texts_too() -> None:
    assert REDACTION.request({"params": {JWT: "1", "a": "2"}}) == {"params": {MASK: "1", "a": "2"}}


def test_a_thing_with_a_secret_name_has_a_secret_value() -> None:
    parameters = [{"name": "password", "valueString": "x"}, {"name": "page", "valueString": "x"}]

    assert REDACTION.request({"body": parameters}) == {
        "body": [{"name": "password", "valueString": MASK}, {"name": "page", "valueString": "x"}]
    }


def test_nothing_is_not_hidden() -> None:
    assert REDACTION.request({"body": {"password": None}}) == {"body": {"password": None}}


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        (("headers", "x-api-key"), "abc", MASK),
        (("headers", "x-api-key"), None, None),
        (("params", "password", 0), "abc", MASK),
        (("body", "client_secret", "value"), "abc", MASK),
        (("token", "sub"), "ann", "ann"),
        (("link", "client", "id"), "web", "web"),
        (("jwt", "iss"), "https://issuer.example", "https://issuer.example"),
        (("jwt",), {"sub": "ann", "secret": "abc"}, {"sub": "ann", "secret": MASK}),
        (("headers", "user-agent"), f"tool/{OPAQUE}", f"tool/{MASK}"),
    ],
)
def test_what_stands_at_a_path(path: tuple[str | int, ...], value: object, shown: object) -> None:
    assert REDACTION.found(path, value) == shown
    assert REDACTION.expected(path, value) == shown


def test_a_name_that_nobody_would_read_is_not_shown() -> None:
    # It would be looked through for secrets at each of the places below it.
    assert REDACTION.path(("body", "a" * 200, 0, "b" * 201)) == ["body", "a" * 200, 0, "…"]


def test_a_secret_is_found_however_a_query_writes_it() -> None:
    redaction = Redaction("the operator's secret")

    for text in ("the operator's secret", "the%20operator%27s%20secret", "the+operator%27s+secret"):
        assert redaction.text(f"x {text}") == f"x {MASK}"


def test_a_word_about_a_secret_is_no_secret() -> None:
    assert REDACTION.expected(("headers", "x-api-key"), "present?") == "present?"
    assert REDACTION.found(("headers", "x-api-key"), "present?") == MASK


def test_what_is_shown_can_always_be_written() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    parts = {"body": {"deep": deep, "nan": float("nan"), "half\udc00": "\ud83d", "other": object, "bytes": (b"x", 1.5)}}

    written = json.loads(write_json(REDACTION.request(parts)))

    assert written["body"]["nan"] == "nan"
    assert write_json(written).count("[") == MAX_DEPTH


@pytest.mark.parametrize(
    "text",
    [
        "eyJ" * 100_000,
        "a" * 300_000,
        "a=" * 150_000,
        '"' * 300_000,
        "//" * 150_000,
        "a=" + "=".join("%" + "25" * n + "3D" for n in range(500)),
        "%2e" * 100_000,
        ".eyJ" * 75_000,
        "a: " * 100_000,
        "a\n" * 100_000,
        " " * 300_000,
        "a='" * 100_000,
        'a="\\' * 75_000,
        "'a" * 100_000,
        "token " * 50_000,
        "token " + "a" * 300_000,
    ],
)
def test_a_long_text_takes_no_longer_than_it_is_long(text: str) -> None:
    started = time.process_time()

    REDACTION.text(text)

    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "nothing"),
        (True, "true or false"),
        (1, "a number"),
        (1.5, "a number"),
        ("x", "a text"),
        (" ", "an empty text"),
        ({"a": 1}, "an object"),
        ([1], "an array"),
        ((1,), "an array"),
        (b"", "something else"),
    ],
)
def test_kinds(value: object, kind: str) -> None:
    assert kind_of(value) == kind
