"""A look at a body that leaves it to the view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
from flask import Flask, Request, request

from flask_foreign_token.peeking import brings_unannounced

FORM = "application/x-www-form-urlencoded"
DATA = b"\na=1\n\nb"


class Broken(BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise ConnectionError


@contextmanager
def sent(source: BytesIO, **environ: object) -> Iterator[Request]:
    """A request from a server that says where its input ends, without a header that tells of a body."""
    brought = {"wsgi.input": source, "wsgi.input_terminated": True, **environ}
    with Flask("app").test_request_context("/", method="POST", environ_overrides=brought):
        yield request._get_current_object()  # type: ignore[attr-defined]


def test_a_body_of_which_no_header_tells_is_found_by_its_first_byte() -> None:
    source = BytesIO(DATA)

    with sent(source) as made:
        assert brings_unannounced(made)
        assert brings_unannounced(made)
        assert source.tell() == 1


def test_where_nothing_comes_there_is_no_body() -> None:
    with sent(BytesIO()) as made:
        assert not brings_unannounced(made)
        assert made.get_data() == b""
        assert not brings_unannounced(made)


def test_what_a_server_does_not_end_is_not_touched_since_nobody_is_given_it() -> None:
    source = BytesIO(DATA)

    with Flask("app").test_request_context("/", environ_overrides={"wsgi.input": source}):
        assert not brings_unannounced(request._get_current_object())  # type: ignore[attr-defined]
        assert source.tell() == 0
        assert request.get_data() == b""


@pytest.mark.parametrize(
    "read",
    [
        lambda made: made.get_data(),
        lambda made: made.stream.read(),
        lambda made: made.input_stream.read(None),
        lambda made: b"".join([made.stream.read(0), made.stream.read(1), made.stream.read(1), made.stream.read(-1)]),
        lambda made: b"".join(made.stream),
        lambda made: b"".join(made.stream.readlines()),
        lambda made: b"".join([made.stream.readline(0), made.stream.readline(), made.stream.readline(2), *made.stream]),
    ],
)
@pytest.mark.parametrize("data", [DATA, b"a=1\nb", b"x", b"\n"])
@pytest.mark.parametrize("limit", [None, 1_000])
def test_the_view_finds_the_body_as_it_came(read: Callable[[Any], bytes], data: bytes, limit: int | None) -> None:
    with sent(BytesIO(data)) as made:
        made.max_content_length = limit
        brings_unannounced(made)

        assert read(made) == data


@pytest.mark.parametrize("limit", [None, 1_000])
def test_a_line_ends_where_it_did(limit: int | None) -> None:
    with sent(BytesIO(DATA)) as made:
        made.max_content_length = limit
        brings_unannounced(made)

        assert list(made.stream) == BytesIO(DATA).readlines()


@pytest.mark.parametrize(
    "taken",
    [
        lambda made: made.get_data(),
        lambda made: made.get_data(cache=False),
        lambda made: made.stream.read(),
        lambda made: made.form,
        lambda made: made.get_json(force=True, silent=True),
    ],
)
def test_a_body_that_a_hook_has_taken_already_was_there(taken: Callable[[Any], object]) -> None:
    with sent(BytesIO(b"a=1"), CONTENT_TYPE=FORM) as made:
        taken(made)

        assert brings_unannounced(made)


def test_a_hook_that_looks_for_a_form_leaves_what_is_none() -> None:
    with sent(BytesIO(DATA), CONTENT_TYPE="application/json") as made:
        assert not made.form
        assert brings_unannounced(made)
        assert made.get_data() == DATA

    with sent(BytesIO()) as made:
        assert not made.form
        assert not brings_unannounced(made)


def test_what_cannot_be_read_may_be_a_body() -> None:
    with sent(Broken()) as made:
        assert brings_unannounced(made)
