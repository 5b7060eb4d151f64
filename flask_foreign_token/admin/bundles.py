"""Searches: what their parameters ask for, and the Bundle that shows what was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from flask import url_for
from werkzeug.datastructures import MultiDict

from ..errors import Issue, Rejected
from ..users.accounts import read_identifier
from .collections import Filter, Identifier, Item

MAX_COUNT: Final = 1000
"""Resources on the largest page."""
DEFAULT_COUNT: Final = 100

_MAX_PAGE: Final = 1_000_000_000


def read_filter(parameters: MultiDict[str, str], *, identifiers: bool) -> Filter:
    """What a search asks for: ``_id``, ``_count``, ``_page`` and, where there are identifiers, ``identifier``.

    :raises Rejected: names every parameter that is unknown, wrong or given twice.
    """
    known = ("_id", "_count", "_page", *(["identifier"] if identifiers else []))
    issues = [
        Issue("", name, "is given twice" if name in known else f"is no parameter, only {', '.join(known)}")
        for name, values in parameters.lists()
        if name not in known or len(values) > 1
    ]
    count = _whole(parameters, "_count", 0, MAX_COUNT, DEFAULT_COUNT, issues)
    page = _whole(parameters, "_page", 1, _MAX_PAGE, 1, issues)
    identifier = _identifier(parameters.get("identifier"), issues)
    if issues:
        raise Rejected(issues)
    return Filter(
        id=parameters.get("_id"),
        identifier=identifier,
        offset=(page - 1) * count,
        limit=count,
    )


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
    page = wanted.offset // wanted.limit + 1 if wanted.limit else 1

    def link(relation: str, number: int | None) -> dict[str, str]:
        arguments = parameters.to_dict() | ({} if number is None else {"_page": str(number)})
        return {"relation": relation, "url": url_for(endpoint, _external=True, **arguments)}

    links = [link("self", None)]
    if wanted.offset + wanted.limit < total and wanted.limit:
        links.append(link("next", page + 1))
    if page > 1:
        links.append(link("previous", page - 1))
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total,
        "link": links,
        "entry": [{"fullUrl": location(item.id), "resource": item.body} for item in items],
    }


def _whole(parameters: MultiDict[str, str], name: str, least: int, most: int, default: int, issues: list[Issue]) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if least <= number <= most:
        return number
    issues.append(Issue("", name, f"must be a whole number from {least} to {most}"))
    return default


def _identifier(text: str | None, issues: list[Issue]) -> Identifier | None:
    if text is None:
        return None
    try:
        return read_identifier(text)
    except ValueError as reason:
        issues.append(Issue("", "identifier", str(reason)))
        return None
