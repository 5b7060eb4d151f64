"""Whether a request of nobody could be valid against a schema.

The schema is followed as such a request would be checked: ``user``, ``client``, ``jwt`` and ``token`` are missing, and
of the rest anything may be so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..possible import ALWAYS, EITHER, NEVER, Possible, all_of, any_of, if_there, one_of, otherwise
from ..request import IDENTITY, PARTS
from .document import TOP, Document, Place, asks

_ALWAYS_THERE: Final = frozenset({"operation", "request-method", "scheme", "uri"})
"""Parts of each request that a view gets."""

_OPERATION: Final = ("operation",)
_NAMES: Final = frozenset({("uri",), (*_OPERATION, "id")})
"""What a route is named by; texts."""

_OF_OBJECTS: Final = frozenset(
    {"additionalProperties", "maxProperties", "minProperties", "patternProperties", "propertyNames"}
)
_OF_TEXTS: Final = frozenset({"contentEncoding", "contentMediaType", "maxLength", "minLength", "pattern"})
"""Keywords that can say either of a value of that type; what is not listed has nothing to say of it."""


def lets_in(document: Document, *, elsewhere: bool = False) -> bool:
    """Whether it could be.

    :param elsewhere: on a route that the schema does not name with ``const`` or ``enum``.
    """
    return _Nobody(document, elsewhere).asked(TOP, ()).match


class _Nobody:
    def __init__(self, document: Document, elsewhere: bool) -> None:
        self._document = document
        self._elsewhere = elsewhere

    def asked(self, place: Place, at: tuple[str, ...] | None) -> Possible:
        """What can come of the schema at `place`.

        :param at: what it is asked of: the request, its operation, or a name of the route; none: something of which
            nothing is known.
        """
        schema = self._document.schemas[place]
        if schema is False:
            return NEVER
        if (target := self._document.target(place)) is not None:
            return self.asked(target, at)
        if at is None:
            return EITHER if asks(schema) else ALWAYS
        return all_of(self._of_keyword(place, keyword, at) for keyword in self._document.keywords(place))

    def _of_keyword(self, place: Place, keyword: str, at: tuple[str, ...]) -> Possible:
        argument = self._document.keywords(place)[keyword]
        each = (self.asked(inner, at) for inner in self._document.below(place, keyword))
        match keyword:
            case "allOf":
                return all_of(each)
            case "anyOf":
                return any_of(each)
            case "oneOf":
                return one_of(each)
            case "not":
                return otherwise(all_of(each))
            case "if":
                return self._of_condition(place, at)
            case "type":
                wanted = "string" if at in _NAMES else "object"
                return ALWAYS if wanted in (argument if isinstance(argument, list | tuple) else [argument]) else NEVER
            case "const" | "enum":
                return NEVER if self._elsewhere and at != () else EITHER
            case _ if at in _NAMES:
                return EITHER if keyword in _OF_TEXTS else ALWAYS
            case _:
                return self._of_object(place, keyword, at)

    def _of_condition(self, place: Place, at: tuple[str, ...]) -> Possible:
        condition = self.asked((*place, "if"), at)
        then, or_else = (
            all_of(self.asked(inner, at) for inner in self._document.below(place, branch))
            for branch in ("then", "else")
        )
        return Possible(
            (condition.match and then.match) or (condition.mismatch and or_else.match),
            (condition.match and then.mismatch) or (condition.mismatch and or_else.mismatch),
        )

    def _of_object(self, place: Place, keyword: str, at: tuple[str, ...]) -> Possible:
        argument = self._document.keywords(place)[keyword]
        match keyword:
            case "required":
                return _all_there(argument, at)
            case "properties":
                return all_of(
                    if_there(_there(inner[-1], at), self.asked(inner, _member(at, inner[-1])))
                    for inner in self._document.below(place, keyword)
                )
            case "dependencies" if isinstance(argument, Mapping):
                return all_of(
                    if_there(
                        _there(name, at),
                        self.asked((*place, keyword, name), at)
                        if isinstance(needed, Mapping | bool)
                        else _all_there(needed, at),
                    )
                    for name, needed in argument.items()
                )
            case _:
                return EITHER if keyword in _OF_OBJECTS else ALWAYS


def _there(name: str, at: tuple[str, ...]) -> Possible:
    if at == _OPERATION:
        return ALWAYS if name == "id" else NEVER
    if name in IDENTITY or name not in PARTS:
        return NEVER
    return ALWAYS if name in _ALWAYS_THERE else EITHER


def _all_there(names: object, at: tuple[str, ...]) -> Possible:
    return all_of(_there(str(name), at) for name in names) if isinstance(names, list | tuple) else ALWAYS


def _member(at: tuple[str, ...], name: str) -> tuple[str, ...] | None:
    below = (*at, name)
    return below if below == _OPERATION or below in _NAMES else None
