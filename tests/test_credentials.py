from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from flask_foreign_token import credentials
from flask_foreign_token.errors import InvalidRequest
from flask_foreign_token.introspection.token import Credential


def request_with(header: str | None = None, **options: Any) -> Request:
    environ = EnvironBuilder(**options).get_environ()
    if header is not None:
        environ["HTTP_AUTHORIZATION"] = header
    return Request(environ)


@pytest.mark.parametrize("header", ["Bearer abc.def", "bearer abc.def", "BEARER abc.def", "Bearer   abc.def"])
def test_a_bearer_header_gives_its_token(header: str) -> None:
    assert credentials.read(request_with(header)) == Credential("bearer", "abc.def")


@pytest.mark.requirement("RFC 6750", "2.1", 2)
def test_every_character_of_b64token_is_taken() -> None:
    token = "abcXYZ019-._~+/=="

    assert credentials.read(request_with(f"Bearer {token}")) == Credential("bearer", token)


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "DPoP abc", "Digest a=b", "BearerX abc"])
def test_no_credential_and_other_schemes_are_none_of_ours(header: str | None) -> None:
    assert credentials.read(request_with(header)) is None


@pytest.mark.requirement("RFC 6750", "2.1", 2)
@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer\tabc",
        "Bearer  abc def",
        "Bearer abc,",
        "Bearer abc,Bearer abc",
        "Bearer abc, Bearer abc",
        "Bearer =abc",
        "Bearer a=b",
        "Bearer äbc",
        "Bearer abc\n",
        "Bearer abc\x00",
        *(f"Bearer a{chr(code)}b" for code in range(0x20, 0x7F) if not (chr(code).isalnum() or chr(code) in "-._~+/")),
    ],
)
def test_a_malformed_bearer_header_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest):
        credentials.read(request_with(header))


def test_a_header_of_16_kib_is_read_and_one_byte_more_is_not() -> None:
    longest = "Bearer " + "a" * (16 * 1024 - len("Bearer "))

    assert credentials.read(request_with(longest)) is not None
    with pytest.raises(InvalidRequest, match="16 KiB"):
        credentials.read(request_with(longest + "a"))


@pytest.mark.parametrize("query", ["access_token=abc", "a=1&access_token=", "access%5Ftoken=abc"])
def test_a_second_token_in_the_query_is_refused(query: str) -> None:
    with pytest.raises(InvalidRequest, match="two tokens"):
        credentials.read(request_with("Bearer abc", query_string=query))


def test_a_second_token_in_a_form_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="two tokens"):
        credentials.read(request_with("Bearer abc", method="POST", data={"access_token": "abc"}))


def test_a_token_in_query_or_form_alone_is_no_credential() -> None:
    assert credentials.read(request_with(query_string="access_token=abc")) is None
    assert credentials.read(request_with(method="POST", data={"access_token": "abc"})) is None


@pytest.mark.parametrize(
    ("read", "found"),
    [
        (lambda request: request.get_data(), b"name=value"),
        (lambda request: request.form["name"], "value"),
        (lambda request: request.stream.read(), b"name=value"),
    ],
)
def test_a_form_without_a_token_is_still_there_for_the_view(read: Callable[[Request], object], found: object) -> None:
    request = request_with("Bearer abc", method="POST", data={"name": "value"})

    assert credentials.read(request) is not None
    assert read(request) == found


@pytest.mark.parametrize(
    "options",
    [
        {"data": b"access_token=" + b"a" * 17_000, "content_type": "application/x-www-form-urlencoded"},
        {"data": b"{}", "content_type": "application/json"},
        {
            "input_stream": BytesIO(b"access_token=a"),
            "content_type": "application/x-www-form-urlencoded",
            "headers": {"Transfer-Encoding": "chunked"},
        },
    ],
)
def test_a_large_a_streamed_and_another_body_are_left_unread(options: dict[str, Any]) -> None:
    request = request_with("Bearer abc", method="POST", **options)

    assert credentials.read(request) is not None
    assert "stream" not in vars(request)
    assert getattr(request, "_cached_data", None) is None
