"""One token, in one place, in the characters of `b64token`, in 16 KiB at most; all else is 400 (RFC 6750, 2)."""

from __future__ import annotations

import json
import string
from io import BytesIO
from typing import Any

import pytest
from werkzeug.test import TestResponse

from ..apps import SECRET_ISSUER, bearer
from .target import Target, assert_refused, by_secret, claims, present

LIMIT = 16 * 1024
FORM = "application/x-www-form-urlencoded"
B64TOKEN = string.ascii_letters + string.digits + "-._~+/"


# ---- characters

OTHER_CHARACTERS = [chr(code) for code in range(256) if chr(code) not in B64TOKEN + "="]
WORDS = {
    "no token": "Bearer",
    "no token and a space": "Bearer ",
    "no token and spaces": "Bearer    ",
    "only equals signs": "Bearer ==",
    "an equals sign before": "Bearer ={token}",
    "an equals sign within": "Bearer {token}=.{token}",
    "a tab for a space": "Bearer\t{token}",
    "a tab after the space": "Bearer \t{token}",
    "a line end for a space": "Bearer\n{token}",
    "a no-break space for a space": "Bearer\xa0{token}",
    "a comma behind": "Bearer {token},",
    "a comma before": "Bearer ,{token}",
    "twice": "Bearer {token}, Bearer {token}",
    "twice without a space": "Bearer {token},Bearer {token}",
    "twice with a space only": "Bearer {token} Bearer {token}",
    "and another": "Bearer {token}, Bearer other",
    "after another": "Bearer other, Bearer {token}",
    "and Basic": "Bearer {token}, Basic YTpi",
    "and a parameter": "Bearer {token} realm=x",
    "and an attribute": 'Bearer {token}, realm="x"',
    "as an attribute": "Bearer token={token}",
    "as a quoted attribute": 'Bearer token="{token}"',
    "in quotes": 'Bearer "{token}"',
    "in angle brackets": "Bearer <{token}>",
    "with a colon": "Bearer: {token}",
    "with an equals sign": "Bearer={token}",
    "encoded once more": "Bearer {token}%3D",
    "a space behind": "Bearer {token} ",
    "two words": "Bearer {token} x",
    "the scheme twice": "Bearer Bearer {token}",
    "in UTF-8": "Bearer {token}\xc3\xa4",
    "a folded line": "Bearer {token}\r\n x",
    "another header": "Bearer {token}\r\nX-Forwarded-User: root",
}


@pytest.mark.parametrize("character", OTHER_CHARACTERS, ids=ascii)
def test_a_character_that_no_token_holds_is_400(target: Target, character: str) -> None:
    token = target.sign()
    for authorization in (
        f"Bearer {token}{character}",
        f"Bearer {token[:20]}{character}{token[20:]}",
        f"Bearer {token.replace('.', '.' + character, 1)}",
    ):
        target.refuses_header(authorization)


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS.keys())
@pytest.mark.parametrize("path", ["/patients", "/open"])
def test_what_is_not_one_token_is_400(target: Target, words: str, path: str) -> None:
    target.refuses_header(words.replace("{token}", target.sign()), path=path)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  ", "bearer" + " " * 100])
def test_the_scheme_in_any_case_and_spaces_behind_it_are_let_in(target: Target, scheme: str) -> None:
    answer = present(target.app, f"{scheme} {target.sign()}")

    assert answer.json == {"subject": "ann"}


@pytest.mark.parametrize("token", ["a", "-._~+/", "AAAA====", "A" * 1000, "~" * 1000, "0", "a.b", "-.-.-"])
def test_a_token_of_the_right_characters_that_means_nothing_is_401(target: Target, token: str) -> None:
    target.refuses(token)


# ---- size


