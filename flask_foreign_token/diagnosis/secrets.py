"""Secrets that stand in the database where they could be named, and those that are named and not there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..errors import Issue
from ..printable import printable
from ..registry.fields import SecretReference
from ..registry.secrets import plain_secrets_in
from ..registry.snapshot import RegistrySnapshot
from . import remedies
from .findings import Finding
from .remedies import Remedy

_READ = "A file is read within FOREIGN_TOKEN_REGISTRY_POLL, a second by default."
_UNCHANGED = "What is stored needs no change."


def check_secrets(snapshot: RegistrySnapshot) -> Iterator[Finding]:
    """Name the places where a secret is stored as it is; one line where there are none.

    :param snapshot: of a database. What is wrong with attributes of a resource is to be mended first, since a secret
        may be among those that nobody knows.
    """
    known = (resource for key, resource in snapshot.resources.items() if key in snapshot.parts)
    plain = sorted(f"{resource.name} {path}" for resource in known for path in plain_secrets_in(resource.body))
    if plain:
        reason = f"stored as they are, for whoever reads the database or a copy of it: {', '.join(plain)}"
        yield Finding("secrets", "warning", reason, remedies.PLAIN)
    else:
        yield Finding("secrets", "ok", "none is stored as it is")


def for_absent(snapshot: RegistrySnapshot, issues: Iterable[Issue]) -> Remedy:
    """What mends secrets that are not where they are looked for; nothing where anything else is among `issues`."""
    absent = {reading.fault: reference for reference, reading in snapshot.secrets.items() if reading.is_absent}
    references: dict[SecretReference, None] = {}
    for issue in issues:
        found = next((reference for fault, reference in absent.items() if issue.message.endswith(fault)), None)
        if found is None:
            return ()
        references[found] = None
    read = (_READ,) if any(reference.kind == "file" for reference in references) else ()
    return (*map(_put, references), *read, _UNCHANGED)


def _put(reference: SecretReference) -> str:
    name = printable(reference.name)
    if reference.kind == "file":
        return f"Put the secret into the file {name}, where the user that runs the app may read it."
    return f"Set the variable {name} for the app, and start it again; it must be set for this command too."
