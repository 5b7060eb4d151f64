"""The one guarded way out: nothing in this package calls another host but through :class:`Http`.

Every exchange has a deadline, an answer has a limit and must be JSON, or a JWT where one is asked for, certificates are
always verified, and no answer sends us anywhere else. Environment variables for proxies and ``.netrc`` are not read.
"""

from __future__ import annotations

import http.client
import ipaddress
import logging
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from functools import partial
from urllib.parse import urlencode

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import HeaderParsingError, HTTPError, InvalidHeader, ProtocolError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from . import strict_json
from .connections import pool_manager, remaining
from .errors import ProviderUnavailable
from .fetches import Fetch, Kind, OnFetch, fetching, tell_nobody

_MIB = 1024 * 1024
MAX_BODY = _MIB
"""Bytes of an answer's body, where nobody says less."""

_PIECE = 16 * 1024

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r'(?:[/?][!"$-\[\]-~]*)?',
    re.ASCII | re.IGNORECASE,
)
_HOST_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*", re.ASCII)
_JSON_TYPE = re.compile(r"application/(?:[!#$&^_.+0-9a-z-]+\+)?json[ \t]*(?:;|\Z)", re.ASCII | re.IGNORECASE)
_JWT_TYPE = re.compile(r"application/jwt[ \t]*(?:;|\Z)", re.ASCII | re.IGNORECASE)
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)
_JSON_RATHER_THAN_JWT = "application/json, application/jwt;q=0.9"
_JSON = {"Accept": "application/json"}
_OWN_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "flask-foreign-token"}

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
    :param json: the parsed body of a 2xx answer in JSON, ``None`` of any other.
    :param refusal: the parsed body of a 4xx answer to a form, where it is a JSON object as OAuth errors are
        (:rfc:`6749#section-5.2`); ``None`` of any other.
    :param jwt: the body of a 2xx answer that calls itself a JWT, as it came: any ASCII text; ``None`` of any other.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    json: object = field(repr=False)
    refusal: Mapping[str, object] | None = field(default=None, repr=False)
    jwt: str | None = field(default=None, repr=False)


class UselessAnswer(ProviderUnavailable):
    """An answer came, and is of no use: encoded, not of the type that it must be, or too large.

    What is asked may be the reason, so that it says less about the provider than no answer does.
    """


class Http:
    """Calls identity providers, from any number of threads, over kept connections that never cross a fork.

    :param timeout: seconds, both above zero: until a connection stands and the request is sent, and for the whole
        exchange. Every single read and write is held to them, however slowly a server drips. Looking a name up counts
        as well, but cannot be broken off.
    :param allow_http_hosts: host names and addresses, without scheme and port, that may be called by plain ``http``.
    :param on_fetch: told of every :meth:`fetching`.
    :raises ValueError: an entry of `allow_http_hosts` is neither a host name nor an address.
    """

    def __init__(
        self,
        *,
        timeout: tuple[float, float] = (3.0, 5.0),
        allow_http_hosts: Collection[str] = ("localhost", "127.0.0.1", "::1"),
        on_fetch: OnFetch = tell_nobody,
    ) -> None:
        self._connect_timeout, self._total_timeout = timeout
        self._plain_hosts = frozenset(map(host_name, allow_http_hosts))
        self._managers: dict[int, PoolManager] = {}
        self._on_fetch = on_fetch

    def check_url(self, url: str) -> None:
        """See :func:`check_url`.

        :raises ValueError: `url` may not be called.
        """
        check_url(url, self._plain_hosts)

    def fetching(self, kind: Kind) -> AbstractContextManager[Fetch]:
        """A block in which something is fetched with this: one fetch to whoever counts them, of however many exchanges.

        It failed unless the block says otherwise.
        """
        return fetching(kind, self._on_fetch)

    def get(self, url: str, *, headers: Mapping[str, str] = {}, logs_useless: bool = True) -> Answer:
        """What `url` answers.

        :param logs_useless: whether the log is told of a :class:`UselessAnswer`. Who asks for strangers, as often as
            they like, says no and tells it now and then.
        :raises UselessAnswer: the answer is a 2xx that is encoded, not JSON or over 1 MiB.
        :raises ProviderUnavailable: there is no answer: refused by :meth:`check_url`, not reached, certificate not
            trusted, too late, or not in HTTP; or it is 3xx or 5xx.
        """
        return self._exchange("GET", url, headers, None, partial(_answer, max_body=MAX_BODY), logs_useless)

    def get_json_or_jwt(
        self,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        max_body: int = MAX_BODY,
        logs_useless: bool = True,
    ) -> Answer:
        """As :meth:`get`, where the answer may also be a JWT (``application/jwt``), which is for the caller to verify.

        :param max_body: bytes, in place of 1 MiB; whole KiB.
        :raises UselessAnswer: as for :meth:`get`, or it is a JWT that is not ASCII.
        :raises ProviderUnavailable: as for :meth:`get`.
        """
        headers = {**headers, "Accept": _JSON_RATHER_THAN_JWT}
        return self._exchange("GET", url, headers, None, partial(_answer_or_jwt, max_body=max_body), logs_useless)

    def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] = {},
        max_body: int = MAX_BODY,
        logs_useless: bool = True,
    ) -> Answer:
        """What `url` answers to `form`.

        A kept connection may be closed just as the request leaves; then the request is sent once more. So the form must
        be a question that may be asked twice, as an introspection is (:rfc:`9110#section-9.2.2`).

        :param max_body: bytes, in place of 1 MiB; whole KiB.
        :param logs_useless: as for :meth:`get`.
        :raises UselessAnswer: as for :meth:`get`.
        :raises ProviderUnavailable: as for :meth:`get`.
        """
        headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        read = partial(_answer_to_form, max_body=max_body)
        return self._exchange("POST", url, headers, urlencode(form).encode(), read, logs_useless)

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
        logs_useless: bool,
    ) -> Answer:
        try:
            host = check_url(url, self._plain_hosts)
        except ValueError as error:
            raise _unavailable("an address", str(error)) from None
        try:
            # urllib3 quotes the value that it refuses, and that may be a credential.
            if not all(map(_HEADER_VALUE.fullmatch, headers.values())):
                raise _Unusable("a header to send holds a character that none may hold")
            with closing(self._open(method, url, {**_JSON, **headers, **_OWN_HEADERS}, body)) as response:
                return read(response)
        except _Useless as useless:
            if logs_useless:
                log.warning("%s: %s", host, useless)
            raise UselessAnswer(hint=str(useless)) from None
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
                timeout=Timeout(connect=self._connect_timeout, total=remaining(deadline)),
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
        return self._managers.get(process) or self._managers.setdefault(process, pool_manager())


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
    """A request that must not be sent, or what is no answer in HTTP; the text is the reason."""


