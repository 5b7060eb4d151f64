"""The document that tells a client where tokens for this API come from (:rfc:`9728`)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

WELL_KNOWN = "/.well-known/oauth-protected-resource"


def path_of(resource: str) -> str:
    """Where the document for `resource` is served: the well-known part before its path (:rfc:`9728#section-3`)."""
    return WELL_KNOWN + urlsplit(resource).path.removesuffix("/")


def address_of(resource: str) -> str:
    """The document's URL, on the host that `resource` names, whatever host a request names."""
    parts = urlsplit(resource)
    return f"{parts.scheme}://{parts.netloc}{path_of(resource)}"


def document(resource: str, issuers: Sequence[str]) -> dict[str, object]:
    """The document; members without a value are left out (:rfc:`9728#section-3.2`).

    :param issuers: those whose tokens are accepted.
    """
    members: dict[str, object] = {"resource": resource, "bearer_methods_supported": ["header"]}
    if issuers:
        members["authorization_servers"] = list(issuers)
    return members
