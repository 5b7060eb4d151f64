"""What the operator's REST API refuses, in the form of every other refusal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import (
    BadRequest,
    Conflict,
    Forbidden,
    Gone,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    RequestEntityTooLarge,
    TooManyRequests,
    UnprocessableEntity,
    UnsupportedMediaType,
)

from ..errors import AuthenticationRequired, Issue, Refusal
from .preferences import STRICT

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class OperatorRequired(AuthenticationRequired):
    """Nobody has signed in, or not with what the operator signs in with."""

    text = "the operator signs in with Basic, and a bearer token needs a policy with a link to this operation"

    def further_headers(self) -> list[tuple[str, str]]:
        # A second one, since not every client finds its scheme among several in one (RFC 9110, section 11.6.1).
        return [("WWW-Authenticate", f'Basic realm="{self.realm}", charset="UTF-8"')]


class CrossSite(Refusal, Forbidden):
    """A page of another site made the operator's browser ask."""

    error = "access_denied"
    challenged = False
    text = "a page of another site may not use the operator's credentials"


class TooManyAttempts(Refusal, TooManyRequests):
    """Passwords were tried.

    :param wait: seconds until the next one is looked at, 1 or more.
    """

    error = "too_many_requests"
    challenged = False

    def __init__(self, wait: int) -> None:
        super().__init__(f"too many wrong passwords came from this address; none is looked at for {wait} seconds")
        self.wait = wait

    def further_headers(self) -> list[tuple[str, str]]:
        return [("Retry-After", str(self.wait))]


class Absent(Refusal, NotFound):
    """There is no such resource."""

    error = "not_found"
    challenged = False
    text = "there is no such resource"


class Deleted(Refusal, Gone):
    """In this version the resource is deleted (:rfc:`9110#section-15.5.11`)."""

    error = "gone"
    challenged = False
    text = "in this version the resource is deleted"


class ReadOnly(Refusal, MethodNotAllowed):
    """The resource is kept where this API does not write."""

    error = "method_not_allowed"
    challenged = False
    text = "the registry is a file, which only `flask foreign-token` and an editor change"

    def further_headers(self) -> list[tuple[str, str]]:
        return [("Allow", "GET, HEAD, OPTIONS")]


class NoneAcceptable(Refusal, NotAcceptable):
    """The caller takes neither JSON nor YAML."""

    error = "not_acceptable"
    challenged = False
    text = "answers are application/json or application/yaml"


class Changed(Refusal, PreconditionFailed):
    """What the caller expects of the resource is not so (:rfc:`9110#section-13.1`)."""

    error = "precondition_failed"
    challenged = False
    text = "the resource is not in the state that If-Match or If-None-Match asks for"


class Incomplete(Refusal, BadRequest):
    """The body ended before it was all there, so that what came may say something else than what was meant."""

    error = "incomplete_body"
    challenged = False
    text = "the body ended early: it is not as long as Content-Length says, or its last chunk did not come"


class TooLarge(Refusal, RequestEntityTooLarge):
    """The body is longer than any resource."""

    error = "content_too_large"
    challenged = False
    text = "the body is over 1 MiB, or over MAX_CONTENT_LENGTH"


class UnknownMediaType(Refusal, UnsupportedMediaType):
    """The body is neither JSON nor YAML."""

    error = "unsupported_media_type"
    challenged = False
    text = "send Content-Type: text/yaml or application/json, in UTF-8"


MAX_ISSUES = 100
"""Faults that an answer names."""


class _WithIssues(Refusal):
    """Has faults to name.

    :param issues: every fault found; the answer names the first :data:`MAX_ISSUES`.
    :param addressed: the resource that the request is about, ``"AccessPolicy/readers"``; issues name others only.
    """

    challenged = False

    def __init__(self, issues: Sequence[Issue], addressed: str = "") -> None:
        self.issues = tuple(issues[:MAX_ISSUES])
        more = [f"and {len(issues) - MAX_ISSUES} more"] if len(issues) > MAX_ISSUES else []
        super().__init__("nothing was changed: " + "; ".join([*map(str, self.issues), *more]))
        self.addressed = addressed

    def get_body(self, environ: WSGIEnvironment | None = None, scope: dict[str, Any] | None = None) -> str:
        body = json.loads(super().get_body(environ, scope))
        return json.dumps({**body, "issues": [self._shown(issue) for issue in self.issues]})

    def _shown(self, issue: Issue) -> dict[str, str]:
        shown = {"path": issue.path, "message": issue.message}
        if issue.resource and issue.resource != self.addressed:
            shown["resource"] = issue.resource
        return shown


class Conflicting(_WithIssues, Conflict):
    """What is stored stands in the way: the id is taken, or others refer to what is to be deleted."""

    error = "conflict"


class Unprocessable(_WithIssues, UnprocessableEntity):
    """What was sent cannot be used.

    :param strict: whether what is probably not meant was refused as well, as the caller prefers.
    """

    error = "unprocessable"

    def __init__(self, issues: Sequence[Issue], addressed: str = "", *, strict: bool = False) -> None:
        super().__init__(issues, addressed)
        self.strict = strict

    def further_headers(self) -> list[tuple[str, str]]:
        return [("Preference-Applied", STRICT)] if self.strict else []