class _OutOfOrder(HTTPError):
    """Nobody can answer there, or somebody else does (:rfc:`9110#section-15`); the text is the reason."""


class _Useless(HTTPError):
    """An answer that came and must not be used; the text is the reason."""


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


def _answer(response: BaseHTTPResponse, *, max_body: int) -> Answer:
    headers = _headers(response)
    if 400 <= response.status < 500:
        return Answer(response.status, headers, None)
    if not 200 <= response.status < 300:
        raise _OutOfOrder(f"status {response.status}")
    return Answer(response.status, headers, _json(response, headers, max_body))


def _answer_or_jwt(response: BaseHTTPResponse, *, max_body: int) -> Answer:
    headers = _headers(response)
    if not 200 <= response.status < 300 or not _JWT_TYPE.match(headers.get("content-type", "")):
        return _answer(response, max_body=max_body)
    _check_encoding(headers)
    try:
        return Answer(response.status, headers, None, jwt=_body(response, max_body).decode("ascii"))
    except UnicodeDecodeError:
        raise _Useless("a JWT that is not ASCII") from None


def _answer_to_form(response: BaseHTTPResponse, *, max_body: int) -> Answer:
    answer = _answer(response, max_body=max_body)
    if answer.status < 400:
        return answer
    try:
        said = _json(response, answer.headers, max_body)
    except HTTPError:
        return answer
    return replace(answer, refusal=said) if isinstance(said, dict) else answer


def _headers(response: BaseHTTPResponse) -> Mapping[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _json(response: BaseHTTPResponse, headers: Mapping[str, str], max_body: int) -> object:
    _check_encoding(headers)
    if not _JSON_TYPE.match(headers.get("content-type", "")):
        raise _Useless("a body that does not call itself JSON")
    body = _body(response, max_body)
    try:
        return strict_json.loads(body)
    except ValueError as error:
        raise _Useless(str(error)) from None


def _check_encoding(headers: Mapping[str, str]) -> None:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _Useless("an encoded body")


def _body(response: BaseHTTPResponse, max_body: int) -> bytes:
    body = bytearray()
    while piece := _piece(response):
        body += piece
        if len(body) > max_body:
            raise _Useless(f"a body over {_size(max_body)}")
    return bytes(body)


def _size(octets: int) -> str:
    return f"{octets // 1024} KiB" if octets % _MIB else f"{octets // _MIB} MiB"


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
    if isinstance(error, _OutOfOrder | _Unusable):
        return str(error)
    cause = _cause(error)
    return next((words for kind, words in _REASONS if isinstance(cause, kind)), type(cause).__name__)


def _cause(error: HTTPError) -> BaseException:
    return next((argument for argument in error.args if isinstance(argument, BaseException)), error)
