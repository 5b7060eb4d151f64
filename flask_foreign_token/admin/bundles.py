"""Searches: what their parameters ask for, and the Bundle that shows what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from flask import url_for
from marshmallow import ValidationError
from werkzeug.datastructures import MultiDict

from ..errors import Issue, Rejected
from ..printable import shown
from ..registry.fields import MAX_UNKNOWN, flatten, nearest
from .collections import Filter, Item
from .searching import PARAMETERS, Parameter

MAX_COUNT: Final = 1000
"""Resources on the largest page."""
DEFAULT_COUNT: Final = 100

MAX_PAGE: Final = 1_000_000_000

_OF_EVERY_PAGE: Final = ("_count", "_page")
_OF_EVERY_SEARCH: Final = ("_id", *_OF_EVERY_PAGE)


def read_filter(parameters: MultiDict[str, str], type_: str) -> Filter:
    """What a search for a type of resource asks for: ``_id``, ``_count``, ``_page``, and what stands in
    :data:`~.searching.PARAMETERS`.

    :raises Rejected: names every parameter that is unknown, wrong or given twice.
    """
    known = PARAMETERS[type_]
    issues: list[Issue] = []
    offset, limit = _page(parameters, (*_OF_EVERY_SEARCH, *known), issues, MAX_COUNT, DEFAULT_COUNT)
    wanted = {name: _read(known[name], text, issues) for name, text in parameters.items() if name in known}
    if issues:
        raise Rejected(issues)
    return Filter(id=parameters.get("_id"), wanted=wanted, offset=offset, limit=limit)


def read_page(parameters: MultiDict[str, str], *, most: int, default: int) -> tuple[int, int]:
    """What ``_count`` and ``_page`` ask for, and no other parameter: how many entries are left out in front, and how
    many are shown at most.

    :param most: entries on the largest page.
    :param default: entries on a page where nobody says how many.
    :raises Rejected: as :func:`read_filter`.
    """
    issues: list[Issue] = []
    page = _page(parameters, _OF_EVERY_PAGE, issues, most, default)
    if issues:
        raise Rejected(issues)
    return page


def _page(
    parameters: MultiDict[str, str], known: Sequence[str], issues: list[Issue], most: int, default: int
) -> tuple[int, int]:
    issues += [*_unknown(parameters, known), *_repeated(parameters, known)]
    count = _whole(parameters, "_count", 0, most, default, issues)
    page = _whole(parameters, "_page", 1, MAX_PAGE, 1, issues)
    return (page - 1) * count, count


def _unknown(parameters: MultiDict[str, str], known: Sequence[str]) -> list[Issue]:
    unknown = [name for name in parameters if name not in known]
    named = [
        Issue("", shown(name), f"is no parameter{nearest(name, known) or _listed(known)}")
        for name in unknown[:MAX_UNKNOWN]
    ]
    more = [Issue("", "", f"and {len(unknown) - MAX_UNKNOWN} more are none")] if len(unknown) > MAX_UNKNOWN else []
    return named + more


def _listed(known: Sequence[str]) -> str:
    return f", only {', '.join(known)}"


def _repeated(parameters: MultiDict[str, str], known: Sequence[str]) -> list[Issue]:
    return [
        Issue("", name, "is given twice") for name, values in parameters.lists() if name in known and len(values) > 1
    ]


def _read(parameter: Parameter, text: str, issues: list[Issue]) -> object:
    try:
        return parameter.read(text)
    except ValidationError as error:
        issues += [Issue("", parameter.name, reason) for _, reason in flatten(error.messages)]
        return None


def bundle(
    endpoint: str,
    parameters: MultiDict[str, str],
    wanted: Filter,
    total: int,
    items: Sequence[Item],
    *,
    location: Callable[[str], str],
) -> dict[str, object]:
    """A searchset of `items`, with links to the pages around.

    :param endpoint: of the search.
    :param parameters: those that it was made with.
    :param wanted: what they mean.
    :param total: how many were found in all.
    :param location: the URL of a resource, by its id.
    """
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": links(endpoint, parameters, wanted.offset, wanted.limit, total),
        "entry": [{"fullUrl": location(item.id), "resource": item.body} for item in items],
    }


def links(
    endpoint: str, parameters: MultiDict[str, str], offset: int, limit: int, total: int, **path: str
) -> list[dict[str, str]]:
    """From a page to itself and to those around.

    :param endpoint: that showed it.
    :param parameters: those that it was asked for with.
    :param offset: how many entries were left out in front.
    :param limit: how many were shown at most.
    :param total: how many there are.
    :param path: what stands in the path of `endpoint`.
    """
    page = offset // limit + 1 if limit else 1

    def link(relation: str, number: int | None) -> dict[str, str]:
        arguments = parameters.to_dict() | ({} if number is None else {"_page": str(number)})
        return {"relation": relation, "url": url_for(endpoint, _external=True, **path, **arguments)}

    found = [link("self", None)]
    if limit and offset + limit < total:
        found.append(link("next", page + 1))
    if page > 1:
        found.append(link("previous", page - 1))
    return found


def _whole(parameters: MultiDict[str, str], name: str, least: int, most: int, default: int, issues: list[Issue]) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if least <= number <= most:
        return number
    issues.append(Issue("", name, f"must be a whole number from {least} to {most}"))
    return default
