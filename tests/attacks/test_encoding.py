"""One text for each token: base64url without padding, spaces or bits to spare (RFC 7515, section 2).

Each text is signed as it stands, so that nothing but its form is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ..apps import SECRET, SECRET_ISSUER
from .target import ALPHABET, Target, claims, encoded, hmac_text


def padded(octets: bytes, left_over: int) -> str:
    """`octets`, which are JSON, with spaces behind until `left_over` octets do not fill a group of three."""
    return encoded(octets + b" " * ((left_over - len(octets)) % 3))


def parts(left_over: int = 0) -> list[str]:
    body = json.dumps(claims(SECRET_ISSUER)).encode()
    return [padded(b'{"alg":"HS256"}', left_over), padded(body, left_over)]


def signed(head: str, body: str) -> str:
    return hmac_text(f"{head}.{body}", SECRET.encode())


def misspelt(part: int, misspell: Callable[[str], str], left_over: int = 0) -> str:
    """A token in which `misspell` wrote one part anew, before it was signed if it is not the signature."""
    texts = parts(left_over)
    if part == 2:
        text, _, signature = signed(*texts).rpartition(".")
        return f"{text}.{misspell(signature)}"
    texts[part] = misspell(texts[part])
    return signed(*texts)


def with_bits_to_spare(text: str) -> str:
    """`text` with the lowest bit of its last character set, which belongs to no octet."""
    assert len(text) % 4
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) | 1]


TAKEN_FOR_TOKENS: dict[str, Callable[[str], str]] = {
    "one =": lambda text: text + "=",
    "two =": lambda text: text + "==",
    "four =": lambda text: text + "====",
    "one character more": lambda text: text + "A",
    "a group of zeros": lambda text: text + "AAAA",
    "+": lambda text: text[:4] + "++++" + text[4:],
    "/": lambda text: text[:4] + "////" + text[4:],
    "~": lambda text: text[:4] + "~" + text[4:],
    "the first character missing": lambda text: text[1:],
}
"""What `b64token` allows and base64url does not; padding at the end of a whole token only."""

NOT_EVEN_TOKENS = {
    **{f"{character!a} within": character for character in " \t\r\n\x00\x0b\x0c\x1f\x7f\x85\xa0\xad\xe4\xff"},
    **{f"{character} within": character for character in "%!\"#$&'()*,:;<>?@[\\]^`{|}"},
    **{
        name: text.encode().decode("latin-1")
        for name, text in {
            "a full-width letter": "\uff21",
            "a zero-width space": "\u200b",
            "a Kelvin sign": "\u212a",
        }.items()
    },
    "a line end of two": "\r\n",
    "an escape": "%2E",
    "a folded line": "\r\n ",
}


@pytest.mark.parametrize("left_over", [0, 1, 2])
def test_a_token_in_its_one_spelling_is_let_in(target: Target, left_over: int) -> None:
    target.lets_in(signed(*parts(left_over)))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
@pytest.mark.parametrize("misspell", TAKEN_FOR_TOKENS.values(), ids=TAKEN_FOR_TOKENS.keys())
def test_another_spelling_is_refused(target: Target, misspell: Callable[[str], str], part: int) -> None:
    # Of `=`, b64token has some at the end and none within, so that the header as a whole is malformed.
    within = part < 2 and misspell("").startswith("=")

    target.refuses(misspelt(part, misspell), 400 if within else 401)


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
@pytest.mark.parametrize("left_over", [1, 2])
def test_bits_that_no_octet_needs_are_refused(target: Target, part: int, left_over: int) -> None:
    assert misspelt(part, lambda text: text, left_over)

    target.refuses(misspelt(part, with_bits_to_spare, left_over))


@pytest.mark.parametrize("part", [0, 1, 2], ids=["header", "claims", "signature"])
@pytest.mark.parametrize("text", NOT_EVEN_TOKENS.values(), ids=NOT_EVEN_TOKENS.keys())
def test_what_no_token_can_hold_makes_the_header_malformed(target: Target, part: int, text: str) -> None:
    for misspell in (
        lambda good: good[:4] + text + good[4:],
        lambda good: good + text,
        lambda good: "A" + text + good,
    ):
        target.refuses(misspelt(part, misspell), 400)
