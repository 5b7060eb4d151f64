"""Marshmallow fields that convert nothing: what is written has the right type, or it is refused with a reason."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar, Literal

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from ..printable import printable, shown

MASK = "********"
"""What is shown in place of a secret."""

MAX_ITEMS = 1000
"""Items of the longest list."""

MAX_UNKNOWN = 10
"""Unknown attributes of one object that are named; for each the one that was meant is sought."""

VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
"""What the name of an environment variable looks like; not anchored."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Path = tuple[str, ...]


def _reasons(**reasons: str) -> dict[str, Any]:
    return {"required": "is required", "null": "must not be null", **reasons}


class Flag(fields.Boolean):
    """``true`` or ``false``; neither ``"yes"`` nor ``1``."""

    default_error_messages = _reasons(invalid="must be true or false")

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise self.make_error("invalid")


class Seconds(fields.Integer):
    """A whole number of seconds from `least` to `most`; neither ``"5"`` nor ``3.7``."""

    default_error_messages = _reasons(invalid="must be a whole number of seconds")

    def __init__(self, least: int, most: int, **kwargs: Any) -> None:
        reason = "must be between {min} and {max} seconds"
        super().__init__(strict=True, validate=validate.Range(least, most, error=reason), **kwargs)


class Text(fields.String):
    """A text of any characters; the empty one too. A variable that is not UTF-8 would put lone surrogates in it."""

    default_error_messages = _reasons(invalid="must be a text", surrogate="must be UTF-8")

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if _SURROGATE.search(value):
            raise self.make_error("surrogate")
        return value


