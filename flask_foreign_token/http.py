"""The one guarded way out: nothing in this package calls another host but through :class:`Http`.

Every exchange has a deadline, an answer has a limit and must be JSON, certificates are always verified, and no answer
sends us anywhere else. Environment variables for proxies and ``.netrc`` are not read.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import logging
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HeaderParsingError, HTTPError, InvalidHeader, ProtocolError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError
from urllib3.util.response import assert_header_parsing

from . import strict_json
from .errors import ProviderUnavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_BODY = 1024 * 1024
"""Bytes of an answer's body."""

_PIECE = 16 * 1024
_KEPT = 16
"""Connections to one host that stay open when nothing is asked."""

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r'(?:[/?][!"$-\[\]-~]*)?',
    re.ASCII | re.IGNORECASE,
)
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_JSON_TYPE = re.compile(r"application/(?:[!#$&^_.+0-9a-z-]+\+)?json[ \t]*(?:;|\Z)", re.ASCII | re.IGNORECASE)
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)
_OWN_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "flask-foreign-token"}

# The first that fits.
_REASONS: Sequence[tuple[type[BaseException] | tuple[type[BaseException], ...], str]] = (
    (socket.gaierror, "no host of that name is known here"),
    (ConnectionRefusedError, "the connection is refused"),
    ((TimeoutError, Urllib3TimeoutError), "no answer in time"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted"),
    (ssl.SSLError, "no TLS can be agreed upon"),
    (ConnectionError, "the connection was closed before an answer came"),
    (http.client.IncompleteRead, "an answer that ends too early"),
    ((http.client.HTTPException, HeaderParsingError, InvalidHeader), "an answer in malformed HTTP"),
    (OSError, "no way leads there"),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered.

    :param status: 200 to 299 or 400 to 499.
    :param headers: names in lower case; the values of a repeated name are joined with ``", "``.
    :param json: the parsed body of a 2xx answer, ``None`` of any other.
    :param refusal: the parsed body of a 4xx answer to a form, where it is a JSON object as OAuth errors are
        (:rfc:`6749#section-5.2`); ``None`` of any other.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    json: object = field(repr=False)
    refusal: Mapping[str, object] | None = field(default=None, repr=False)


class Http:
    """Calls identity providers, from any number of threads, over kept connections that never cross a fork.

    :param timeout: seconds, both above zero: until a connection stands and the request is sent, and for the whole
        exchange. Every single read and write is held to them, however slowly a server drips. Looking a name up counts
        as well, but cannot be broken off.
    :param allow_http_hosts: host names and addresses, without scheme and port, that may be called by plain ``http``.
    :raises ValueError: an entry of `allow_http_hosts` is neither a host name nor an address.
    """

    def __init__(
        self,
        *,
        timeout: tuple[float, float] = (3.0, 5.0),
        allow_http_hosts: Collection[str] = ("localhost", "127.0.0.1", "::1"),
    ) -> None:
        self._connect_timeout, self._total_timeout = timeout
        self._plain_hosts = frozenset(map(host_name, allow_http_hosts))
        self._managers: dict[int, PoolManager] = {}

    def check_url(self, url: str) -> None:
        """See :func:`check_url`.

        :raises ValueError: `url` may not be called.
        """
        check_url(url, self._plain_hosts)

    def get(self, url: str, *, headers: Mapping[str, str] = {}) -> Answer:
        """What `url` answers.

        :raises ProviderUnavailable: there is no answer, or none of use: refused by :meth:`check_url`, not reached,
            certificate not trusted, too late, neither 2xx nor 4xx, or a 2xx that is encoded, not JSON or over 1 MiB.
        """
        return self._exchange("GET", url, headers, None, _answer)

    def post_form(self, url: str, form: Mapping[str, str], *, headers: Mapping[str, str] = {}) -> Answer:
        """What `url` answers to `form`.

        A kept connection may be closed just as the request leaves; then the request is sent once more. So the form must
        be a question that may be asked twice, as an introspection is (:rfc:`9110#section-9.2.2`).

        :raises ProviderUnavailable: as for :meth:`get`.
        """
        content_type = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._exchange("POST", url, {**headers, **content_type}, urlencode(form).encode(), _answer_to_form)

    def close(self) -> None:
        """Close the kept connections; the next call opens new ones."""
        manager = self._managers.pop(os.getpid(), None)
        if manager is not None:
            manager.clear()

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        read: Callable[[BaseHTTPResponse], Answer],
    ) -> Answer:
        try:
            host = check_url(url, self._plain_hosts)
        except ValueError as error:
            raise _unavailable("an address", str(error)) from None
        try:
            # urllib3 quotes the value that it refuses, and that may be a credential.
            if not all(map(_HEADER_VALUE.fullmatch, headers.values())):
                raise _Unusable("a header to send holds a character that none may hold")
            with closing(self._open(method, url, {**headers, **_OWN_HEADERS}, body)) as response:
                return read(response)
        except HTTPError as error:
            raise _unavailable(host, _reason(error)) from None

    def _open(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> BaseHTTPResponse:
        manager = self._manager()
        deadline = time.monotonic() + self._total_timeout

        def send() -> BaseHTTPResponse:
            return manager.urlopen(
                method,
                url,
                headers=headers,
                body=body,
                timeout=Timeout(connect=self._connect_timeout, total=_remaining(deadline)),
                preload_content=False,
                redirect=False,
                retries=False,
            )

        try:
            return send()
        except ProtocolError as error:
            if not isinstance(_cause(error), ConnectionResetError):
                raise
        # It looks like this when the server closes a kept connection while our request is on its way.
        return send()

    def _manager(self) -> PoolManager:
        # By process, since a child must not speak on its parent's connections; and without a lock, since a fork could
        # leave it locked: of two that are made at once, one is never used.
        process = os.getpid()
        return self._managers.get(process) or self._managers.setdefault(process, _pool_manager())


def check_url(url: str, allow_http_hosts: Collection[str]) -> str:
    """Let `url` pass if it may be called at all: ``https``, or ``http`` to an allowed host.

    :param allow_http_hosts: in the form of :func:`host_name`.
    :return: its host in that form.
    :raises ValueError: it may not; the text is the reason and holds no part of `url`.
    """
    match = _URL.fullmatch(url)
    host = _normalized(match["host"]) if match else ""
    if not match or not host or not 0 < int(match["port"] or 443) < 65536:
        raise ValueError("must be https://host[:port]/path in ASCII, without user, password and fragment")
    if match["scheme"].lower() == "http" and host not in allow_http_hosts:
        raise ValueError("must be https; plain http is for the hosts in FOREIGN_TOKEN_ALLOW_HTTP_HOSTS only")
    return host


class _Unusable(HTTPError):
    """An answer that came and must not be used, or a request that must not be sent; the text is the reason."""


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until `deadline`, where a timeout alone would begin anew with every byte."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: float) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._sock.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # The connection has just given the socket what remains of the exchange.
        deadline = time.monotonic() + (sock.gettimeout() or 0)
        self.fp = io.BufferedReader(_DeadlineReader(sock, self.fp.detach(), deadline))

    def begin(self) -> None:
        super().begin()
        # Before urllib3 does the same, only to log the whole address and go on.
        assert_header_parsing(self.msg)


class _HttpConnection(HTTPConnection):
    response_class = _Response

    @property
    def timeout(self) -> float | None:
        """Seconds that remain. urllib3 sets the limit of each phase and asks for it before each step."""
        return _remaining(self._deadline)

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._deadline = time.monotonic() + (seconds or 0)

    def _new_conn(self) -> socket.socket:
        # urllib3 grants every address of a name the whole time; here they share it.
        addresses = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        for left, (*_, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                sock = socket.create_connection((str(address[0]), self.port), _remaining(self._deadline) / left)
            except OSError:
                if left == 1:
                    raise
            else:
                break
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self.timeout)
        return sock

    def send(self, data: Any) -> None:
        # In pieces of one TLS record: each of those has a timeout of its own.
        for start in range(0, len(data), _PIECE):
            if self.sock is not None:
                self.sock.settimeout(self.timeout)
            super().send(data[start : start + _PIECE])


class _HttpsConnection(_HttpConnection, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _pool_manager() -> PoolManager:
    manager = PoolManager(
        maxsize=_KEPT,
        # What a connection starts with; each request brings its own.
        timeout=Timeout(total=1),
        ssl_context=ssl.create_default_context(),
        cert_reqs=ssl.CERT_REQUIRED,
    )
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return manager


def _remaining(deadline: float) -> float:
    # Never zero, which would make a socket non-blocking.
    return max(deadline - time.monotonic(), 0.001)


def _normalized(host: str) -> str:
    """`host` in the form in which hosts are compared, or ``""`` if it is none."""
    name = host.lower().removesuffix(".")
    if _HOST_NAME.fullmatch(name):
        return name
    try:
        return ipaddress.IPv6Address(name.removeprefix("[").removesuffix("]")).compressed
    except ValueError:
        return ""


def host_name(text: str) -> str:
    """`text` in the form in which hosts are compared.

    :raises ValueError: it is neither a host name nor an IPv6 address.
    """
    host = _normalized(text)
    if not host:
        raise ValueError("is neither a host name nor an address, without scheme and port")
    return host


def _answer(response: BaseHTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if 400 <= response.status < 500:
        return Answer(response.status, headers, None)
    if not 200 <= response.status < 300:
        raise _Unusable(f"status {response.status}")
    return Answer(response.status, headers, _json(response, headers))


def _answer_to_form(response: BaseHTTPResponse) -> Answer:
    answer = _answer(response)
    if answer.status < 400:
        return answer
    try:
        said = _json(response, answer.headers)
    except HTTPError:
        return answer
    return replace(answer, refusal=said) if isinstance(said, dict) else answer


def _json(response: BaseHTTPResponse, headers: Mapping[str, str]) -> object:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _Unusable("an encoded body")
    if not _JSON_TYPE.match(headers.get("content-type", "")):
        raise _Unusable("a body that does not call itself JSON")
    body = _body(response)
    try:
        return strict_json.loads(body)
    except ValueError as error:
        raise _Unusable(str(error)) from None


def _body(response: BaseHTTPResponse) -> bytes:
    body = bytearray()
    while piece := _piece(response):
        body += piece
        if len(body) > MAX_BODY:
            raise _Unusable("a body over 1 MiB")
    return bytes(body)


def _piece(response: BaseHTTPResponse) -> bytes:
    try:
        return response.read(_PIECE, decode_content=False)
    except ValueError:
        # http.client believes a chunk that says it has fewer than no bytes.
        raise _Unusable("a body in malformed chunks") from None


def _unavailable(place: str, reason: str) -> ProviderUnavailable:
    log.warning("%s: %s", place, reason)
    return ProviderUnavailable(hint=reason)


def _reason(error: HTTPError) -> str:
    if isinstance(error, _Unusable):
        return str(error)
    cause = _cause(error)
    return next((words for kind, words in _REASONS if isinstance(cause, kind)), type(cause).__name__)


def _cause(error: HTTPError) -> BaseException:
    return next((argument for argument in error.args if isinstance(argument, BaseException)), error)
