"""What all endpoints of one type of resource share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING

from flask import Response, request, url_for

from ..errors import Conflict, NotStored, Rejected
from ..registry.edits import ABSENT, ANY
from .answers import answer, warn, without_body
from .collections import Collection, InTheWay, Item, RegistryCollection, UserCollection
from .guard import made_by
from .preferences import STRICT, is_strict
from .refusals import Absent, Changed, Conflicting, ReadOnly, Unprocessable
from .route import NAME, TYPES, USER

if TYPE_CHECKING:
    from ..application import Application


class Views:
    """Endpoints of one type."""

    def __init__(self, application: Application, type_: str) -> None:
        self._application = application
        self._type = type_

    def known_or_shown(self, body: Mapping[str, object], media_type: str, version: str) -> Response:
        """The answer to whoever reads a resource: that it is in a state that is known already, or the resource."""
        if request.if_none_match.contains_weak(version):
            return without_body(304, version=version)
        return answer(body, media_type, version=version)

    def stored(
        self, item: Item, media_type: str, *, is_new: bool, written: Mapping[str, object] = MappingProxyType({})
    ) -> Response:
        """The answer to whoever has written `item`.

        :param written: as it came, with secrets that `item` does not show.
        """
        response = answer(item.body, media_type, status=201 if is_new else 200, version=item.version)
        if is_new:
            response.headers["Location"] = self.location(item.id)
        if self._type != USER:
            warn(response, self._application.runtime().catalog.warnings([{**item.body, **written}]))
            if self.is_strict:
                response.headers["Preference-Applied"] = STRICT
        return response

    @property
    def collection(self) -> Collection:
        """The resources, as the request may change them."""
        runtime = self._application.runtime()
        if self._type == USER:
            return UserCollection(runtime.accounts)
        return RegistryCollection(runtime.catalog, self._type, strict=self.is_strict, by=made_by())

    @property
    def is_strict(self) -> bool:
        """Whether what is probably not meant is refused as well; of users nothing is known that would be."""
        return self._type != USER and request.method in ("POST", "PUT") and is_strict(request)

    def expected(self, id_: str) -> str | None:
        """What the request wants to find (:rfc:`9110#section-13.1`), for the write to compare; none: it does not care.

        Of several versions it is the one that is there now: should it change before it is compared, that is a conflict.

        :raises Changed: something else is there, or nothing.
        """
        matching, other = "If-Match" in request.headers, "If-None-Match" in request.headers
        if not matching and not other:
            return None
        if not matching and request.if_none_match.star_tag:
            return ABSENT
        item = self.collection.get(id_)
        if item is None:
            if matching:
                raise Changed
            return ABSENT
        if request.if_none_match.contains_weak(item.version):
            raise Changed
        if matching and not request.if_match.contains_weak(item.version):
            raise Changed
        return ANY if request.if_match.star_tag and not other else item.version

    def refuse_read_only(self) -> None:
        """
        :raises ReadOnly: the registry is a file.
        """
        if self._type != USER and self._application.registry_file is not None:
            raise ReadOnly

    @contextmanager
    def refusing(self, id_: str | None = None) -> Iterator[None]:
        """A block in which what is wrong with the request becomes the answer to it."""
        try:
            yield
        except NotStored:
            raise Absent from None
        except Conflict:
            raise Changed from None
        except InTheWay as rejected:
            raise Conflicting(rejected.issues, self._addressed(id_)) from None
        except Rejected as rejected:
            raise Unprocessable(rejected.issues, self._addressed(id_), strict=self.is_strict) from None

    def location(self, id_: str) -> str:
        """The URL of a resource."""
        return url_for(self.endpoint("read"), id_=id_, _external=True)

    def _addressed(self, id_: str | None) -> str:
        return self._type if id_ is None else f"{self._type}/{id_}"

    def endpoint(self, verb: str) -> str:
        """Flask's name for an endpoint of the type."""
        return f"{NAME}.{verb}_{TYPES[self._type]}"
