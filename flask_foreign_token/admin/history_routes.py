"""What resources were before, and how they become that again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from flask import Response, request, url_for
from marshmallow import ValidationError

from ..errors import Issue, Refusal, Rejected, Unavailable
from ..instants import instant
from ..registry.fields import Line, StrictSchema, flatten, meaning
from ..registry.registry import NoHistory, NoVersion, Past
from .answers import answer, media_type_for, without_body
from .bodies import object_in
from .bundles import links, read_page
from .guard import made_by
from .refusals import Absent, Deleted
from .route import TYPES, USER, Route, Verbs, names_of, routes_of
from .views import Views

if TYPE_CHECKING:
    from ..application import Application
    from ..registry.catalog import Catalog
    from ..registry.edits import Outcome

_VERBS: Final[Verbs] = {
    "history": ("GET", "/<id_>/_history"),
    "version": ("GET", "/<id_>/_history/<version>"),
    "rollback": ("POST", "/<id_>/$rollback"),
}

_TYPES: Final = tuple(type_ for type_ in TYPES if type_ != USER)
# Of users nothing is kept but what they are now.

NAMES: Final = names_of(_TYPES, _VERBS)

BY: Final = "urn:flask-foreign-token:by"
"""The extension of an entry of a history that says who made the change."""

MAX_COUNT: Final = 100
"""Versions on the largest page: each may be as large as a resource can be."""
DEFAULT_COUNT: Final = 20

_REQUESTS: Final = {"created": ("POST", "201"), "updated": ("PUT", "200"), "deleted": ("DELETE", "204")}


class RollbackSchema(StrictSchema):
    """What is asked for to make a resource what it was."""

    version = Line(data_key="versionId", required=True, metadata=meaning("the version to go back to, as it is shown"))


_SCHEMA: Final = RollbackSchema()


def routes(application: Application) -> list[Route]:
    """The endpoints of one app."""
    return [route for type_ in _TYPES for route in routes_of(type_, _VERBS, _HistoryViews(application, type_))]


class _HistoryViews(Views):
    """The three endpoints of one type."""

    def history(self, id_: str) -> Response:
        media_type = media_type_for(request)
        with self.refusing(id_):
            offset, limit = read_page(request.args, most=MAX_COUNT, default=DEFAULT_COUNT)
        total = self._versions(id_)
        pasts = self._catalog.history((self._type, id_), offset=offset, limit=limit)
        found = {
            "resourceType": "Bundle",
            "type": "history",
            "total": total,
            "link": links(self.endpoint("history"), request.args, offset, limit, total, id_=id_),
            "entry": list(map(self._entry, pasts)),
        }
        return answer(found, media_type)

    def version(self, id_: str, version: str) -> Response:
        media_type = media_type_for(request)
        self._versions(id_)
        past = self._catalog.past((self._type, id_), version)
        if past is None:
            raise Absent("there is no such version of the resource")
        if past.outcome == "deleted":
            raise Deleted
        if past.body is None:
            raise Absent("what is kept of this version cannot be read as a resource")
        return self.known_or_shown(past.body, media_type, version)

    def rollback(self, id_: str) -> Response:
        self.refuse_read_only()
        media_type = media_type_for(request)
        try:
            outcome = self._roll_back(id_)
        except Unavailable:
            raise
        except Refusal:
            # Of what never was nothing else is said.
            self._versions(id_)
            raise
        item = None if outcome == "deleted" else self.collection.get(id_)
        if item is None and outcome in ("deleted", "unchanged"):
            return without_body(204)
        if item is None:
            raise Absent
        return self.stored(item, media_type, is_new=outcome == "created")

    def _roll_back(self, id_: str) -> Outcome:
        with self.refusing(id_):
            version = _version_in(object_in(request))
            try:
                return self._catalog.rollback(
                    (self._type, id_), version, by=made_by(), expected=self.expected(id_), strict=self.is_strict
                )
            except NoVersion as rejected:
                raise Rejected(rejected.issues) from None

    @property
    def _catalog(self) -> Catalog:
        return self._application.runtime().catalog

    def _versions(self, id_: str) -> int:
        """In how many versions the resource was, 1 or more.

        :raises Absent: there never was one; or nothing is known of what was, since the registry is a file.
        """
        try:
            versions = self._catalog.versions((self._type, id_))
        except NoHistory as rejected:
            raise Absent(rejected.issues[0].message) from None
        if not versions:
            raise Absent
        return versions

    def _entry(self, past: Past) -> dict[str, object]:
        _, id_ = past.key
        method, status = _REQUESTS[past.outcome]
        name = self._type if past.outcome == "created" else f"{self._type}/{id_}"
        entry: dict[str, object] = {"fullUrl": self.location(id_)}
        if past.body is not None:
            entry["resource"] = past.body
        entry["request"] = {"method": method, "url": name}
        entry["response"] = {
            "status": status,
            "location": url_for(self.endpoint("version"), id_=id_, version=past.version, _external=True),
            "etag": f'W/"{past.version}"',
            "lastModified": instant(past.at),
        }
        if past.by:
            entry["extension"] = [{"url": BY, "valueString": past.by}]
        return entry


def _version_in(body: Mapping[str, object]) -> str:
    """
    :raises Rejected: names every member that is unknown, wrong or missing.
    """
    try:
        return str(_SCHEMA.load(body)["version"])
    except ValidationError as error:
        raise Rejected([Issue("", *fault) for fault in flatten(error.messages)]) from None
