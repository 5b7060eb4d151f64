"""The four types of resource behind one interface, so that each endpoint is written once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..errors import Conflict, Issue, NotStored, RegistryUnavailable, Rejected
from ..registry.edits import ABSENT, Edit, Outcome
from ..registry.resources import identify
from .searching import ATTRIBUTES

if TYPE_CHECKING:
    from ..registry.catalog import Catalog
    from ..registry.resources import Key
    from ..users.account_access import ShownUser
    from ..users.accounts import Accounts


@dataclass(frozen=True, slots=True)
class Item:
    """A resource as an operator sees it.

    :param version: becomes the ``ETag``.
    """

    id: str
    body: Mapping[str, object]
    version: str


@dataclass(frozen=True, slots=True)
class Filter:
    """What a search asks for.

    :param id: of the one resource that is meant; none: any.
    :param wanted: what the resource must have, by the parameters in :data:`~.searching.PARAMETERS`.
    :param offset: how many of those found are left out in front.
    :param limit: how many are shown at most; 0 where only their number is asked for.
    """

    id: str | None
    wanted: Mapping[str, object]
    offset: int
    limit: int


class InTheWay(Rejected):
    """What is stored stands in the way of what is asked for, in which nothing else is wrong."""


class Collection(Protocol):
    """The resources of one type. Every method raises ``Unavailable`` where they cannot be had."""

    def search(self, wanted: Filter) -> tuple[int, list[Item]]:
        """How many there are in all, and those that `wanted` shows, in the order of their ids."""

    def get(self, id_: str) -> Item | None:
        """The resource, if there is one."""

    def create(self, body: Mapping[str, object]) -> Item | None:
        """Store a resource that was not there, under an id of its own where the body has none; none: as for `put`.

        :raises Rejected: names every fault.
        :raises InTheWay: the id is taken.
        """

    def put(self, id_: str, body: Mapping[str, object], expected: str | None) -> tuple[Outcome, Item | None]:
        """Store a resource, and say what became of it; none: others have deleted it since.

        :param expected: see :class:`~..registry.edits.Edit`; none: whatever is there, if anything.
        :raises Rejected: names every fault.
        :raises Conflict: it is not as expected.
        """

    def delete(self, id_: str, expected: str | None) -> None:
        """Delete a resource.

        :raises NotStored: it is not there.
        :raises InTheWay: others refer to it.
        :raises Conflict: it is not as expected.
        """


class RegistryCollection:
    """Resources of the registry.

    :param strict: whether what is probably not meant is refused.
    :param by: who makes the changes.
    """

    def __init__(self, catalog: Catalog, type_: str, *, strict: bool = False, by: str = "") -> None:
        self._catalog = catalog
        self._type = type_
        self._strict = strict
        self._by = by

    def search(self, wanted: Filter) -> tuple[int, list[Item]]:
        with _readable():
            found = self._catalog.list(self._type)
        if wanted.id is not None:
            found = [shown for shown in found if shown.key[1] == wanted.id]
        for name, value in wanted.wanted.items():
            attribute = ATTRIBUTES[self._type][name]
            found = [shown for shown in found if attribute.is_of(shown.body, value)]
        page = found[wanted.offset : wanted.offset + wanted.limit]
        return len(found), [Item(shown.key[1], shown.body, shown.version) for shown in page]

    def get(self, id_: str) -> Item | None:
        with _readable():
            shown = self._catalog.get((self._type, id_))
        return None if shown is None else Item(id_, shown.body, shown.version)

    def create(self, body: Mapping[str, object]) -> Item | None:
        id_ = body.get("id", str(uuid.uuid4()))
        with _taken_in_conflict():
            return self.put(str(id_), {**body, "id": id_}, ABSENT)[1]

    def put(self, id_: str, body: Mapping[str, object], expected: str | None) -> tuple[Outcome, Item | None]:
        key = identify(body)
        edit = Edit([body], expected=_versions(key, expected))
        outcomes = self._catalog.apply(edit, strict=self._strict, by=self._by)
        return outcomes[key], self.get(id_)

    def delete(self, id_: str, expected: str | None) -> None:
        key = self._type, id_
        with _referred_to():
            self._catalog.apply(Edit(deletes=[key], expected=_versions(key, expected)), by=self._by)


class UserCollection:
    """Users."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def search(self, wanted: Filter) -> tuple[int, list[Item]]:
        sought = cast("dict[str, Any]", wanted.wanted)
        page = self._accounts.search(offset=wanted.offset, limit=wanted.limit, id_=wanted.id, **sought)
        return page.total, list(map(_item_of, page.users))

    def get(self, id_: str) -> Item | None:
        user = self._accounts.get(id_)
        return None if user is None else _item_of(user)

    def create(self, body: Mapping[str, object]) -> Item:
        id_ = body.get("id")
        if not isinstance(id_, str):
            return _item_of(self._accounts.put(None, body)[1])
        with _taken_in_conflict():
            return _item_of(self._accounts.put(id_, body, expected=ABSENT)[1])

    def put(self, id_: str, body: Mapping[str, object], expected: str | None) -> tuple[Outcome, Item | None]:
        outcome, user = self._accounts.put(id_, body, expected=expected)
        return outcome, _item_of(user)

    def delete(self, id_: str, expected: str | None) -> None:
        with _referred_to():
            self._accounts.delete(id_, expected=expected)


@contextmanager
def _readable() -> Iterator[None]:
    """A block that only reads: what is wrong there is nothing that the caller wrote."""
    try:
        yield
    except Rejected as rejected:
        raise RegistryUnavailable(hint=str(rejected)) from None


def _versions(key: Key, expected: str | None) -> dict[Key, str]:
    return {} if expected is None else {key: expected}


@contextmanager
def _taken_in_conflict() -> Iterator[None]:
    """A block that wants to find nothing under an id."""
    try:
        yield
    except Conflict as conflict:
        raise InTheWay([Issue("/".join(conflict.key), "id", "is taken; PUT changes what is there")]) from None


@contextmanager
def _referred_to() -> Iterator[None]:
    """A block that deletes, of which nothing can be said but that others refer to what is to go."""
    try:
        yield
    except NotStored:
        raise
    except Rejected as rejected:
        raise InTheWay(rejected.issues) from None


def _item_of(user: ShownUser) -> Item:
    return Item(user.id, user.resource, user.version)
