"""Secrets that resources refer to, read from variables and from files, within what the operator permits."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from secrets import compare_digest, token_hex
from types import MappingProxyType
from urllib.parse import unquote, unquote_plus

from sqlalchemy import URL

from ..errors import Issue
from ..introspection.static_keys import UnusableSecret
from ..settings import is_own
from .fields import SecretReference
from .resources import PlacedSecret, Resource
from .secrets import has_secrets, plain_secrets_in, references_in

MAX_OCTETS = 64 * 1024
"""Of the largest file or variable that is taken for a secret."""

_OF_THE_POD = "kubernetes.io"
# The folder in which Kubernetes mounts a pod's own credential.

_LONG = 8
# Characters from which on one of the app's own secrets is also found within what is read. A shorter one would be found
# in secrets that have nothing to do with it.

_LOGIN = re.compile(r"(://[^:/]*:([^@]*)@)")
# Where SQLAlchemy looks for a user and a password in the address of a database.

_PARAMETER = re.compile(r"[?&](?:password|passwd)=([^&#]*)")
_PASSWORDS = ("password", "passwd")

_ATTEMPTS = 3
# Links are switched and files replaced while they are read.


class Absence(Issue):
    """A fault that may end by itself: a secret is not where it is looked for, yet."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reference led to when it was followed.

    :param text: the secret; none: there is none to use.
    :param fault: why there is none.
    :param is_absent: whether it only is not there, and may come.
    :param generation: another one for each content, and in each process; says nothing of the content.
    """

    text: str | None = field(default=None, repr=False)
    fault: str = ""
    is_absent: bool = False
    generation: str = field(default_factory=lambda: token_hex(8), compare=False)


class SecretSources:
    """Follows references to secrets, as far as the operator permits.

    Whoever may write resources may have any secret that can be named here sent to an address of their choosing. So
    `folders` and `variables` bound what they can get hold of, and the app's own secrets are never among it: neither by
    the names of the extension's settings, nor what is, or holds, one of `own`.

    :param folders: absolute paths of the folders in which files may be named, or in folders below; not in one called
        ``kubernetes.io``, with the credential of the pod, unless that one or one below it is among them.
    :param variables: names of the variables that may be named, with ``*`` at the end for whatever follows; none: any.
    :param own: the settings that are, or hold, secrets of the app's own, asked for at each reading: texts, addresses of
        databases, options of engines, and lists of these; anything else is passed over.
    """

    def __init__(
        self,
        folders: Sequence[str],
        variables: Sequence[str] | None,
        environ: Mapping[str, str],
        own: Callable[[], Iterable[object]] = tuple,
    ) -> None:
        self.folders = tuple(folders)
        self._variables = None if variables is None else tuple(variables)
        self._environ = environ
        self._own = own

    @property
    def example(self) -> str:
        """A reference that could be written, for whoever wrote a secret."""
        return f'{{"file": "{self.folders[0]}/NAME"}}' if self.folders else '{"env": "NAME"}'

    def read(self, reference: SecretReference) -> Reading:
        """What `reference` leads to now. Nothing is remembered."""
        try:
            text = self._variable(reference) if reference.kind == "env" else self._file(reference)
            self._refuse_own(text)
            return Reading(text)
        except _Unreadable as unreadable:
            return Reading(fault=f"{reference} {unreadable}", is_absent=unreadable.is_absent)

    def _refuse_own(self, text: str) -> None:
        octets = text.encode().strip()
        # Each is looked for, so that the time does not say which it was.
        found = [_is_in(octets, secret) for setting in self._own() for secret in _secrets_of(setting)]
        if any(found):
            raise _Unreadable("is a secret of the app's own, which no resource may name")

    def _variable(self, reference: SecretReference) -> str:
        if not self._permits(reference.name):
            raise _Unreadable("must not be named; FOREIGN_TOKEN_SECRET_ENV says which may, and no FOREIGN_TOKEN_* can")
        value = self._environ.get(reference.name)
        if value is None:
            raise _Unreadable("is not set", is_absent=True)
        return _text(value.encode(errors="surrogateescape"))

    def _permits(self, name: str) -> bool:
        if is_own(name):
            return False
        if self._variables is None:
            return True
        return any(name.startswith(entry[:-1]) if entry.endswith("*") else name == entry for entry in self._variables)

    def _file(self, reference: SecretReference) -> str:
        text = _text(self._content(reference.name))
        # An editor and `echo` put one there.
        return text[:-2] if text.endswith("\r\n") else text.removesuffix("\n")

    def _content(self, path: str, attempts: int = _ATTEMPTS) -> bytes:
        real = os.path.realpath(path)
        folder = self._folder_of(real)
        try:
            return _read_beneath(folder, PurePath(real).relative_to(folder).parts)
        except OSError as error:
            if attempts > 1 and os.path.realpath(path) != real:
                return self._content(path, attempts - 1)
            raise _Unreadable(f"cannot be read: {error.strerror}", is_absent=True) from None

    def _folder_of(self, real: str) -> str:
        """The real path of the folder in which the file with the real path `real` may be named."""
        path = PurePath(real)
        above = [folder for folder in map(os.path.realpath, self.folders) if path.is_relative_to(folder)]
        for folder in above:
            if _OF_THE_POD not in path.relative_to(folder).parts[:-1]:
                return folder
        if above:
            raise _Unreadable(
                f"is below a folder {_OF_THE_POD}, where the pod's own credential is; who wants it to be named gives "
                "that folder itself in FOREIGN_TOKEN_SECRET_DIRS"
            )
        raise _Unreadable("is in none of the folders of FOREIGN_TOKEN_SECRET_DIRS, links followed")


NOTHING_TO_NAME = SecretSources((), (), MappingProxyType({}))
"""Sources of which no reference may name any."""


def stored_version(version: str) -> str:
    """A version of :meth:`Readings.version_of` without the generations, which differ from process to process."""
    return version.partition("~")[0]


class Readings:
    """Where each reference leads, followed once, so that all who ask within one snapshot get the same answer.

    :param known: from before; what still reads the same keeps its generation.
    """

    def __init__(self, sources: SecretSources, known: Mapping[SecretReference, Reading] = MappingProxyType({})) -> None:
        self._sources = sources
        self._known = known
        self._read: dict[SecretReference, Reading] = {}

    def of(self, reference: SecretReference) -> Reading:
        """Where `reference` leads."""
        if reference not in self._read:
            now = self._sources.read(reference)
            before = self._known.get(reference)
            self._read[reference] = before if before is not None and before == now else now
        return self._read[reference]

    def text(self, secret: PlacedSecret) -> str:
        """The secret that `secret` is or refers to.

        :raises UnusableSecret: there is none; the path is empty. The issue is an :class:`Absence` where one may come.
        """
        if isinstance(secret, str):
            return secret
        reading = self.of(secret)
        if reading.text is None:
            raise UnusableSecret([_issue(reading)])
        return reading.text

    def version_of(self, resource: Resource) -> str:
        """The version of what is made of `resource`: its own, and the generations of the secrets that it refers to."""
        if not has_secrets(resource.type):
            return resource.version
        references = references_in(resource.body).values()
        return "~".join([resource.version, *(self.of(reference).generation for reference in references)])

    def faults_of(self, resource: Resource) -> Iterator[Issue]:
        """What is wrong with the references in `resource`; an :class:`Absence` where that may end by itself."""
        if not has_secrets(resource.type):
            return
        for path, reference in references_in(resource.body).items():
            reading = self.of(reference)
            if reading.text is None:
                yield _issue(reading)._replace(resource=resource.name, path=path)

    @property
    def read(self) -> Mapping[SecretReference, Reading]:
        """All that were followed."""
        return MappingProxyType(self._read)


def secret_warnings(name: str, body: Mapping[str, object], sources: SecretSources, *, is_kept: bool) -> list[Issue]:
    """What is probably not meant in the secrets of a resource: those that are not there yet, and those that are
    written out.

    :param name: of the resource.
    :param is_kept: whether what is written is kept for long, in a database with a history, so that a secret should be
        elsewhere.
    """
    for_now = "; until it is there, no token can be checked with it"
    absent = [
        Issue(name, path, f"{reading.fault}{for_now}")
        for path, reading in ((path, sources.read(reference)) for path, reference in references_in(body).items())
        if reading.is_absent
    ]
    advice = f"is kept as it stands, in the history too; {sources.example} names where it is instead"
    plain = [Issue(name, path, advice) for path in (plain_secrets_in(body) if is_kept else ())]
    return [*absent, *plain]


def _issue(reading: Reading) -> Issue:
    return (Absence if reading.is_absent else Issue)("", "", reading.fault)


class _Unreadable(Exception):
    """A reference that leads to no secret; the text says why, after the reference."""

    def __init__(self, reason: str, *, is_absent: bool = False) -> None:
        super().__init__(reason)
        self.is_absent = is_absent


def _secrets_of(setting: object) -> Iterator[str | bytes]:
    """What is secret in a setting of the app: of an address of a database, itself and its password; of options, the
    addresses and passwords."""
    match setting:
        case bytes():
            yield setting
        case str():
            yield from _secrets_of_text(setting)
        case URL():
            yield from _secrets_of_text(setting.render_as_string(hide_password=False))
        case Mapping():
            for name, value in setting.items():
                is_address = isinstance(value, URL) or (isinstance(value, str) and "://" in value)
                if is_address or isinstance(value, Mapping) or name in _PASSWORDS:
                    yield from _secrets_of(value)
        case list() | tuple() | set():
            for value in setting:
                yield from _secrets_of(value)


def _secrets_of_text(text: str) -> Iterator[str]:
    yield text
    for login, password in _LOGIN.findall(text):
        # With a password of a few characters, what stands before it makes it long enough.
        yield from (login, password, unquote(password)) if password else ()
    for password in _PARAMETER.findall(text):
        yield from (password, unquote_plus(password))


def _is_in(octets: bytes, secret: str | bytes) -> bool:
    """Whether `octets` are the secret, or hold it where it is long enough; blanks around either do not matter."""
    bare = secret.strip()
    sought = bare if isinstance(bare, bytes) else bare.encode(errors="surrogatepass")
    if len(bare) >= _LONG:
        return sought in octets
    return bool(sought) and compare_digest(sought, octets)


def _text(octets: bytes) -> str:
    if len(octets) > MAX_OCTETS:
        raise _Unreadable(f"holds more than {MAX_OCTETS // 1024} KiB")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise _Unreadable("does not hold text in UTF-8") from None


def _read_beneath(folder: str, names: Sequence[str]) -> bytes:
    """The content of a regular file, as far as it is looked at.

    Every step is made from the folder before and follows no link: what is put in another's place meanwhile leads
    nowhere.

    :param folder: where to begin, without a link in its path.
    :param names: of the folders below, and of the file.
    :raises OSError: it cannot be opened, or a link stands somewhere.
    """
    if os.open not in os.supports_dir_fd:
        raise _Unreadable("cannot be read safely on this system; name a variable")
    if not names:
        raise _Unreadable("is a folder")
    here = os.open(folder, _folder_flags())
    try:
        for name in names[:-1]:
            above, here = here, os.open(name, _folder_flags(), dir_fd=here)
            os.close(above)
        # A pipe would wait for somebody to write.
        file = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=here)
    finally:
        os.close(here)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise _Unreadable("is not a regular file")
        with os.fdopen(file, "rb", closefd=False) as opened:
            return opened.read(MAX_OCTETS + 1)
    finally:
        os.close(file)


def _folder_flags() -> int:
    # Whether what is in a folder may be listed is of no matter.
    listing = getattr(os, "O_PATH", os.O_RDONLY)
    return int(listing) | os.O_DIRECTORY | os.O_NOFOLLOW
