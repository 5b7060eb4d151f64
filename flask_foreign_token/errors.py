"""Every refusal, with its status and challenge (:rfc:`6750#section-3`).

A refusal is raised where it is found, as the precise class. It is a werkzeug ``HTTPException``, so that
``@app.errorhandler`` sees it and an application without handlers answers correctly. Texts are fixed or name a
check; they never hold a token, key, claim or address.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from werkzeug.datastructures import Headers
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    HTTPException,
    InternalServerError,
    ServiceUnavailable,
    Unauthorized,
)
from werkzeug.wrappers import Response

from .printable import printable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CHALLENGE_CHARACTERS = frozenset(map(chr, range(0x20, 0x7F))) - set('"\\')
"""What a challenge's attribute may hold (:rfc:`6750#section-3`)."""

REST = 5
"""Seconds after a failed exchange in which nothing is tried again; what ``Retry-After`` says."""


class Issue(NamedTuple):
    """One thing wrong with what somebody wrote.

    :param resource: ``"AccessPolicy/readers"``, a file's path, or ``""`` where neither is known.
    :param path: where in the resource, ``"jwt.iss"``; ``""`` for all of it.
    :param message: the reason, and what would work.
    """

    resource: str
    path: str
    message: str

    def __str__(self) -> str:
        place = " ".join(part for part in (self.resource, self.path) if part)
        # A row that was written by hand can be called anything, and this goes into logs.
        return f"{printable(place)}: {self.message}" if place else self.message

    def within(self, resource: str, path: str = "") -> Issue:
        """The same as seen from outside: `resource` named unless one is, `path` put before the path."""
        joined = ".".join(part for part in (path, self.path) if part)
        return self._replace(resource=self.resource or resource, path=joined)


class ConfigError(Exception):
    """A setting that is misspelt, of the wrong type or out of range; the text names it and a value that works."""


class Rejected(Exception):
    """What somebody wrote and must not be used: a resource, a registry, a pattern. What was in force stays so.

    :param issues: every fault found, not only the first.
    """

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__("\n".join(map(str, issues)))
        self.issues = tuple(issues)

    @classmethod
    def at(cls, path: str, message: str) -> Self:
        """One fault at `path` of a resource whose name the caller will add with :meth:`within`."""
        return cls([Issue("", path, message)])

    def within(self, resource: str, path: str = "") -> Self:
        """The same faults as seen from outside; see :meth:`.Issue.within`."""
        return type(self)([issue.within(resource, path) for issue in self.issues])


class NotStored(Rejected):
    """A resource that is to be changed or deleted is not stored."""


class Conflict(Exception):
    """A resource is not in the state that somebody expected: others changed it, deleted it or made it.

    :param key: of the resource, type and id.
    """

    def __init__(self, key: tuple[str, str]) -> None:
        super().__init__(f"{'/'.join(key)}: is not in the state that was expected; read it again")
        self.key = key


