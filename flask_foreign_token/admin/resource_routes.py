"""Five endpoints for each of the four types of resource."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import Response, request

from .answers import answer, media_type_for, without_body
from .bodies import resource_in
from .bundles import bundle, read_filter
from .refusals import Absent
from .route import TYPES, Route, Verbs, names_of, routes_of
from .views import Views

if TYPE_CHECKING:
    from ..application import Application

_VERBS: Final[Verbs] = {
    "search": ("GET", ""),
    "create": ("POST", ""),
    "read": ("GET", "/<id_>"),
    "update": ("PUT", "/<id_>"),
    "delete": ("DELETE", "/<id_>"),
}

NAMES: Final = names_of(TYPES, _VERBS)


def routes(application: Application) -> list[Route]:
    """The endpoints of one app."""
    return [route for type_ in TYPES for route in routes_of(type_, _VERBS, _ResourceViews(application, type_))]


class _ResourceViews(Views):
    """The five endpoints of one type."""

    def search(self) -> Response:
        media_type = media_type_for(request)
        with self.refusing():
            wanted = read_filter(request.args, self._type)
            total, items = self.collection.search(wanted)
        found = bundle(self.endpoint("search"), request.args, wanted, total, items, location=self.location)
        return answer(found, media_type)

    def create(self) -> Response:
        self.refuse_read_only()
        media_type = media_type_for(request)
        with self.refusing():
            body = resource_in(request, self._type, None)
            item = self.collection.create(body)
        if item is None:
            raise Absent
        return self.stored(item, media_type, is_new=True, written=body)

    def read(self, id_: str) -> Response:
        media_type = media_type_for(request)
        item = self.collection.get(id_)
        if item is None:
            raise Absent
        return self.known_or_shown(item.body, media_type, item.version)

    def update(self, id_: str) -> Response:
        self.refuse_read_only()
        media_type = media_type_for(request)
        with self.refusing(id_):
            body = resource_in(request, self._type, id_)
            outcome, item = self.collection.put(id_, body, self.expected(id_))
        if item is None:
            raise Absent
        return self.stored(item, media_type, is_new=outcome == "created", written=body)

    def delete(self, id_: str) -> Response:
        self.refuse_read_only()
        with self.refusing(id_):
            self.collection.delete(id_, self.expected(id_))
        return without_body(204)
