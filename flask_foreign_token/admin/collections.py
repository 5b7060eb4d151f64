"""The four types of resource behind one interface, so that each endpoint is written once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..errors import Conflict, Issue, RegistryUnavailable, Rejected
from ..registry.edits import ABSENT, Edit, Outcome
from ..registry.resources import identify

if TYPE_CHECKING:
    from ..registry.catalog import Catalog
    from ..registry.resources import Key
    from ..users.account_access import ShownUser
    from ..users.accounts import Accounts

Identifier = tuple[str | None, str]
"""System and value; without a system, of any."""


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
    :param identifier: one that the user has; users only.
    :param offset: how many of those found are left out in front.
    :param limit: how many are shown at most; 0 where only their number is asked for.
    """

    id: str | None
    identifier: Identifier | None
    offset: int
    limit: int


class Collection(Protocol):
    """The resources of one type. Every method raises ``Unavailable`` where they cannot be had."""

    def search(self, wanted: Filter) -> tuple[int, list[Item]]:
        """How many there are in all, and those that `wanted` shows, in the order of their ids."""

    def get(self, id_: str) -> Item | None:
        """The resource, if there is one."""

    def create(self, body: Mapping[str, object]) -> Item | None:
        """Store a resource that was not there, under an id of its own where the body has none; none: as for `put`.

        :raises Rejected: names every fault; one is that the id is taken.
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
        :raises Rejected: others refer to it.
        :raises Conflict: it is not as expected.
        """


class RegistryCollection:
    """Resources of the registry.

    :param strict: whether what is probably not meant is refused.
    """

    def __init__(self, catalog: Catalog, type_: str, *, strict: bool = False) -> None:
        self._catalog = catalog
        self._type = type_
        self._strict = strict

    def search(self, wanted: Filter) -> tuple[int, list[Item]]:
        with _readable():
            found = self._catalog.list(self._type)
        if wanted.id is not None:
            found = [shown for shown in found if shown.key[1] == wanted.id]
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
        outcomes = self._catalog.apply(Edit([body], expected=_versions(key, expected)), strict=self._strict)
        return outcomes[key], self.get(id_)

    def delete(self, id_: str, expected: str | None) -> None:
        key = self._type, id_
        self._catalog.apply(Edit(deletes=[key], expected=_versions(key, expected)))


class UserCollection:
    """Users."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def search(self, wanted: Filter) -> tuple[int, list[Item]]:
        if wanted.id is None:
            page = self._accounts.search(offset=wanted.offset, limit=wanted.limit, identifier=wanted.identifier)
            return page.total, list(map(_item_of, page.users))
        item = self.get(wanted.id)
        if item is None or not _has(item, wanted.identifier):
            return 0, []
        return 1, [item][wanted.offset : wanted.offset + wanted.limit]

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
        raise Rejected([Issue("/".join(conflict.key), "id", "is taken; PUT changes what is there")]) from None


def _item_of(user: ShownUser) -> Item:
    return Item(user.id, user.resource, user.version)


def _has(item: Item, identifier: Identifier | None) -> bool:
    if identifier is None:
        return True
    system, value = identifier
    held = item.body.get("identifier")
    return isinstance(held, list | tuple) and any(
        one["value"] == value and system in (None, one["system"]) for one in held
    )
