"""The registry in a file: a JSON array of resources."""

from __future__ import annotations

import codecs
import json
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from os import stat_result
from pathlib import Path
from typing import cast

from .. import strict_json
from ..errors import Issue, Rejected
from .faults import Faults
from .feed import News
from .registry import Contents
from .resources import Resource, identify, stored_form, version_of
from .variables import expand

MAX_SIZE = 16 * 1024 * 1024
"""Bytes of the largest file."""

_EXPANDED = ("IdentityProvider", "TokenIntrospector")
_SETTLING = 2_000_000_000
# Nanoseconds in which a file system that counts time coarsely may not tell two writes apart.

_Signature = tuple[int, ...]


class FileRegistry:
    """Resources in a JSON file in UTF-8, at most 16 MiB.

    Providers and introspectors may hold values from the environment, see :func:`~.variables.expand`; policies are taken
    as they stand, since their patterns have a use for ``$``.

    :param path: of the file; nothing is read until it is asked for.
    :param clock: nanoseconds since the epoch.
    """

    def __init__(self, path: str | Path, environ: Mapping[str, str], clock: Callable[[], int] = time.time_ns) -> None:
        self._path = Path(path)
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

    def _stat(self) -> stat_result:
        try:
            found = self._path.stat()
        except OSError as error:
            raise self._unreadable(error) from None
        if not stat.S_ISREG(found.st_mode):
            raise self._rejected("is not a file")
        return found

    def _resources(self) -> list[Resource]:
        items = self._json()
        if not isinstance(items, list):
            raise self._rejected("must be an array of resources, [{…}, …]")
        resources: list[Resource] = []
        faults = Faults()
        for position, item in enumerate(items):
            with faults.gathered():
                resources.append(self._resource(item, position))
        faults.raise_any()
        return resources

    def _resource(self, item: object, position: int) -> Resource:
        try:
            return _resource_of(item, self._environ)
        except Rejected as rejected:
            name = _name_of(item)
            raise (rejected.within(name) if name else rejected.within(str(self), str(position))) from None

    def _json(self) -> object:
        raw = self._bytes()
        if raw.startswith(codecs.BOM_UTF8):
            raise self._rejected("begins with a byte order mark; save it as UTF-8 without one")
        try:
            return strict_json.loads(raw)
        except ValueError as reason:
            raise self._rejected(f"{_place_of_fault(raw)}{reason}") from None

    def _bytes(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                raw = file.read(MAX_SIZE + 1)
        except OSError as error:
            raise self._unreadable(error) from None
        if len(raw) > MAX_SIZE:
            raise self._rejected(f"must not be larger than {MAX_SIZE // 1024 // 1024} MiB")
        return raw

    def _unreadable(self, error: OSError) -> Rejected:
        return self._rejected(f"cannot be read: {error.strerror}")

    def _rejected(self, reason: str) -> Rejected:
        return Rejected([Issue(str(self), "", reason)])


def _resource_of(item: object, environ: Mapping[str, str]) -> Resource:
    if isinstance(item, dict) and item.get("resourceType") in _EXPANDED:
        item = expand(item, environ)
    type_, id_ = identify(item)
    body = stored_form(cast("Mapping[str, object]", item))
    return Resource(type_, id_, version_of(body), body)


def _name_of(item: object) -> str | None:
    try:
        return "/".join(identify(item))
    except Rejected:
        return None


def _place_of_fault(raw: bytes) -> str:
    """Where reading ended, when it is not JSON at all; other faults have no one place."""
    with suppress(UnicodeDecodeError, RecursionError):
        try:
            json.loads(raw.decode())
        except json.JSONDecodeError as error:
            return f"line {error.lineno}, column {error.colno}: "
    return ""
