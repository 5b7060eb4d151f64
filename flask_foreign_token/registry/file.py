"""The registry in a file: a JSON array of resources."""

from __future__ import annotations

import codecs
import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from os import stat_result
from pathlib import Path

from .. import strict_json
from ..documents import bounded, read_file, write_json
from ..errors import Issue, Rejected
from ..faults import Faults
from .edits import Check, Edit, Outcome, State
from .feed import News
from .file_edits import edited
from .items import kept_in, key_of, resource_in
from .plan import Draft, Plan
from .registry import Archive, Contents, Kept, NoHistory
from .replacing import WAIT, locked, replace
from .resources import Key, Resource

_SETTLING = 2_000_000_000
# Nanoseconds in which a file system that counts time coarsely may not tell two writes apart.

WRITTEN_AS_JSON = "a registry file is JSON; YAML goes in with `flask foreign-token apply`"
"""What to add where a file does not even begin as JSON does."""

_Signature = tuple[int, ...]


class FileRegistry:
    """Resources in a JSON file in UTF-8, at most 16 MiB.

    Providers and introspectors may hold values from the environment, see :func:`~.variables.expand`; policies are taken
    as they stand, since their patterns have a use for ``$``.

    :param path: of the file; nothing is read until it is asked for.
    :param clock: nanoseconds since the epoch.
    :param wait: seconds that an edit waits for another one to end.
    """

    def __init__(
        self,
        path: str | Path,
        environ: Mapping[str, str],
        clock: Callable[[], int] = time.time_ns,
        *,
        wait: float = WAIT,
    ) -> None:
        self._path = Path(path)
        self._wait = wait
        self._environ = environ
        self._clock = clock
        self._last: tuple[Contents, _Signature] | None = None

    def __str__(self) -> str:
        return str(self._path)

    def read(self, known: Contents | None = None, news: News | None = None) -> Contents:
        """See :meth:`Registry.read`; `news` does not speak of a file.

        While nothing changes it costs one look at the directory entry. Where that has changed the content counts:
        a file that was only touched, or indented anew, is as it was.
        """
        found = self._stat()
        signature = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        last = self._last
        if last is not None and last[0] is known and last[1] == signature:
            return last[0]
        contents = Contents.of(self._resources())
        if known is not None and contents.version == known.version:
            contents = known
        is_settled = self._clock() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLING
        self._last = (contents, signature) if is_settled else None
        return contents

    def kept(self, type_: str, id_: str | None = None) -> list[Kept]:
        """See :meth:`Store.kept`. Variables are their text; an item whose id cannot be told is left out."""
        found: list[Kept] = []
        for item in self._items_if_there():
            key = key_of(item, self._environ)
            if isinstance(item, dict) and key is not None and key[0] == type_ and id_ in (None, key[1]):
                found.append(kept_in(item, key))
        return found

    def unreadable(self, type_: str | None = None, id_: str | None = None) -> list[Issue]:
        """See :meth:`Store.unreadable`. It is the items whose id cannot be told."""
        return [
            issue
            for position, item in enumerate(self._items_if_there())
            if id_ is None and key_of(item, self._environ) is None and type_ in (None, _type_in(item))
            if isinstance(entry := self._entry(item, position), Rejected)
            for issue in entry.issues
        ]

    @property
    def archive(self) -> Archive:
        """See :attr:`Store.archive`.

        :raises NoHistory: always; version control keeps it.
        """
        raise NoHistory([Issue(str(self), "", "a registry file has no history; keep it under version control")])

    def plan(self, edit: Edit, *, check: Check) -> Plan:
        """See :meth:`Store.plan`."""
        _, draft = self._drafted(edit, check)
        return draft.plan()

    def edit(self, edit: Edit, *, check: Check, by: str = "") -> dict[Key, Outcome]:
        """See :meth:`Store.edit`. A file that is not there is made; its folder must be. Nobody notes who does it.

        Editors take turns, so that none undoes what another has just written. A secret that is written as the mask
        stays the text that it is, variables and all. A link to the file stays a link.
        """
        target = Path(os.path.realpath(self._path))
        if not target.parent.is_dir():
            raise self._rejected(f"cannot be written: there is no folder {target.parent}")
        try:
            with locked(target.parent, self._wait):
                content, draft = self._drafted(edit, check)
                if any(outcome != "unchanged" for outcome in draft.outcomes.values()):
                    replace(target, content)
        except OSError as error:
            raise self._rejected(f"cannot be written: {error.strerror}") from None
        return dict(draft.outcomes)

    def _drafted(self, edit: Edit, check: Check) -> tuple[bytes, Draft]:
        """What the file holds afterwards."""
        items = self._items_if_there()
        left, draft = edited(items, edit, self._environ)
        content = write_json(left).encode()
        # What is checked is what will be read, and not what it was made from.
        check(self._state(items), self._state(self._items_in(content)))
        return content, draft

    def _state(self, items: list[object]) -> State:
        """What `items` hold. Those of which nobody can tell which resource they are stay out: no edit can name them."""
        keys = [key_of(item, self._environ) for item in items]
        return State.of(
            (key, self._entry(item, position))
            for position, (key, item) in enumerate(zip(keys, items, strict=True))
            if key is not None
        )

    def _stat(self) -> stat_result:
        try:
            found = self._path.stat()
        except OSError as error:
            raise self._unreadable(error) from None
        if not stat.S_ISREG(found.st_mode):
            raise self._rejected("is not a file")
        return found

    def _resources(self) -> list[Resource]:
        resources: list[Resource] = []
        faults = Faults()
        for position, item in enumerate(self._items()):
            with faults.gathered():
                resources.append(self._resource(item, position))
        faults.raise_any()
        return resources

    def _entry(self, item: object, position: int) -> Resource | Rejected:
        try:
            return self._resource(item, position)
        except Rejected as rejected:
            return rejected

    def _resource(self, item: object, position: int) -> Resource:
        try:
            return resource_in(item, self._environ)
        except Rejected as rejected:
            key = key_of(item, self._environ)
            raise (rejected.within("/".join(key)) if key else rejected.within(str(self), str(position))) from None

    def _items_if_there(self) -> list[object]:
        try:
            self._path.stat()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error) from None
        self._stat()
        return self._items()

    def _items(self) -> list[object]:
        return self._items_in(self._bytes())

    def _items_in(self, raw: bytes) -> list[object]:
        try:
            bounded(raw)
        except ValueError as reason:
            raise self._rejected(str(reason)) from None
        if raw.startswith(codecs.BOM_UTF8):
            raise self._rejected("begins with a byte order mark; save it as UTF-8 without one")
        try:
            items = strict_json.loads(raw)
        except ValueError as reason:
            raise self._rejected(_explained(raw, str(reason))) from None
        if not isinstance(items, list):
            raise self._rejected("must be an array of resources, [{…}, …]")
        return items

    def _bytes(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                return read_file(file)
        except OSError as error:
            raise self._unreadable(error) from None
        except ValueError as reason:
            raise self._rejected(str(reason)) from None

    def _unreadable(self, error: OSError) -> Rejected:
        return self._rejected(f"cannot be read: {error.strerror}")

    def _rejected(self, reason: str) -> Rejected:
        return Rejected([Issue(str(self), "", reason)])


def _type_in(item: object) -> object:
    return item.get("resourceType") if isinstance(item, dict) else None


def _explained(raw: bytes, reason: str) -> str:
    """`reason` with the place where reading ended, when it is not JSON at all; other faults have no one place."""
    with suppress(UnicodeDecodeError, RecursionError):
        try:
            json.loads(raw.decode())
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}: {reason}"
            return place if raw.lstrip().startswith((b"[", b"{")) else f"{place}; {WRITTEN_AS_JSON}"
    return reason
