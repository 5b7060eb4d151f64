from __future__ import annotations

import os

import pytest

from flask_foreign_token.introspection import base64url


@pytest.mark.parametrize("octets", [b"", b"\x00", b"ab", b"abc", b"\xfb\xff\xfe", os.urandom(1000)])
def test_what_was_encoded_is_decoded(octets: bytes) -> None:
    assert base64url.decode(base64url.encode(octets)) == octets


@pytest.mark.requirement("RFC 7515", "2")
@pytest.mark.parametrize(
    "text",
    [
        b"A",
        b"AAAAA",
        b"AA==",
        b"AAA=",
        b"====",
        b"A+AA",
        b"A/AA",
        b"A AA",
        b" AAAA",
        b"AAAA\n",
        b"AA\r\nAA",
        b"AA\x00A",
        b"AAA?",
        b"AB",
        b"AAB",
        b"AA\xc3\xa4",
    ],
)
def test_what_no_encoder_writes_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="base64"):
        base64url.decode(text)
