"""JSON and YAML texts: read strictly, so that one text has one meaning, and written so that they are read back."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, BinaryIO, Final, cast

import yaml

from . import strict_json

try:
    from yaml import CSafeDumper as _Dumper
    from yaml import CSafeLoader as _Parser

    _HAS_FIXED_REASONS = True
except ImportError:  # pragma: no cover - the wheels all have it
    from yaml import SafeDumper as _Dumper  # type: ignore[assignment]
    from yaml import SafeLoader as _Parser  # type: ignore[assignment]

    _HAS_FIXED_REASONS = False

MAX_SIZE: Final = 16 * 1024 * 1024
"""Bytes of the largest file of resources."""

MAX_NODES: Final = 100_000
"""Keys and values of the largest YAML document that a caller may send; JSON has no such limit, since it is read ten
times faster."""

MAX_WRITTEN_DEPTH: Final = strict_json.MAX_DEPTH + 4
"""Levels of what is written: an answer has some of its own around a resource as deep as can be read."""

_TAG: Final = "tag:yaml.org,2002:"
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

# What the parser takes for the end of a line as YAML 1.1 did, and YAML 1.2 does not; and what could only be a
# directive, of which each is compared with all those before it.
_AMBIGUOUS: Final = re.compile("[\x85\u2028\u2029]")
_DIRECTIVE: Final = re.compile(r"^%", re.MULTILINE)

# Before anything else on a line, or behind the dash of a list's item.
_TAB_BEFORE: Final = re.compile(r"[ -]*\t")


def read_file(stream: BinaryIO) -> bytes:
    """All that is in `stream`.

    :raises ValueError: see :func:`bounded`.
    """
    return bounded(stream.read(MAX_SIZE + 1))


def bounded(raw: bytes) -> bytes:
    """`raw`, where a file of resources may be that large.

    :raises ValueError: it is larger than :data:`MAX_SIZE`.
    """
    if len(raw) > MAX_SIZE:
        raise ValueError(f"must not be larger than {MAX_SIZE // 1024 // 1024} MiB")
    return raw


def read_json(raw: bytes) -> object:
    """The value that a JSON text stands for.

    :raises ValueError: as :func:`.strict_json.loads`; quotes nothing.
    """
    return strict_json.loads(raw)


def read_yaml(raw: bytes) -> object:
    """The value that one YAML document stands for; JSON is a part of YAML.

    Plain scalars mean what YAML 1.2's core schema says, with decimal numbers only: ``yes``, ``0x1f`` and
    ``2024-01-01`` are texts. Nothing at all is ``None``.

    :param raw: UTF-8.
    :raises ValueError: it is not YAML in UTF-8, or more than one document; it has a duplicate key or one that is no
        text, an anchor or alias, a tag beyond those of the core schema, a directive, a number outside the range of a
        double, a lone surrogate, more than 64 levels or over 100 000 nodes. Names line and column, and quotes nothing.
    """
    documents = list(islice(_documents_in(raw, MAX_NODES), 2))
    if len(documents) > 1:
        raise ValueError("more than one YAML document")
    return documents[0] if documents else None


def read_yaml_all(raw: bytes, *, max_nodes: int = MAX_NODES) -> list[object]:
    """The values of the YAML documents in `raw`, which ``---`` separates; a JSON text is one.

    :param max_nodes: keys and values of all documents together.
    :raises ValueError: as :func:`read_yaml`, but for the number of documents.
    """
    return list(_documents_in(raw, max_nodes))


def _documents_in(raw: bytes, max_nodes: int) -> Iterator[object]:
    # Whatever is refused here for another reason than not being JSON is refused below too, at its place.
    with suppress(ValueError):
        return iter([strict_json.loads(raw)])
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    if text.startswith("\ufeff"):
        raise ValueError("begins with a byte order mark; save it as UTF-8 without one")
    if match := _AMBIGUOUS.search(text):
        raise ValueError(_at(_place(text, match.start()), "a line separator that must be written as an escape"))
    if match := _DIRECTIVE.search(text):
        raise ValueError(_at(_place(text, match.start()), "YAML with a directive"))
    return _documents(text, max_nodes)


def write_yaml(value: object) -> str:
    """`value` as :func:`read_yaml` reads it back, where that is no more than 64 levels: in block style, in order.

    :param value: what JSON can hold, at most :data:`MAX_WRITTEN_DEPTH` levels deep.
    :raises ValueError: it is something else.
    """
    return yaml.dump(
        _plain(value),
        Dumper=_CoreDumper,
        default_flow_style=False,
        sort_keys=False,
        allow_unicode=True,
        width=1_000_000,
    )


def write_json(value: object) -> str:
    """`value` as JSON that people can read, members in their order.

    :raises ValueError: as :func:`write_yaml`.
    """
    return json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n"


def _documents(text: str, max_nodes: int) -> Iterator[object]:
    try:
        parser = _Parser(text)
        try:
            builder = _Builder(max_nodes)
            while parser.check_event():
                event = cast("yaml.Event", parser.get_event())
                builder.take(event)
                if isinstance(event, yaml.DocumentEndEvent):
                    yield builder.value
                    builder = _Builder(max_nodes, builder.nodes)
        finally:
            parser.dispose()
    except yaml.reader.ReaderError as error:
        before = text.encode()[: error.position].decode(errors="ignore")
        raise ValueError(_at(_place(text, len(before)), "a character that YAML does not allow")) from None
    except yaml.MarkedYAMLError as error:
        reason = f"not YAML, {error.problem}" if _HAS_FIXED_REASONS and error.problem else "not YAML"
        mark = error.problem_mark
        reason += _remedy(text, error)
        raise ValueError(reason if mark is None else _at((mark.line, mark.column), reason)) from None


def _remedy(text: str, error: yaml.MarkedYAMLError) -> str:
    """What to add to the parser's reason, for the mistakes of which it knows only what they lead to."""
    mark = error.problem_mark
    if mark is not None and _TAB_BEFORE.match(text, mark.index - mark.column):
        return "; YAML is indented with spaces, not tabs"
    if "\n" not in text.strip() and (error.problem or "").startswith("mapping values are not allowed"):
        return "; were the line breaks lost? curl needs --data-binary"
    return ""


