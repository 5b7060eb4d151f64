"""The endpoints: five for each of the four types of resource, and those at which policies are tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from flask import Blueprint, Response, request, url_for

from ..errors import Conflict, NotStored, Rejected
from ..registry.edits import ABSENT, ANY
from . import policy_routes
from .answers import answer, media_type_for, warn, without_body
from .bodies import resource_in
from .bundles import bundle, read_filter
from .collections import Collection, Item, RegistryCollection, UserCollection
from .guard import operators_only
from .preferences import STRICT, is_strict
from .refusals import Absent, Changed, ReadOnly, Unprocessable

if TYPE_CHECKING:
    from ..application import Application

NAME: Final = "foreign_token"
"""The blueprint's, and so what the name of each endpoint begins with."""

USER: Final = "User"
TYPES: Final = {
    "IdentityProvider": "identity_provider",
    "TokenIntrospector": "token_introspector",
    "AccessPolicy": "access_policy",
    USER: "user",
}
"""The types of resource, and what their endpoints call them."""

ENDPOINTS: Final = frozenset(
    f"{NAME}.{verb}_{noun}" for verb in ("search", "create", "read", "update", "delete") for noun in TYPES.values()
) | {f"{NAME}.{name}" for name in policy_routes.PATHS}
"""All endpoints, as a link of a policy names them after ``Operation/``."""


def blueprint(application: Application) -> Blueprint:
    """The REST API of one app."""
    made = Blueprint(NAME, __name__)
    for type_, noun in TYPES.items():
        views = _Views(application, type_)
        for verb, method, path, view in (
            ("search", "GET", f"/{type_}", views.search),
            ("create", "POST", f"/{type_}", views.create),
            ("read", "GET", f"/{type_}/<id_>", views.read),
            ("update", "PUT", f"/{type_}/<id_>", views.update),
            ("delete", "DELETE", f"/{type_}/<id_>", views.delete),
        ):
            made.add_url_rule(path, f"{verb}_{noun}", operators_only(application, view), methods=[method])
    for name, try_out in policy_routes.views(application).items():
        made.add_url_rule(policy_routes.PATHS[name], name, operators_only(application, try_out), methods=["POST"])
    return made


class _Views:
    """The five endpoints of one type."""

    def __init__(self, application: Application, type_: str) -> None:
        self._application = application
        self._type = type_

    def search(self) -> Response:
        media_type = media_type_for(request)
        with self._refusing():
            wanted = read_filter(request.args, identifiers=self._type == USER)
            total, items = self._collection.search(wanted)
        found = bundle(self._endpoint("search"), request.args, wanted, total, items, location=self._location)
        return answer(found, media_type)

    def create(self) -> Response:
        self._refuse_read_only()
        media_type = media_type_for(request)
        with self._refusing():
            item = self._collection.create(resource_in(request, self._type, None))
        if item is None:
            raise Absent
        return self._stored(item, media_type, is_new=True)

    def read(self, id_: str) -> Response:
        media_type = media_type_for(request)
        item = self._collection.get(id_)
        if item is None:
            raise Absent
        if request.if_none_match.contains_weak(item.version):
            return without_body(304, version=item.version)
        return answer(item.body, media_type, version=item.version)

    def update(self, id_: str) -> Response:
        self._refuse_read_only()
        media_type = media_type_for(request)
        with self._refusing(id_):
            body = resource_in(request, self._type, id_)
            outcome, item = self._collection.put(id_, body, self._expected(id_))
        if item is None:
            raise Absent
        return self._stored(item, media_type, is_new=outcome == "created")

    def delete(self, id_: str) -> Response:
        self._refuse_read_only()
        with self._refusing(id_):
            self._collection.delete(id_, self._expected(id_))
        return without_body(204)

    def _stored(self, item: Item, media_type: str, *, is_new: bool) -> Response:
        """The answer to whoever has written `item`."""
        response = answer(item.body, media_type, status=201 if is_new else 200, version=item.version)
        if is_new:
            response.headers["Location"] = self._location(item.id)
        if self._type != USER:
            warn(response, self._application.runtime().catalog.warnings([item.body]))
            if self._is_strict:
                response.headers["Preference-Applied"] = STRICT
        return response

    @property
    def _collection(self) -> Collection:
        runtime = self._application.runtime()
        if self._type == USER:
            return UserCollection(runtime.accounts)
        return RegistryCollection(runtime.catalog, self._type, strict=self._is_strict)

    @property
    def _is_strict(self) -> bool:
        """Whether what is probably not meant is refused as well; of users nothing is known that would be."""
        return self._type != USER and request.method in ("POST", "PUT") and is_strict(request)

    def _expected(self, id_: str) -> str | None:
        """What the request wants to find (:rfc:`9110#section-13.1`), for the write to compare; none: it does not care.

        Of several versions it is the one that is there now: should it change before it is compared, that is a conflict.

        :raises Changed: something else is there, or nothing.
        """
        matching, other = "If-Match" in request.headers, "If-None-Match" in request.headers
        if not matching and not other:
            return None
        if not matching and request.if_none_match.star_tag:
            return ABSENT
        item = self._collection.get(id_)
        if item is None:
            if matching:
                raise Changed
            return ABSENT
        if request.if_none_match.contains_weak(item.version):
            raise Changed
        if matching and not request.if_match.contains_weak(item.version):
            raise Changed
        return ANY if request.if_match.star_tag and not other else item.version

    def _refuse_read_only(self) -> None:
        if self._type != USER and self._application.registry_file is not None:
            raise ReadOnly

    @contextmanager
    def _refusing(self, id_: str | None = None) -> Iterator[None]:
        """A block in which what is wrong with the request becomes the answer to it."""
        try:
            yield
        except NotStored:
            raise Absent from None
        except Conflict:
            raise Changed from None
        except Rejected as rejected:
            addressed = self._type if id_ is None else f"{self._type}/{id_}"
            raise Unprocessable(rejected.issues, addressed, strict=self._is_strict) from None

    def _endpoint(self, verb: str) -> str:
        return f"{NAME}.{verb}_{TYPES[self._type]}"

    def _location(self, id_: str) -> str:
        return url_for(self._endpoint("read"), id_=id_, _external=True)
