"""The command that registers a provider by what it publishes about itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import click
from flask.cli import AppGroup

from ..diagnosis.admission import could_let_in
from ..diagnosis.remedies import UNREACHABLE, explained
from ..errors import ProviderUnavailable, Rejected
from ..introspection.discovery import IssuerMismatch, NoMetadata, ServerMetadata, discover
from ..registration import (
    Registration,
    offers_nothing_verifiable,
    policy_command,
    product_of,
    resources_of,
    users_policy,
)
from ..registry.edits import Edit, Outcome
from ..registry.resources import Key
from .columns import without_meta
from .current import application, catalog, program
from .failures import Failure, reasons
from .output import json_option, outcome_of, print_json, print_lines, print_note
from .quiet import quiet

NOTHING_STORED = "nothing was stored."

_NAMED = ("resourceType", "id")
# What stands in the line above the attributes.
_WIDTH = len("identity_provider.reference")

provider = AppGroup("provider", help="Register identity providers.")


@provider.command("add")
@click.argument("id_", metavar="ID")
@click.option("--issuer", metavar="URL", required=True, help="What the iss of its tokens is, character by character.")
@click.option("--backchannel", metavar="URL", help="Where the issuer is reached from here, if not at its own address.")
@click.option("--audience", "audiences", metavar="A", multiple=True, help="What aud must name; any of several.")
@click.option(
    "--client-id",
    "client_ids",
    metavar="C",
    multiple=True,
    help="Whom tokens must have been issued to, for providers whose tokens have no aud; any of several.",
)
@click.option("--system", metavar="S", help="The identifier system of its users; ID by default.")
@click.option("--replace", "overwrites", is_flag=True, help="Overwrite what is stored under the same ids.")
@json_option
def add(
    id_: str,
    issuer: str,
    backchannel: str | None,
    audiences: tuple[str, ...],
    client_ids: tuple[str, ...],
    system: str | None,
    overwrites: bool,
    as_json: bool,
) -> None:
    """Register the provider of an issuer, by what it publishes about itself.

    Reads the provider's discovery document and stores an IdentityProvider, ID, and a TokenIntrospector,
    ID-jwt-introspector. Their endpoints are those of the document; with --backchannel, those at the issuer's own
    address are stored as they are reached there.

    \b
    Example:
        flask foreign-token provider add keycloak --issuer http://localhost:8180/realms/myrealm --audience account
    """
    registration = Registration(id_, issuer, backchannel, system, audiences, client_ids)
    default_audience = application().settings.resource
    metadata = _discovered(registration, overwrites)
    if not audiences and not client_ids and default_audience is None:
        raise _no_audience(registration, metadata, overwrites)
    bodies = resources_of(registration, metadata)
    outcomes = _stored(bodies, overwrites)
    policies = [shown.body for shown in catalog().list("AccessPolicy")]
    lacks_policy = not could_let_in(policies, issuer)
    if as_json:
        _print_json(registration, outcomes, lacks_policy)
    else:
        print_lines([*_registered(bodies, outcomes, default_audience), *_lacking(registration, lacks_policy)])
    if offers_nothing_verifiable(metadata):
        print_note("the provider names the algorithms that it signs with, and none of them can be verified here")


def _discovered(registration: Registration, overwrites: bool) -> ServerMetadata:
    try:
        with quiet():
            return discover(application().runtime().http, registration.issuer, registration.backchannel)
    except IssuerMismatch as mismatch:
        called = registration.backchannel or registration.issuer
        command = _command(replace(registration, issuer=mismatch.named, backchannel=called), overwrites)
        raise Failure(
            NOTHING_STORED, *reasons(mismatch), "if that is the provider that you mean, type:", f"  {command}"
        ) from None
    except Rejected as rejected:
        issues = [f"--{issue}" if not issue.resource else str(issue) for issue in rejected.issues]
        raise Failure(NOTHING_STORED, *issues) from None
    except NoMetadata as missing:
        raise Failure(NOTHING_STORED, "there is no discovery document", *str(missing.hint).split("; ")) from None
    except ProviderUnavailable as unavailable:
        raise Failure(NOTHING_STORED, explained(unavailable), *(f"  {line}" for line in UNREACHABLE)) from None


def _no_audience(registration: Registration, metadata: ServerMetadata, overwrites: bool) -> Failure:
    command = _command(registration, overwrites, ["--audience", product_of(metadata).audience])
    return Failure(
        NOTHING_STORED,
        "no audience is named, so tokens that are meant for any other application would be taken.",
        "Name what the aud of tokens for this one holds (or set FOREIGN_TOKEN_RESOURCE):",
        f"  {command}",
    )


def _command(registration: Registration, overwrites: bool, more: Sequence[str] = ()) -> str:
    """The command that registers `registration`."""
    words = ["provider", "add", registration.id, "--issuer", registration.issuer]
    if registration.backchannel is not None:
        words += ["--backchannel", registration.backchannel]
    for audience in registration.audiences:
        words += ["--audience", audience]
    for client_id in registration.client_ids:
        words += ["--client-id", client_id]
    if registration.system is not None:
        words += ["--system", registration.system]
    words += ["--replace"] if overwrites else []
    return f"{program()} {shlex.join([*words, *more])}"


def _stored(bodies: Sequence[Mapping[str, object]], overwrites: bool) -> dict[Key, Outcome]:
    differing: dict[Key, str] = {}
    for body in bodies:
        key = _key_of(body)
        shown = catalog().get(key)
        if shown is not None and without_meta(shown.body) != body:
            differing[key] = shown.version
    if differing and not overwrites:
        names = ", ".join(map("/".join, differing))
        raise Failure(NOTHING_STORED, f"{names}: stored with other content; --replace overwrites it")
    try:
        return catalog().apply(Edit(upserts=bodies, expected=differing))
    except Rejected as rejected:
        raise Failure(NOTHING_STORED, *reasons(rejected)) from None


def _key_of(body: Mapping[str, object]) -> Key:
    """Not :func:`~.resources.identify`, since the id may be one that is refused later, with all that is wrong."""
    return str(body["resourceType"]), str(body["id"])


def _registered(
    bodies: Sequence[Mapping[str, object]], outcomes: Mapping[Key, Outcome], default_audience: str | None
) -> Iterator[str]:
    for body in bodies:
        key = _key_of(body)
        yield f"{outcomes[key]} {'/'.join(key)}"
        for name, value in body.items():
            if name not in _NAMED:
                yield from _attribute(name, value)
        jwt = body.get("jwt")
        if isinstance(jwt, Mapping) and not {"aud", "client_id"} & set(jwt):
            yield from _attribute("jwt.aud", f"{default_audience} (FOREIGN_TOKEN_RESOURCE)")


def _attribute(name: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _attribute(f"{name}.{inner}", item)
        return
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    yield f"  {name:<{_WIDTH}} {text}"


def _lacking(registration: Registration, lacks_policy: bool) -> Iterator[str]:
    yield ""
    if not lacks_policy:
        yield f"See whether it works: {program()} doctor {registration.id}"
        return
    yield "What still lacks is a policy that lets its users in. This one lets in all of them:"
    yield ""
    yield from policy_command(program(), registration.id, registration.issuer)


def _print_json(registration: Registration, outcomes: Mapping[Key, Outcome], lacks_policy: bool) -> None:
    stored = [outcome_of(key, outcome) for key, outcome in outcomes.items()]
    lacking = [users_policy(registration.id, registration.issuer)] if lacks_policy else []
    print_json({"stored": stored, "lacking": lacking})
