"""For how long an answer may be used (:rfc:`9111#section-4.2.1`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

MIN_LIFE = 60.0
"""Seconds for which an answer is used at least, whatever its headers say; else a provider that allows no storing at
all, as most do, would be asked with every token."""

_FOREVER = 2**31
"""Seconds that stand for all numbers that are greater (:rfc:`9111#section-1.2.2`)."""
_DIRECTIVE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_MAX_AGE = re.compile(r'[ \t]*max-age=(?P<quote>"?)(?P<seconds>[0-9]+)(?P=quote)[ \t]*', re.IGNORECASE)
_AGE = re.compile(r"[ \t]*([0-9]+)[ \t]*(?:,|\Z)")


def life_of(headers: Mapping[str, str], ttl: float) -> float:
    """Seconds for which an answer may be used: `ttl`, or less if its ``max-age`` says so, but no less than
    :data:`MIN_LIFE`.

    Every other directive is left aside, ``no-store`` among them: what is kept here is kept in memory, and its life is
    the operator's to decide.

    :param headers: of the answer; names in lower case, the values of a repeated name joined by commas.
    :param ttl: seconds; never exceeded.
    """
    max_age = _max_age(headers.get("cache-control", ""))
    if max_age is None:
        return ttl
    return min(ttl, max(MIN_LIFE, max_age - _age(headers.get("age", ""))))


def _max_age(cache_control: str) -> int | None:
    """The first ``max-age`` that is a number; it may be quoted (:rfc:`9111#section-5.2`)."""
    for directive in _DIRECTIVE.findall(cache_control):
        if match := _MAX_AGE.fullmatch(directive):
            return _seconds(match["seconds"])
    return None


def _age(age: str) -> int:
    """How long the answer lay in caches before it came here (:rfc:`9111#section-5.1`)."""
    match = _AGE.match(age)
    return _seconds(match[1]) if match else 0


def _seconds(digits: str) -> int:
    number = digits.lstrip("0")
    return _FOREVER if len(number) > 10 else min(_FOREVER, int(number or "0"))
