"""Addresses of a provider: whose they are, and where they are called from here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

_PORTS: Mapping[str, int] = MappingProxyType({"http": 80, "https": 443})
_OWN_HOSTS = ("127.0.0.1", "::1")


class _Address(NamedTuple):
    """
    :param host: its name or number, without brackets.
    :param origin: in the form in which origins are compared.
    :param path: as it is written.
    :param target: all that is written after the host and its port.
    """

    host: str
    origin: str
    path: str
    target: str


def origin_of(address: str) -> str:
    """Scheme, host and port of `address`, in the form in which origins are compared (:rfc:`6454#section-4`).

    :return: without the scheme's own port; empty: this is no address of ``http`` or ``https``.
    """
    read = _read(address)
    return "" if read is None else read.origin


def may_lead_elsewhere(address: str) -> bool:
    """Whether another machine, or a container, may understand the host of `address` otherwise than this one."""
    read = _read(address)
    return read is not None and (read.host in _OWN_HOSTS or not set(".:") & set(read.host))


def at_origin_of(endpoint: str, issuer: str) -> str:
    """The address with the path of `issuer` at the host of `endpoint`; empty: one of the two is no address."""
    there, named = _read(endpoint), _read(issuer)
    return "" if there is None or named is None else there.origin + named.path


def at_backchannel(address: str, issuer: str, backchannel: str | None) -> str:
    """Where `address`, an endpoint of `issuer`, is to be called.

    :param backchannel: the address at which the issuer is reached from here.
    """
    if backchannel is None:
        return address
    public, private = issuer.rstrip("/"), backchannel.rstrip("/")
    called, named, reached = _read(address), _read(public), _read(private)
    if called is None or named is None or reached is None:
        return address
    if address == public or address.startswith(f"{public}/"):
        return private + address.removeprefix(public)
    # Endpoints beside the issuer's path rather than below it.
    if named.path == reached.path and called.origin == named.origin:
        return private.removesuffix(reached.target) + called.target
    return address


def _read(address: str) -> _Address | None:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    suffix = "" if port in (None, _PORTS[parts.scheme]) else f":{port}"
    written = f"{parts.scheme}://{parts.netloc}"
    return _Address(parts.hostname, f"{parts.scheme}://{host}{suffix}", parts.path, address[len(written) :])
