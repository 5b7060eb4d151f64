"""JSON as :rfc:`8259` and :rfc:`7493` have it, read character by character, each decision a branch of its own.

The judge's, so it shares nothing with the package's reader. The standard library's scanner in Python is no help: it
takes ``"\\u d80"`` and digits of other scripts, which the one in C does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

DEEPEST = 64
LONGEST_INTEGER = 4300

_SPACE = " \t\n\r"
_DIGITS = "0123456789"
_HEXADECIMAL = _DIGITS + "abcdefABCDEF"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS: Mapping[str, tuple[str, object]] = {"t": ("true", True), "f": ("false", False), "n": ("null", None)}
_END = ""


class NotGood(Exception):
    """A text breaks a rule."""


def demand(good: bool) -> None:
    """:raises NotGood: unless it is `good`."""
    if not good:
        raise NotGood


def read(octets: bytes) -> object:
    """The value that `octets` stand for.

    :raises NotGood: they are not JSON in UTF-8, name a member twice in one object, nest more than 64 deep, or hold a
        lone surrogate, a number outside the range of a double or an integer of more than 4300 digits.
    """
    try:
        reader = _Reader(octets.decode())
    except UnicodeDecodeError:
        raise NotGood from None
    value = reader.value(0)
    reader.skip_space()
    demand(reader.next == _END)
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def next(self) -> str:
        return self._text[self._at : self._at + 1]

    def take(self) -> str:
        character = self.next
        demand(character != _END)
        self._at += 1
        return character

    def skip_space(self) -> None:
        while self.next != _END and self.next in _SPACE:
            self._at += 1

    def value(self, depth: int) -> object:
        self.skip_space()
        if self.next == "{":
            return self._object(depth + 1)
        if self.next == "[":
            return self._array(depth + 1)
        if self.next == '"':
            return self._string()
        if self.next in _WORDS:
            return self._word()
        return self._number()

    def _object(self, depth: int) -> dict[str, object]:
        members: dict[str, object] = {}
        while self._goes_on("{}", depth, not members):
            self.skip_space()
            demand(self.next == '"')
            name = self._string()
            demand(name not in members)
            self.skip_space()
            demand(self.take() == ":")
            members[name] = self.value(depth)
        return members

    def _array(self, depth: int) -> list[object]:
        items: list[object] = []
        while self._goes_on("[]", depth, not items):
            items.append(self.value(depth))
        return items

    def _goes_on(self, brackets: str, depth: int, empty: bool) -> bool:
        """Whether there is one more before the closing bracket."""
        demand(depth <= DEEPEST)
        if empty:
            self.take()
            self.skip_space()
            if self.next != brackets[1]:
                return True
        self.skip_space()
        separator = self.take()
        demand(separator in (brackets[1], ","))
        return separator == ","

    def _word(self) -> object:
        word, value = _WORDS[self.next]
        for character in word:
            demand(self.take() == character)
        return value

    def _string(self) -> str:
        self.take()
        characters: list[str] = []
        while (character := self.take()) != '"':
            demand(character >= " ")
            characters.append(self._escaped() if character == "\\" else character)
        return "".join(characters)

    def _escaped(self) -> str:
        character = self.take()
        if character != "u":
            demand(character in _ESCAPES)
            return _ESCAPES[character]
        unit = self._unit()
        demand(not 0xDC00 <= unit < 0xE000)
        if not 0xD800 <= unit < 0xDC00:
            return chr(unit)
        demand(self.take() == "\\" and self.take() == "u")
        low = self._unit()
        demand(0xDC00 <= low < 0xE000)
        return chr(0x10000 + (unit - 0xD800) * 0x400 + low - 0xDC00)

    def _unit(self) -> int:
        digits = [self.take() for _ in range(4)]
        demand(all(digit in _HEXADECIMAL for digit in digits))
        return int("".join(digits), 16)

    def _number(self) -> int | float:
        begin = self._at
        if self.next == "-":
            self.take()
        digits = self._digits()
        demand(len(digits) == 1 or digits[0] != "0")
        whole = self._at
        if self.next == ".":
            self.take()
            self._digits()
        if self.next in ("e", "E"):
            self.take()
            if self.next in ("+", "-"):
                self.take()
            self._digits()
        literal = self._text[begin : self._at]
        if self._at == whole:
            demand(len(digits) <= LONGEST_INTEGER)
            return int(literal)
        demand(math.isfinite(float(literal)))
        return float(literal)

    def _digits(self) -> str:
        begin = self._at
        while self.next != _END and self.next in _DIGITS:
            self.take()
        demand(self._at > begin)
        return self._text[begin : self._at]
