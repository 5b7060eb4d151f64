"""What a policy sees of a request, built only as far as the policies look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TypeAlias

from ..introspection.token import Kind, Token
from ..peeking import brings_unannounced

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_BODY: Final = 1024 * 1024
"""Bytes of the largest body that policies look into."""

HIDDEN_HEADERS: Final = frozenset({"authorization", "cookie"})
"""What is credentials and not for policies to see."""

METHODS: Final = frozenset(
    {
        *("get", "post", "put", "delete", "patch", "options", "trace", "connect", "query"),
        # WebDAV and what is built on it.
        *("propfind", "proppatch", "mkcol", "copy", "move", "lock", "unlock", "search", "report", "mkcalendar", "acl"),
        *("bind", "unbind", "rebind", "link", "unlink", "merge", "mkactivity", "checkin", "checkout", "uncheckout"),
        *("label", "update", "version-control", "baseline-control", "orderpatch", "purge"),
    }
)
"""HTTP's methods as a policy sees them; HEAD reads as get."""

TEXTS: Final = frozenset({"request-method", "scheme", "uri", "query-string", "remote-addr"})
"""The parts that are one text."""

IDENTITY: Final = frozenset({"user", "client", "jwt", "token"})
"""The parts that say who asks."""

OBJECTS: Final = frozenset(
    {("params",), ("headers",), ("operation",), ("jwt",), ("token",), ("user",), ("user", "data"), ("client",)}
)
"""Paths at which nothing but an object can stand."""


class Arguments(Protocol):
    """The query: each name with all its values."""

    def lists(self) -> Iterable[tuple[str, list[str]]]: ...