class Refusal(HTTPException):
    """A request that is turned away.

    :param description: which check failed, for the caller to read.
    :param hint: for the developer: resource, setting and the command that mends it; sent under ``app.debug`` only.

    ``realm`` and ``resource_metadata`` are the application's; the extension sets them before it lets a refusal go. It
    then gives it a ``decision_id`` too, by which the log tells what was decided: 16 hexadecimal digits. One that an app
    raises by itself has none.
    """

    error: str
    """The member ``error`` of the body."""
    challenged = True
    """Whether the answer carries ``WWW-Authenticate``."""
    challenge_error: str | None = None
    """The attribute ``error`` of the challenge; none without a credential (:rfc:`6750#section-3.1`)."""

    text: str | None = None
    """What is wrong, where the one who raises it does not say more."""

    realm = "api"
    resource_metadata: str | None = None

    def __init__(self, description: str | None = None, *, hint: str | None = None) -> None:
        super().__init__()
        self.description = description or self.text
        self.hint = hint
        self.advice: str | None = None
        """What the developer could do to find out more, where nothing is known to be wrong; sent as a hint, and logged
        nowhere."""
        self.show_hint = False
        self.decision_id: str | None = None

    def challenge(self) -> str:
        """The value of ``WWW-Authenticate``: each attribute once, in the characters the RFC allows.

        What an application's own text has beside them stands in the body alone.
        """
        attributes = [("realm", self.realm), *self.challenge_attributes()]
        if self.resource_metadata is not None:
            attributes.append(("resource_metadata", self.resource_metadata))
        readable = ((name, value) for name, value in attributes if value and CHALLENGE_CHARACTERS.issuperset(value))
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in readable)

    def challenge_attributes(self) -> list[tuple[str, str]]:
        if self.challenge_error is None:
            return []
        attributes = [("error", self.challenge_error)]
        if self.description:
            attributes.append(("error_description", self.description))
        return attributes

    def get_body(self, environ: WSGIEnvironment | None = None, scope: dict[str, Any] | None = None) -> str:
        body = {"error": self.error}
        if self.description:
            body["error_description"] = self.description
        if self.show_hint and (hint := self.hint or self.advice):
            body["hint"] = hint
        if self.decision_id is not None:
            body["decision_id"] = self.decision_id
        return json.dumps(body)

    def get_headers(
        self, environ: WSGIEnvironment | None = None, scope: dict[str, Any] | None = None
    ) -> list[tuple[str, str]]:
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        if self.challenged:
            headers.append(("WWW-Authenticate", self.challenge()))
        return [*headers, *self.further_headers()]

    def further_headers(self) -> list[tuple[str, str]]:
        """What the answer carries beside type, caching and challenge."""
        return []

    def get_response(self, environ: Any = None, scope: dict[str, Any] | None = None) -> Response:
        return Response(self.get_body(environ), self.code, Headers(self.get_headers(environ)))


class InvalidRequest(Refusal, BadRequest):
    """The header is malformed, there are two credentials, or it is over 16 KiB."""

    error = challenge_error = "invalid_request"


class AuthenticationRequired(Refusal, Unauthorized):
    """No credential came, and no policy lets anonymous callers in."""

    error = "unauthorized"
    text = "a bearer token is required"


class InvalidToken(Refusal, Unauthorized):
    """The token is wrong, expired, of an unknown issuer, or its user is inactive."""

    error = challenge_error = "invalid_token"


class AccessDenied(Refusal, Forbidden):
    """No policy allows the request."""

    error = "access_denied"


class InsufficientScope(Refusal, Forbidden):
    """The token lacks a scope.

    :param scope: the scopes that are needed, separated by single spaces (:rfc:`6750#section-3`).
    """

    error = challenge_error = "insufficient_scope"
    text = "the token lacks a scope that this request needs"

    def __init__(self, scope: str) -> None:
        super().__init__()
        self.scope = scope

    def challenge_attributes(self) -> list[tuple[str, str]]:
        return [*super().challenge_attributes(), ("scope", self.scope)]


class Unavailable(Refusal, ServiceUnavailable):
    """Something that is needed to decide cannot be had; nothing is known about the token."""

    error = "temporarily_unavailable"
    challenged = False

    def further_headers(self) -> list[tuple[str, str]]:
        return [("Retry-After", str(REST))]


class ProviderUnavailable(Unavailable):
    """An identity provider cannot be reached, answers nonsense, or refuses our own credential."""

    text = "the identity provider cannot be reached"


class RegistryUnavailable(Unavailable):
    """No registry could be loaded yet."""

    text = "the registry cannot be read"


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or our tables are not in it."""

    text = "the database cannot be reached"


class Misconfigured(Refusal, InternalServerError):
    """The application was put together so that a guard would not hold; closed until mended."""

    error = "server_error"
    challenged = False
    text = "the application is misconfigured"
