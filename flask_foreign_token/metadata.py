"""The document that tells a client where tokens for this API come from (:rfc:`9728`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from urllib.parse import unquote, urlsplit

from .errors import ConfigError
from .http import check_url

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def check(resource: str, allow_http_hosts: Collection[str]) -> None:
    """Let `resource` pass as the identifier of an API (:rfc:`9728#section-2`).

    :param allow_http_hosts: see :func:`.check_url`.
    :raises ConfigError: it is not ``https``, and not at a host that may be called without TLS, or its path is one that
        no route can have.
    """
    try:
        check_url(resource, allow_http_hosts)
    except ValueError as reason:
        raise _unfit(str(reason)) from None
    if any(character in rule_of(resource) for character in "<>"):
        raise _unfit("must have no < or > in its path, encoded or not")


def path_of(resource: str) -> str:
    """Where the document for `resource` is found: the well-known part before its path (:rfc:`9728#section-3.1`)."""
    path = urlsplit(resource).path
    return WELL_KNOWN if path == "/" else WELL_KNOWN + path


def rule_of(resource: str) -> str:
    """:func:`path_of` as a route sees it, which is decoded."""
    return unquote(path_of(resource))


def address_of(resource: str) -> str:
    """The document's URL, on the host that `resource` names, whatever host a request names."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{path_of(resource)}"


def document(resource: str, issuers: Sequence[str], scopes: Sequence[str]) -> dict[str, object]:
    """The document; members without a value are left out (:rfc:`9728#section-3.2`).

    :param issuers: those whose tokens are accepted.
    :param scopes: those that guards ask for.
    """
    members = {
        "resource": resource,
        "bearer_methods_supported": ["header"],
        "authorization_servers": list(issuers),
        "scopes_supported": list(scopes),
    }
    return {name: value for name, value in members.items() if value}


def _unfit(reason: str) -> ConfigError:
    return ConfigError(f"FOREIGN_TOKEN_RESOURCE {reason}; this works: 'https://api.example.com'")