class RequestFacts(Protocol):
    """The part of a werkzeug or Flask request that policies rest on."""

    @property
    def method(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query_string(self) -> bytes: ...
    @property
    def args(self) -> Arguments: ...
    @property
    def headers(self) -> Iterable[tuple[str, str]]: ...
    @property
    def remote_addr(self) -> str | None: ...
    @property
    def view_args(self) -> Mapping[str, object] | None: ...
    @property
    def endpoint(self) -> str | None: ...
    @property
    def is_json(self) -> bool: ...
    @property
    def content_length(self) -> int | None: ...
    @property
    def environ(self) -> WSGIEnvironment: ...
    def get_json(self) -> object: ...


class UnreadablePart(Exception):
    """A part of the request is there but cannot be read, so that nothing is known about it; it is not missing."""


_NOTHING_RAISED: Final[Mapping[object, str]] = MappingProxyType({})


class RequestView(dict[str, object]):
    """The request object of policies; ``view["jwt"]`` builds that part at its first use.

    A part that does not exist raises :class:`KeyError`, and nothing else does; one that cannot be built raises
    something else, so that a policy is denied rather than told that the part is missing. Only item access builds:
    ``in``, ``get`` and iteration show what was built so far.

    :param request: after routing.
    :param token: verified; none for an anonymous request.
    :param user: the User resource; none when the request has no user.
    """

    __slots__ = ("__dict__", "request", "token", "user")

    body_is_unreadable = False
    raised: Mapping[object, str] = _NOTHING_RAISED
    """The class of what a policy raised when it was asked about this request, by policy."""
    is_made: ClassVar[bool] = True
    """Whether somebody made the request, so that what a policy does wrong with it belongs in the log."""

    def __init__(self, request: RequestFacts, token: Token | None, user: Mapping[str, object] | None) -> None:
        self.request = request
        self.token = token
        self.user = user

    def __missing__(self, name: str) -> object:
        # As `_build`, without a call more for each part.
        build = _BUILDERS.get(name)
        if build is None:
            raise KeyError(name)
        try:
            part = build(self)
        except KeyError as error:
            raise UnreadablePart(name) from error
        if part is _ABSENT:
            raise KeyError(name)
        self[name] = part
        return part

    def complete(self) -> dict[str, object]:
        """Every part that exists.

        :raises UnreadablePart: the body cannot be read; so does reading it by name.
        """
        parts = {name: self[name] if name in self else self._build(name) for name in _BUILDERS}
        return {name: part for name, part in parts.items() if part is not _ABSENT}

    def existing(self) -> list[str]:
        """The names of the parts that exist; none is built for it that costs anything."""
        return [name for name in _BUILDERS if name in self or self._exists(name)]

    def _exists(self, name: str) -> bool:
        if name in _OF_BODY:
            return _has_body(self.request)
        return name in _ALWAYS or self._build(name) is not _ABSENT

    def _build(self, name: str) -> object:
        build = _BUILDERS.get(name)
        if build is None:
            return _ABSENT
        try:
            return build(self)
        except KeyError as error:
            raise UnreadablePart(name) from error


_ABSENT: Final = object()

_USUAL_METHODS: Final = {
    "GET": "get",
    "HEAD": "get",
    "POST": "post",
    "PUT": "put",
    "PATCH": "patch",
    "DELETE": "delete",
}

Builder: TypeAlias = Callable[[RequestView], object]


def method_of(method: str) -> str:
    """The method of a request as policies see it."""
    return _USUAL_METHODS.get(method) or _USUAL_METHODS.get(method.upper()) or method.lower()


def _method(view: RequestView) -> object:
    return method_of(view.request.method)


def _query_string(view: RequestView) -> object:
    return view.request.query_string.decode("utf-8", "replace")


def _params(view: RequestView) -> object:
    params: dict[str, object] = {
        name: values[0] if len(values) == 1 else values for name, values in view.request.args.lists()
    }
    for name, value in (view.request.view_args or {}).items():
        params[name] = _as_json(value)
    return params


def _as_json(value: object) -> object:
    """What a URL converter made of a part of the path, as JSON; text where JSON has no such type."""
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return str(value)


def _headers(view: RequestView) -> object:
    headers = ((name.lower(), value) for name, value in view.request.headers)
    return {name: value for name, value in headers if name not in HIDDEN_HEADERS}


def _remote_addr(view: RequestView) -> object:
    return _present(view.request.remote_addr)


def _body(view: RequestView) -> object:
    request = view.request
    if not _has_body(request):
        return _ABSENT
    if view.body_is_unreadable:
        raise UnreadablePart("body")
    # Until the parse has come back: the next policy that asks must not pay for another failure.
    view.body_is_unreadable = True
    # The view may read what is no JSON, or is not called so, in a way of its own.
    length = request.content_length
    if not request.is_json or not length or length > MAX_BODY:
        raise UnreadablePart("body")
    # The very parse that the view gets: werkzeug keeps the one that succeeded.
    body = request.get_json()
    view.body_is_unreadable = False
    return body


def _has_body(request: RequestFacts) -> bool:
    """:rfc:`9112#section-6`, and what HTTP/2 brings without a header."""
    if request.content_length or any(name.lower() == "transfer-encoding" for name, _ in request.headers):
        return True
    return brings_unannounced(request)


def _operation(view: RequestView) -> object:
    return _identified(view.request.endpoint)


def _token(view: RequestView) -> object:
    return _claims(view, "opaque")


def _client(view: RequestView) -> object:
    return _ABSENT if view.token is None else _identified(view.token.client_id)


def _jwt(view: RequestView) -> object:
    return _claims(view, "jwt")


def _claims(view: RequestView, kind: Kind) -> object:
    token = view.token
    return token.claims if token is not None and token.kind == kind else _ABSENT


def _user(view: RequestView) -> object:
    return _present(view.user)


def _identified(identifier: str | None) -> object:
    return _ABSENT if identifier is None else {"id": identifier}


def _present(part: object) -> object:
    return _ABSENT if part is None else part


# No read-only view of it, which would be slower to look into, and `attrgetter` since it is faster than a function.
_BUILDERS: Final[dict[str, Builder]] = {
    "request-method": _method,
    "scheme": attrgetter("request.scheme"),
    "uri": attrgetter("request.path"),
    "query-string": _query_string,
    "params": _params,
    "headers": _headers,
    "remote-addr": _remote_addr,
    "body": _body,
    "resource": _body,
    "operation": _operation,
    "jwt": _jwt,
    "token": _token,
    "user": _user,
    "client": _client,
}

_OF_BODY: Final = frozenset({"body", "resource"})
_ALWAYS: Final = frozenset({"request-method", "scheme", "uri", "query-string", "params", "headers"})

PARTS: Final = frozenset(_BUILDERS)
"""The names of all parts that a request can have."""
