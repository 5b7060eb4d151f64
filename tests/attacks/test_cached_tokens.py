"""What was verified once is remembered under all of its characters: what differs in one of them is verified itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flask_foreign_token.introspection import base64url

from .target import Target, encoded

Change = Callable[[str], str]


@pytest.fixture
def cached(target: Target) -> list[str]:
    """The parts of a token that the app has verified."""
    token = target.sign()
    target.lets_in(token)
    return token.split(".")


@pytest.fixture
def other(target: Target) -> list[str]:
    """The parts of another one, of the same key and another subject."""
    token = target.sign(target.header(typ="at+jwt"), target.claims(sub="bert"))
    target.lets_in(token)
    return token.split(".")


@pytest.mark.parametrize("taken", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2)], ids=str)
def test_parts_of_another_cached_token_are_refused(
    target: Target, cached: list[str], other: list[str], taken: tuple[int, ...]
) -> None:
    mixed = ".".join(other[part] if part in taken else cached[part] for part in range(3))

    target.refuses(mixed)
    target.lets_in(".".join(cached))
    target.lets_in(".".join(other))


def test_changed_claims_under_the_cached_signature_are_refused(target: Target, cached: list[str]) -> None:
    head, _body, signature = cached
    for changes in ({"sub": "root"}, {"exp": 9_999_999_999}, {"scope": "admin"}, {"aud": ["account", "x"]}):
        target.refuses(f"{head}.{encoded(target.claims(**changes))}.{signature}")
    target.lets_in(".".join(cached))


def test_a_changed_header_over_the_cached_claims_is_refused(target: Target, cached: list[str]) -> None:
    _head, body, signature = cached
    for changes in ({"alg": "none"}, {"alg": "HS256"}, {"kid": None}, {"x": 1}, {"typ": None}):
        target.refuses(f"{encoded(target.header(**changes))}.{body}.{signature}")
        target.refuses(f"{encoded(target.header(**changes))}.{body}.")
    target.lets_in(".".join(cached))


def test_every_octet_of_a_cached_signature_counts(target: Target, cached: list[str]) -> None:
    head, body, signature = cached
    octets = base64url.decode(signature.encode())
    for position in range(len(octets)):
        changed = octets[:position] + bytes([octets[position] ^ 1]) + octets[position + 1 :]
        target.refuses(f"{head}.{body}.{encoded(changed)}")
    target.lets_in(".".join(cached))


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token[:-1],
        lambda token: token[1:],
        lambda token: token + "A",
        lambda token: token + "=",
        lambda token: token + ".",
        lambda token: token.swapcase(),
        lambda token: token[: len(token) // 2],
        lambda token: token.rpartition(".")[0] + ".",
        lambda token: token.partition(".")[2],
    ],
)
def test_what_is_almost_a_cached_token_is_refused(
    target: Target, cached: list[str], change: Callable[[str], str]
) -> None:
    token = ".".join(cached)

    target.refuses(change(token))
    target.lets_in(token)


def test_a_refusal_is_not_remembered_for_the_good_token(target: Target) -> None:
    token = target.sign(body=target.claims(sub="carl"))
    head, body, signature = token.split(".")

    for _ in range(3):
        target.refuses(f"{head}.{body}.{signature[::-1]}")

    target.lets_in(token)


def test_a_good_token_is_not_remembered_for_a_refused_one(target: Target) -> None:
    expired = target.sign(body=target.claims(exp=1))

    for _ in range(3):
        target.lets_in(target.sign())
        target.refuses(expired)


def test_nothing_is_verified_or_asked_for_a_cached_token(target: Target, cached: list[str]) -> None:
    asked = target.asked

    for _ in range(10):
        target.lets_in(".".join(cached))

    assert target.asked == asked