class Line(Text):
    """A text with something in it and no control characters, at most `longest` characters long."""

    default_error_messages = _reasons(
        blank="must not be blank",
        control="must not hold control characters",
        long="must not be longer than {longest} characters",
    )

    def __init__(self, longest: int = 2048, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        if not text.strip():
            raise self.make_error("blank")
        if _CONTROL_CHARACTER.search(text):
            raise self.make_error("control")
        if len(text) > self.longest:
            raise self.make_error("long", longest=self.longest)
        return text


@dataclass(frozen=True, slots=True)
class SecretReference:
    """Where a secret is, in place of the secret.

    :param kind: ``"env"``: in an environment variable; ``"file"``: in a file.
    :param name: of the variable; or the absolute path of the file.
    """

    kind: Literal["env", "file"]
    name: str

    def __str__(self) -> str:
        place = "the environment variable" if self.kind == "env" else "the file"
        return f"{place} {printable(self.name)}"


class Secret(Text):
    """A secret as it is, or a reference to one, which loads to a :class:`SecretReference`; both are checked where they
    are put to use.

    A reference is shown as it is, and the mask never stands for one.

    :param bound_to: paths in the resource to what says whose secret it is, and to where it is sent. The mask stands for
        a secret only while these are what they were, but for an address that is added below a stored issuer: who may
        write a resource may not thereby learn its secret.
    """

    default_error_messages = _reasons(
        invalid='must be a text, or either {{"env": "NAME"}} or {{"file": "/path"}}',
        mask="is the mask that stands for a secret, not a secret",
    )

    def __init__(self, *, bound_to: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bound_to = tuple(bound_to)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> Any:
        if isinstance(value, Mapping):
            # A name that is none of ours is not repeated: it may be the secret, with braces around it.
            if set(value) not in _REFERENCES:
                raise self.make_error("invalid")
            return _reference(value)
        text = super()._deserialize(value, attr, data, **kwargs)
        if text == MASK:
            raise self.make_error("mask")
        return text


class Items(fields.List[Any]):
    """A list; an empty one too.

    :param longest: items that it may have; in a longer one no item is looked at.
    """

    default_error_messages = _reasons(invalid="must be a list", long="must not hold more than {longest}")

    def __init__(self, item: fields.Field[Any], *, longest: int = MAX_ITEMS, **kwargs: Any) -> None:
        super().__init__(item, **kwargs)
        self.longest = longest

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        if isinstance(value, list | tuple) and len(value) > self.longest:
            raise self.make_error("long", longest=self.longest)
        return super()._deserialize(value, attr, data, **kwargs)


class Several(Items):
    """A list with something in it."""

    def __init__(self, item: fields.Field[Any], **kwargs: Any) -> None:
        super().__init__(item, validate=validate.Length(min=1, error="must not be empty"), **kwargs)


class OneOrSeveral(Several):
    """One text, or a list of texts with something in it; loads to a list."""

    default_error_messages = _reasons(invalid="must be a text or a list of texts")

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> list[Any]:
        return super()._deserialize([value] if isinstance(value, str) else value, attr, data, **kwargs)


class Object(fields.Dict):
    """An object whose content somebody else checks."""

    default_error_messages = _reasons(invalid="must be an object")


class Group(fields.Nested):
    """An object with attributes of its own."""

    default_error_messages = _reasons()


def choice(*values: str, later: Sequence[str] = ()) -> validate.OneOf:
    """One of `values`; those of `later` are known and not supported by this version."""
    known = f" ({', '.join(later)}: not supported by this version)" if later else ""
    return validate.OneOf(values, error=f"must be one of: {', '.join(values)}{known}")


def meaning(text: str) -> dict[str, str]:
    """The `metadata` of a field: what the documentation says of it, on one line of Markdown."""
    return {"description": text}


class StrictSchema(Schema):
    """Refuses attributes that it does not know, and names the one that was probably meant."""

    class Meta:
        unknown = RAISE

    error_messages = _reasons(type="must be an object", unknown="no such attribute")
    later: ClassVar[frozenset[str]] = frozenset()
    """Attributes that a coming version takes."""

    def handle_error(self, error: ValidationError, data: Any, *, many: bool, **kwargs: Any) -> None:
        known = self.names(data)
        messages: Any = error.messages
        unknown = sorted((name for name in messages if name != "_schema" and name not in known), key=str)
        for name in unknown[:MAX_UNKNOWN]:
            messages[name] = [self._unknown(str(name), known)]
        for name in unknown[MAX_UNKNOWN:]:
            del messages[name]
        more = len(unknown) - MAX_UNKNOWN
        if more > 0:
            messages["_schema"] = [*messages.get("_schema", ()), f"has {more} more attributes that do not exist"]

    def names(self, data: Any) -> list[str]:
        """What the attributes of `data` may be called."""
        return [field.data_key or name for name, field in self.load_fields.items()]

    def _unknown(self, name: str, known: Iterable[str]) -> str:
        if name in self.later:
            return "is not supported by this version"
        return f"no such attribute{nearest(name, known)}"


def _absolute(path: str) -> None:
    if not PurePath(path).is_absolute():
        raise ValidationError("must be an absolute path")


class SecretReferenceSchema(StrictSchema):
    """``{"env": "NAME"}`` or ``{"file": "/path"}``, one of the two. Whether that may be read is for others to say."""

    env = Line(
        255,
        validate=validate.Regexp(rf"{VARIABLE}\Z", error="must be the name of a variable: letters, digits and _"),
        metadata=meaning("the environment variable that holds the secret"),
    )
    file = Line(
        validate=_absolute,
        metadata=meaning("the absolute path of the file that holds the secret"),
    )


_REFERENCE = SecretReferenceSchema()
_REFERENCES = ({"env"}, {"file"})


def reference_in(value: object) -> SecretReference | None:
    """The reference that stands in a secret's place; none: something else does, or it is not well-formed."""
    try:
        return _reference(value) if isinstance(value, Mapping) and set(value) in _REFERENCES else None
    except ValidationError:
        return None


def _reference(value: Mapping[str, object]) -> SecretReference:
    """
    :param value: with the names of a reference.
    :raises ValidationError: it is not well-formed.
    """
    [(kind, name)] = _REFERENCE.load(value).items()
    return SecretReference(kind, name)


def flatten(messages: Any, path: Path = ()) -> Iterator[tuple[str, str]]:
    """The (path, reason) pairs in what marshmallow reports; a path reads ``client.auth-method``, ``jwt.keys.0.pub``."""
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            yield from flatten(inner, path if name == "_schema" else (*path, shown(name)))
        return
    for message in messages:
        yield ".".join(path), message


def nearest(name: str, known: Iterable[str]) -> str:
    """What to add to a refusal of `name`: the known name that was probably meant, if there is one."""
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""
