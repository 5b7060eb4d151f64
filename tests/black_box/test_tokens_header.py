"""Where a token may stand: once, in the header."""

from __future__ import annotations

import io
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
from flask import Flask, request

from flask_foreign_token import require_policy

from ..apps import ask, bearer
from ..conftest import MakeApp
from .tokens import Server, issued_by, jwk, let_in, rsa_key, serving, token_of

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def app(server: Server, make_app: MakeApp) -> Flask:
    app = make_app(issued_by(server.keys(jwk(rsa_key()))))

    @app.post("/read")
    @require_policy
    def read() -> dict[str, object]:
        return {"subject": "ada", "length": len(request.get_data())}

    @app.post("/form")
    @require_policy
    def form() -> dict[str, object]:
        return {"subject": "ada", "form": request.form.to_dict()}

    return app


def malformed(answer) -> None:
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request"), answer.get_data(as_text=True)
    assert 'error="invalid_request"' in answer.headers["WWW-Authenticate"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "Bearer a b",
        "Bearer a,b",
        "Bearer a, Bearer b",
        'Bearer realm="x"',
        "Bearer a=b",
        "Bearer =",
        'Bearer "a"',
        "Bearer a; b",
        "Bearer {}",
    ],
)
def test_a_header_that_is_not_one_bearer_token_is_malformed(app: Flask, server: Server, header):
    for path in ("/patients", "/open"):
        malformed(ask(app, path=path, headers={"Authorization": header}))
    assert server.calls == []
    let_in(ask(app, token_of()))


def test_two_authorization_headers_are_malformed(app: Flask, server: Server):
    """WSGI joins them by a comma, or the client hands both over."""
    one, two = token_of(), token_of(sub="eve")
    for first, second in ((one, two), (one, one)):
        malformed(ask(app, headers={"Authorization": f"Bearer {first}, Bearer {second}"}))
        malformed(ask(app, headers={"Authorization": f"Bearer {first},Bearer {second}"}))
        malformed(ask(app, headers={"Authorization": f"Bearer {first}, Basic YTpi"}))
    assert server.calls == []
    let_in(ask(app, one))


def test_a_token_in_the_query_beside_the_header_is_a_second_one(app: Flask):
    token = token_of()
    for query in (f"access_token={token}", "access_token=x", f"a=1&access_token={token}"):
        malformed(ask(app, token, f"/patients?{query}"))
    let_in(ask(app, token, "/patients?token=x&access=y"))


def test_a_token_in_the_query_alone_is_none(app: Flask, server: Server):
    answer = ask(app, path=f"/patients?access_token={token_of()}")

    assert (answer.status_code, answer.json["error"]) == (401, "unauthorized")
    assert server.calls == []


def post(app: Flask, token: str | None, body: str, path: str = "/form", kind: str = FORM):
    return app.test_client().post(path, data=body, content_type=kind, headers=bearer(token))


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=utf-8", FORM.upper()])
def test_a_token_in_a_form_beside_the_header_is_a_second_one(app: Flask, kind):
    token = token_of()

    malformed(post(app, token, urlencode({"access_token": token}), kind=kind))
    malformed(post(app, token, urlencode({"a": "1", "access_token": "x"}), kind=kind))


def test_a_form_that_was_searched_is_there_for_the_view(app: Flask):
    fields = {"name": "Ada Lovelace", "access": "x"}
    answer = post(app, token_of(), urlencode(fields))

    assert answer.json == {"subject": "ada", "form": fields}


def test_a_token_in_a_form_alone_is_none(app: Flask, server: Server):
    answer = post(app, None, urlencode({"access_token": token_of()}))

    assert (answer.status_code, answer.json["error"]) == (401, "unauthorized")
    assert server.calls == []


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x", "text/html"])
def test_a_body_that_is_no_form_is_not_searched(app: Flask, kind):
    body = urlencode({"access_token": token_of()})
    answer = post(app, token_of(), body, "/read", kind)

    assert answer.json == {"subject": "ada", "length": len(body)}


def test_a_form_is_searched_up_to_16_kib(app: Flask):
    token, size = token_of(), 16 * 1024
    tail = "&access_token=x"

    malformed(post(app, token, "a=" + "b" * (size - len(tail) - 2) + tail))
    answer = post(app, token, "a=" + "b" * size + tail)
    assert answer.status_code == 200
    assert answer.json["form"]["access_token"] == "x"


class Stream(io.RawIOBase):
    """A body that says how much of it was read."""

    def __init__(self) -> None:
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        self.taken += len(buffer)
        buffer[:] = b"x" * len(buffer)
        return len(buffer)


def as_environ(token: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": bearer(token)["Authorization"]}


def send(app: Flask, path: str, stream: Stream, **environ: str) -> None:
    length = str(10 * 1024 * 1024)
    app.test_client().post(
        path, environ_overrides={"wsgi.input": stream, "CONTENT_LENGTH": length, **environ}, buffered=True
    )


@pytest.mark.parametrize("kind", ["application/octet-stream", "multipart/form-data; boundary=x", FORM])
def test_a_long_body_is_not_read_before_the_view_so_that_it_can_be_streamed(app: Flask, kind):
    taken: list[int] = []
    stream = Stream()

    @app.post("/stream")
    @require_policy
    def view() -> dict[str, object]:
        taken.append(stream.taken)
        return {"subject": "ada"}

    send(app, "/stream", stream, CONTENT_TYPE=kind, **as_environ(token_of()))
    assert taken
    assert taken[0] <= 64 * 1024


def test_a_body_is_not_read_where_no_header_is(app: Flask):
    stream = Stream()
    send(app, "/form", stream, CONTENT_TYPE=FORM)
    assert stream.taken == 0
