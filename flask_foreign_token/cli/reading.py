"""From files to the resources in them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from ..documents import read_file, read_yaml_all
from ..errors import Issue, Rejected
from ..faults import Faults
from ..registry.resources import Key, identify

MAX_NODES = 2_000_000
"""Keys and values of the YAML in one file. It is the operator's own, so there may be more than a caller may send."""

STANDARD_INPUT = "-"

_USER = "users are not kept in the registry; change them with `flask foreign-token users` or the REST API"


class Documents:
    """The resources in some files, and which file each came from.

    :param files: paths; ``-`` is standard input.
    :raises Rejected: names every file that cannot be read, and in it every resource that is none or stands twice.
    """

    def __init__(self, files: Sequence[str]) -> None:
        self.bodies: dict[Key, Mapping[str, object]] = {}
        self._files: dict[str, str] = {}
        faults = Faults()
        for file in files:
            with faults.gathered():
                self._read(file, faults)
        faults.raise_any()

    def placed(self, rejected: Rejected) -> Rejected:
        """`rejected` with the file before each resource that came from one."""
        return Rejected([self._placed(issue) for issue in rejected.issues])

    def _placed(self, issue: Issue) -> Issue:
        file = self._files.get(issue.resource)
        return issue if file is None else issue._replace(resource=f"{file} {issue.resource}")

    def _read(self, file: str, faults: Faults) -> None:
        shown = "standard input" if file == STANDARD_INPUT else file
        try:
            found = list(_items(read_yaml_all(content(file), max_nodes=MAX_NODES)))
        except ValueError as reason:
            raise Rejected([Issue(shown, "", str(reason))]) from None
        if not found:
            raise Rejected([Issue(shown, "", "holds no resource")])
        for place, item in found:
            with faults.gathered():
                self.add(shown, place, item)

    def add(self, file: str, place: str, item: object) -> None:
        """Take one more resource, which stands at a place of a file.

        :raises Rejected: it is none, or stands in one of the files already.
        """
        if isinstance(item, Mapping) and item.get("resourceType") == "User":
            raise Rejected([Issue(_name(file, item), "", _USER)])
        try:
            key = identify(item)
        except Rejected as rejected:
            raise rejected.within(f"{file} {place}".rstrip()) from None
        name = "/".join(key)
        if name in self._files:
            raise Rejected([Issue(f"{file} {name}", "", f"stands in {self._files[name]} already")])
        self._files[name] = file
        self.bodies[key] = cast("Mapping[str, object]", item)


def content(file: str) -> bytes:
    """What is in a file, or comes from standard input.

    :raises ValueError: it cannot be read, or is too large.
    """
    try:
        if file == STANDARD_INPUT:
            return read_file(sys.stdin.buffer)
        with Path(file).open("rb") as stream:
            return read_file(stream)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def _items(documents: Sequence[object]) -> Iterator[tuple[str, object]]:
    """Each item of each document, and where it stands; a document with nothing in it has none."""
    for number, document in enumerate(documents, 1):
        place = f"document {number}" if len(documents) > 1 else ""
        if isinstance(document, list):
            for position, item in enumerate(document):
                yield f"{place} item {position}".strip(), item
        elif document is not None:
            yield place, document


def _name(file: str, item: Mapping[str, object]) -> str:
    id_ = item.get("id")
    return f"{file} User/{id_}" if isinstance(id_, str) else f"{file} User"