def of_size(size: int) -> str:
    """A token of so many characters that is good but for its size."""
    for filling in range(3):
        head = {"alg": "HS256", "x": "x" * filling}
        rest = size - len(by_secret(head, b""))
        body = json.dumps(claims(SECRET_ISSUER, x="")).encode()
        body = body[:-2] + b"x" * (rest * 3 // 4 - len(body)) + b'"}'
        token = by_secret(head, body)
        if len(token) == size:
            return token
    raise AssertionError(f"no token has {size} characters")


def test_16_kib_are_let_in_and_one_byte_more_is_400(target: Target) -> None:
    longest = of_size(LIMIT - len("Bearer "))

    target.lets_in(longest)
    target.refuses(of_size(LIMIT - len("Bearer ") + 1), 400)
    target.refuses_header(f"Bearer  {longest}")
    target.refuses_header(f"Bearer {longest}=")


@pytest.mark.parametrize("length", [LIMIT + 1, LIMIT * 2, 100_000, 1_000_000])
@pytest.mark.parametrize("filling", ["A", ".", "=", " ", "\x00", "{", "\xe4"], ids=ascii)
def test_a_header_over_16_kib_is_400_whatever_it_holds(target: Target, length: int, filling: str) -> None:
    target.refuses_header("Bearer ".ljust(length, filling))
    target.refuses_header(f"Bearer {target.sign()}".ljust(length, filling))


# ---- two credentials

SECOND_IN_QUERY = [
    "access_token={token}",
    "access_token=other",
    "access_token=",
    "access_token",
    "a=1&access_token={token}",
    "access%5Ftoken={token}",
    "%61ccess_token={token}",
    "access_token=a&access_token=b",
]


@pytest.mark.parametrize("query", SECOND_IN_QUERY)
@pytest.mark.parametrize("path", ["/patients", "/open"])
def test_a_token_in_the_query_beside_a_header_is_400(target: Target, query: str, path: str) -> None:
    token = target.sign()

    target.refuses(token, 400, path=path, query_string=query.replace("{token}", token))


@pytest.mark.parametrize("query", SECOND_IN_QUERY)
def test_a_token_in_the_query_alone_is_no_credential(target: Target, query: str) -> None:
    client = target.app.test_client()
    query = query.replace("{token}", target.sign())

    guarded, opened = (client.get(path, query_string=query) for path in ("/patients", "/open"))

    assert (guarded.status_code, guarded.json["error"]) == (401, "unauthorized")
    assert opened.json == {"user": None, "subject": None}


@pytest.mark.parametrize("query", ["Access_Token=x", "token=x", "access_token_=x", "x=access_token", "id_token=x"])
def test_another_name_in_the_query_is_none_of_ours(target: Target, query: str) -> None:
    target.lets_in(target.sign(), query_string=query)


@pytest.mark.parametrize("others", [["Bearer {token}"], ["Bearer other"], ["Basic YTpi"], ["Bearer {token}"] * 5])
@pytest.mark.parametrize("bearer_first", [True, False])
def test_two_authorization_headers_let_nobody_in(target: Target, others: list[str], bearer_first: bool) -> None:
    token = target.sign()
    lines = [("Authorization", line.replace("{token}", token)) for line in ("Bearer {token}", *others)]

    answer = target.app.test_client().get("/patients", headers=lines if bearer_first else lines[::-1])

    # Behind another scheme there is no bearer token, and whoever brought it is nobody.
    assert answer.status_code == (401 if lines[-1][1].startswith("Basic") and not bearer_first else 400)


class Body(BytesIO):
    """Counts how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(buffer)
        self.taken += size
        return size


def send(target: Target, data: bytes, *, token: str | None = None, **options: Any) -> tuple[TestResponse, int]:
    """The answer to a request with a body, and how much of the body was read."""
    body = Body(data)
    options = {"method": "POST", "content_type": FORM, "content_length": len(data), **options}
    headers = {**bearer(token), **options.pop("headers", {})}
    answer = target.app.test_client().open("/body", input_stream=body, headers=headers, **options)
    return answer, body.taken


SECOND_IN_FORM = [
    b"access_token={token}",
    b"access_token=other",
    b"access_token=",
    b"access_token",
    b"a=1&access_token=x",
    b"access%5Ftoken=x",
    b"access_token=a&access_token=b",
    b"a=%FF%00&access_token=\xff",
    b"access_token=x".rjust(LIMIT, b"&"),
]


@pytest.mark.parametrize("data", SECOND_IN_FORM, ids=lambda data: ascii(data[:30]))
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_token_in_a_form_beside_a_header_is_400(target: Target, data: bytes, method: str) -> None:
    token = target.sign()

    answer, _ = send(target, data.replace(b"{token}", token.encode()), token=token, method=method)

    assert_refused(answer, 400)


@pytest.mark.parametrize("kind", [FORM.upper(), f"{FORM}; charset=utf-8", f" {FORM} ;x=y", f"{FORM};"])
def test_a_form_is_one_however_its_type_is_written(target: Target, kind: str) -> None:
    answer, _ = send(target, b"access_token=x", token=target.sign(), content_type=kind)

    assert_refused(answer, 400)


@pytest.mark.parametrize("data", SECOND_IN_FORM, ids=lambda data: ascii(data[:30]))
def test_a_token_in_a_form_alone_is_no_credential_and_the_form_is_not_read(target: Target, data: bytes) -> None:
    answer, taken = send(target, data.replace(b"{token}", target.sign().encode()))

    assert (answer.status_code, answer.json["error"], taken) == (401, "unauthorized", 0)


MULTIPART = b'--b\r\nContent-Disposition: form-data; name="access_token"\r\n\r\nx\r\n--b--\r\n'
LEFT_ALONE: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a form of 16 KiB and a byte": (b"access_token=x".rjust(LIMIT + 1, b"&"), {}),
    "a large form": (b"access_token=x".ljust(1_000_000, b"&"), {}),
    "a form of unknown length": (
        b"access_token=x",
        {"content_length": None, "headers": {"Transfer-Encoding": "chunked"}},
    ),
    "multipart": (MULTIPART, {"content_type": "multipart/form-data; boundary=b"}),
    "JSON": (b'{"access_token": "x"}', {"content_type": "application/json"}),
    "text": (b"access_token=x", {"content_type": "text/plain"}),
    "no type": (b"access_token=x", {"content_type": None}),
    "another type of that name": (b"access_token=x", {"content_type": f"{FORM}2"}),
    "GET": (b"access_token=x", {"method": "GET"}),
}


@pytest.mark.parametrize(("data", "options"), LEFT_ALONE.values(), ids=LEFT_ALONE.keys())
def test_what_is_no_small_form_is_left_to_the_view(target: Target, data: bytes, options: dict[str, Any]) -> None:
    answer, taken = send(target, data, token=target.sign(), **options)

    assert (answer.text, taken) == ("left alone", 0)


@pytest.mark.parametrize("data", [b"", b"a=1&b=2", b"token=x", b"a=1&b=%FF".ljust(LIMIT, b"&"), b"x" * LIMIT])
def test_a_form_without_a_token_reaches_the_view_as_it_came(target: Target, data: bytes) -> None:
    answer, _ = send(target, data, token=target.sign(), query_string="read")

    assert answer.data == data


def test_a_form_is_not_read_for_a_header_that_is_malformed(target: Target) -> None:
    answer, taken = send(target, b"access_token=x", token="a b")

    assert_refused(answer, 400)
    assert taken == 0
