"""Whether a provider lets this app ask about opaque tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from http import HTTPStatus

from ..errors import InvalidToken, ProviderUnavailable
from ..http import Http
from ..introspection.discovery import ServerMetadata
from ..introspection.introspection_endpoint import CredentialRefused, IntrospectionEndpoint
from ..printable import in_ascii
from ..registry.links import Linked
from . import remedies
from .commands import rewriting
from .discovered import Failures, Location
from .findings import Finding
from .remedies import Remedy
from .trust import secret_holder

_METHODS = "introspection_endpoint_auth_methods_supported"


def check_introspection(
    http: Http, link: Linked, metadata: ServerMetadata | None, failures: Failures, program: str
) -> Iterator[Finding]:
    """Ask the introspection endpoint about a token that nobody has.

    :param link: of an introspector of opaque tokens.
    :param metadata: what the provider publishes, if it does.
    :param program: how the command line is called, for remedies that are commands.
    """
    inquiry, name = link.inquiry, link.settings.name
    if inquiry is None:
        return
    location = Location.for_link(inquiry.endpoint, link)
    # A new one each time, since it remembers for a while that it was refused.
    endpoint = IntrospectionEndpoint(http, inquiry.endpoint, inquiry.authentication, owner=inquiry.owner)
    try:
        said = endpoint.ask(_made_up(link))
    except CredentialRefused as refused:
        reason = f"{name}: {location.shown}: {refused.fact}"
        remedy = _remedy_for_credential(link, refused.status, metadata)
        yield Finding("introspection", "failed", reason, remedy, rewriting(program, secret_holder(link)))
    except ProviderUnavailable as unavailable:
        yield failures.of("introspection", name, location, unavailable, remedies.INTROSPECTION)
    except InvalidToken as refusal:
        reason = f"{name}: {location.shown}: {refusal.description}"
        yield Finding("introspection", "warning", reason, remedies.for_introspection(str(refusal.description)))
    else:
        yield _answered(name, location, is_active=bool(said["active"]))


def _remedy_for_credential(link: Linked, status: int, metadata: ServerMetadata | None) -> Remedy:
    """What mends a credential that an introspection endpoint refuses.

    :param status: of its answer.
    """
    holder, own = "/".join(secret_holder(link)), link.settings.introspection_endpoint
    method = "introspection_endpoint.auth_method"
    if own is None:
        method = "client.auth-method"
        attributes = "client.id and client.secret"
    elif own.authorization is not None:
        attributes = "introspection_endpoint.authorization"
    else:
        attributes = "introspection_endpoint.client_id and introspection_endpoint.client_secret"
    lines = [f"Correct {attributes} of {holder}."]
    if own is None or own.authorization is None:
        lines.append(f"Or {method} there: client_secret_basic or client_secret_post{_taken_by(metadata)}.")
    if status == HTTPStatus.FORBIDDEN:
        lines.append("Status 403: it knows the client, and does not let it ask; allow that at the provider.")
    return (*lines, *remedies.CREDENTIAL)


def _taken_by(metadata: ServerMetadata | None) -> str:
    methods = None if metadata is None else metadata.texts(_METHODS)
    return f"; the provider takes {in_ascii(', '.join(methods))}" if methods else ""


def _made_up(link: Linked) -> str:
    """A token of the form that the introspector takes; nobody can have it."""
    return f"{link.settings.token_prefix or ''}{secrets.token_urlsafe(32)}"


def _answered(name: str, location: Location, *, is_active: bool) -> Finding:
    if is_active:
        reason = f"{name}: {location.shown} calls a made-up token active, so that anybody gets in"
        return Finding("introspection", "failed", reason, remedies.GULLIBLE)
    return Finding("introspection", "ok", f"{name}: {location.shown} lets it ask; a made-up token is not active")