class _Builder:
    """Makes the value of one document from the parser's events.

    :param nodes: how many were read in documents before this one.
    """

    def __init__(self, max_nodes: int, nodes: int = 0) -> None:
        self.value: object = None
        self.nodes = nodes
        self._max_nodes = max_nodes
        self._open: list[tuple[Any, str | None]] = []
        """The objects and lists around the place that was reached, with the key that waits for a value in each."""

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.AliasEvent():
                raise _refusal(event, "YAML with an alias")
            case yaml.ScalarEvent():
                self._count(event)
                self._put(event, self._scalar(event))
            case yaml.MappingStartEvent():
                self._begin(event, {}, "map")
            case yaml.SequenceStartEvent():
                self._begin(event, [], "seq")
            case yaml.CollectionEndEvent():
                self._open.pop()

    def _begin(self, event: Any, value: dict[str, object] | list[object], tag: str) -> None:
        self._count(event)
        if event.tag not in (None, "!", _TAG + tag):
            raise _refusal(event, "YAML with a tag that has no meaning here")
        if len(self._open) == strict_json.MAX_DEPTH:
            raise _refusal(event, "YAML nested too deeply")
        self._put(event, value)
        self._open.append((value, None))

    def _count(self, event: Any) -> None:
        if event.anchor is not None:
            raise _refusal(event, "YAML with an anchor")
        self.nodes += 1
        if self.nodes > self._max_nodes:
            raise _refusal(event, f"YAML with more than {self._max_nodes} keys and values")

    def _put(self, event: Any, value: object) -> None:
        if not self._open:
            self.value = value
            return
        around, key = self._open[-1]
        if isinstance(around, list):
            around.append(value)
        elif key is not None:
            around[key] = value
            self._open[-1] = (around, None)
        elif not isinstance(value, str):
            raise _refusal(event, "YAML with a key that is no text; quote it")
        elif value in around:
            raise _refusal(event, "YAML with a duplicate key")
        else:
            self._open[-1] = (around, value)

    @staticmethod
    def _scalar(event: yaml.ScalarEvent) -> object:
        text: str = event.value
        if _has_surrogate(text):
            raise _refusal(event, "YAML with a lone surrogate")
        # Without a tag, what is quoted is a text; with "!" as well (YAML 1.2.2, section 6.9.1).
        tag = event.tag
        if tag in ("!", _TAG + "str") or (tag is None and not event.implicit[0]):
            return text
        try:
            value = _core(text)
        except ValueError as reason:
            raise _refusal(event, str(reason)) from None
        if tag is None:
            return value
        if tag == _TAG + "float" and type(value) is int:
            value = float(value)
        if tag != _TAG + _KINDS[type(value)]:
            raise _refusal(event, "YAML with a tag that has no meaning here")
        return value


_KINDS: Final[Mapping[type, str]] = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str"}


def _core(text: str) -> object:
    """What a plain scalar means (YAML 1.2.2, section 10.3.2)."""
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        if len(text.lstrip("+-")) > strict_json.MAX_INTEGER_DIGITS:
            raise ValueError("YAML with a number out of range")
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError("YAML with a number out of range")
        return number
    if _NO_NUMBER.fullmatch(text):
        raise ValueError("YAML with a number that JSON does not have")
    return text


def _refusal(event: Any, reason: str) -> ValueError:
    mark = event.start_mark
    return ValueError(_at((mark.line, mark.column), reason))


def _at(place: tuple[int, int], reason: str) -> str:
    line, column = place
    return f"{reason} (line {line + 1}, column {column + 1})"


def _place(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n"), position - (before.rfind("\n") + 1)


def _has_surrogate(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


class _CoreDumper(_Dumper):
    """Quotes what YAML 1.1 would read as something else, as it does anyway, and what the core schema would."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.Node:
        style = '"' if _AMBIGUOUS.search(text) else None
        return self.represent_scalar(_TAG + "str", text, style)


_CoreDumper.add_representer(str, _CoreDumper.represent_text)
for _pattern, _first in ((_INTEGER, "-+0123456789"), (_FLOAT, "-+.0123456789"), (_NO_NUMBER, "-+.")):
    _CoreDumper.add_implicit_resolver(_TAG + "not-text", re.compile(f"(?:{_pattern.pattern})\\Z"), list(_first))


def _plain(value: object, depth: int = MAX_WRITTEN_DEPTH) -> object:
    """`value` made of nothing but what JSON has: what is kept may be read-only, of types of its own."""
    match value:
        case None | bool() | int():
            return value
        case str():
            if _has_surrogate(value):
                raise ValueError("a lone surrogate cannot be written")
            return value
        case float():
            if not math.isfinite(value):
                raise ValueError("a number that JSON does not have cannot be written")
            return value
        case Mapping() | list() | tuple() if depth == 0:
            raise ValueError("nested too deeply to be written")
        case Mapping():
            if not all(isinstance(key, str) for key in value):
                raise ValueError("a key that is no text cannot be written")
            return {_plain(key): _plain(inner, depth - 1) for key, inner in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [_plain(inner, depth - 1) for inner in value]
    raise ValueError("only what JSON has can be written")
