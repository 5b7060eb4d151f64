"""The command that registers a provider by what it publishes about itself."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import click
from flask.cli import AppGroup

from ..diagnosis.admission import admissions
from ..diagnosis.remedies import for_outage, reason_of
from ..errors import Conflict, ProviderUnavailable, Rejected
from ..introspection.discovery import IssuerMismatch, NoMetadata, ServerMetadata, check_addresses, discover
from ..registration import (
    Registration,
    activation_command,
    addition_command,
    introspector_id,
    offers_nothing_verifiable,
    policy_command,
    product_of,
    resources_of,
    updated,
    users_policy,
)
from ..registry.catalog import Shown
from ..registry.edits import ABSENT, Edit, Outcome
from ..registry.plan import Change, differences
from ..registry.resources import Key
from ..registry.schemas import ID, NO_ID
from .asking import answer, can_ask
from .columns import at, provider_of, without_meta
from .current import application, author, catalog, program
from .failures import Failure, reasons
from .output import entry, json_option, print_json, print_lines, print_note
from .plan import for_programs, lines_of, print_change
from .progress import progress
from .quiet import quiet

NOTHING_STORED = "nothing was stored."

_NAMED = ("resourceType", "id")
# What stands in the line above the attributes.
_WIDTH = len("identity_provider.reference")
_INDENT = 4
_ANSWERS = "the host answers, so see that the path is right: in Keycloak, /realms/NAME"
_NOT_PRINTABLE = "must hold printable characters only"
_PRINTABLE = (str.isprintable, _NOT_PRINTABLE)

provider = AppGroup("provider", help="Register identity providers.")


@provider.command("add", short_help="Register a provider by its issuer.")
@click.argument("id_", metavar="ID", required=False)
@click.option("--issuer", metavar="URL", help="What the iss of its tokens is, character by character.")
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
@click.option("--replace", "overwrites", is_flag=True, help="Update what is stored under the same ids.")
@json_option
def add(
    id_: str | None,
    issuer: str | None,
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

    What is stored under the same ids is updated with --replace only: issuer, endpoints and keys, and audience, clients
    and system where they are named. All else stays, such as client, toScim, title and cache_ttl. The client's secret
    stays while issuer and endpoints do, also where an endpoint is added below the issuer; where they change, it must be
    written again.

    It prints what it stored, and every place at which that differs from what was stored before.

    On a terminal ID, issuer and audience are asked for where they are left out and cannot be found. Elsewhere nothing
    is stored, and the command to type is printed.

    \b
    Example:
        flask foreign-token provider add keycloak --issuer http://localhost:8180/realms/myrealm --audience account
    """
    registration = _named(Registration(id_ or "", issuer or "", backchannel, system, audiences, client_ids), overwrites)
    _refuse_untypable(registration)
    _refuse_known(registration)
    default_audience = application().settings.resource
    metadata = _discovered(registration, overwrites)
    stored = {_key_of(body): catalog().get(_key_of(body)) for body in resources_of(registration, metadata)}
    _refuse_unreadable(stored)
    _refuse_linked_elsewhere(stored, registration)
    bodies = _bodies(stored, registration, metadata)
    if default_audience is None and not any(map(_names_audience, bodies)):
        registration = replace(registration, audiences=[_audience(registration, metadata, overwrites)])
        bodies = _bodies(stored, registration, metadata)
    if not overwrites:
        _refuse_differing(stored, bodies)
    outcomes = _outcomes(edit_of(bodies, stored))
    changes = [_change(stored, body, outcomes[_key_of(body)]) for body in bodies]
    policies = [shown.body for shown in catalog().list("AccessPolicy")]
    lacks_policy = not admissions(policies, registration.issuer)
    if as_json:
        _print_json(registration, changes, lacks_policy)
    else:
        for change, body in zip(changes, bodies, strict=True):
            print_change(change, applied=True)
            if change.outcome == "created":
                print_lines([*_attributes(body, default_audience)])
        print_lines([*_lacking(registration, lacks_policy)])
    if offers_nothing_verifiable(metadata):
        print_note("the provider names the algorithms that it signs with, and none of them can be verified here")
    for body in bodies:
        if body.get("active") is False:
            key = _key_of(body)
            print_note(f"{'/'.join(key)} is not active, so no token is taken. To change that, type:")
            print_note(f"  {activation_command(program(), key)}")


def _named(registration: Registration, overwrites: bool) -> Registration:
    """The same with an id and an issuer.

    :raises Failure: one is missing, and nobody can be asked.
    """
    missing = [name for name, text in (("ID", registration.id), ("--issuer", registration.issuer)) if not text]
    if missing and not can_ask():
        whole = replace(registration, id=registration.id or "ID", issuer=registration.issuer or "URL")
        more = [] if registration.audiences or registration.client_ids else ["--audience", "A"]
        command = addition_command(program(), whole, overwrites=overwrites, more=more)
        raise Failure(NOTHING_STORED, f"{' and '.join(missing)} must be named. Type:", f"  {command}")
    if not registration.id:
        id_ = answer("ID, under which it is stored", _fault_of_id, otherwise=NOTHING_STORED)
        registration = replace(registration, id=id_)
    if not registration.issuer:
        fault = partial(_fault_of_issuer, registration.backchannel)
        issuer = answer("Issuer, which is the iss of its tokens", fault, otherwise=NOTHING_STORED)
        registration = replace(registration, issuer=issuer)
    return registration


def _audience(registration: Registration, metadata: ServerMetadata, overwrites: bool) -> str:
    """What somebody says that the aud of tokens for this app holds.

    :raises Failure: nobody can be asked.
    """
    if not can_ask():
        raise _no_audience(registration, metadata, overwrites)
    product = product_of(metadata)
    example = f"{product.title}: {product.audience}" if product.title else product.audience
    question = f"Audience, which is what the aud of tokens for this app holds ({example})"
    return answer(question, _fault_of_audience, otherwise=NOTHING_STORED)


def _fault_of_id(text: str) -> str:
    return "" if _is_id(text) else NO_ID


def _fault_of_issuer(backchannel: str | None, text: str) -> str:
    try:
        check_addresses(application().runtime().http, text, backchannel)
    except Rejected as rejected:
        # What is wrong with the backchannel no other answer mends.
        return "; ".join(issue.message for issue in rejected.issues if issue.path == "issuer")
    return ""


def _fault_of_audience(text: str) -> str:
    return "" if text and text.isprintable() else _NOT_PRINTABLE


def _refuse_untypable(registration: Registration) -> None:
    """What could not be stored, or stand in a command that is printed to be typed."""
    given = {
        "ID": (_is_id, NO_ID, [registration.id]),
        "--audience": (*_PRINTABLE, registration.audiences),
        "--client-id": (*_PRINTABLE, registration.client_ids),
        "--system": (*_PRINTABLE, [registration.system or ""]),
    }
    faults = [
        f"{name}: {reason}" for name, (is_right, reason, values) in given.items() if not all(map(is_right, values))
    ]
    if faults:
        raise Failure(NOTHING_STORED, *faults)


def _refuse_known(registration: Registration) -> None:
    """An issuer has one provider."""
    bodies = [shown.body for shown in catalog().list("TokenIntrospector")]
    known = (provider_of(body) for body in bodies if at(body, "jwt", "iss") == registration.issuer)
    other = next((id_ for id_ in known if id_ not in ("", registration.id)), None)
    if other is not None:
        command = _command(replace(registration, id=other), overwrites=True)
        reason = f"IdentityProvider/{other} has this issuer already. To change it, type:"
        raise Failure(NOTHING_STORED, reason, f"  {command}")


def _is_id(text: str) -> bool:
    return re.match(ID, text) is not None


def _discovered(registration: Registration, overwrites: bool) -> ServerMetadata:
    try:
        with quiet(), progress(f"asking {registration.backchannel or registration.issuer}"):
            return discover(application().runtime().http, registration.issuer, registration.backchannel)
    except IssuerMismatch as mismatch:
        raise Failure(NOTHING_STORED, *reasons(mismatch), *_meant(registration, mismatch, overwrites)) from None
    except Rejected as rejected:
        issues = [f"--{issue}" if not issue.resource else str(issue) for issue in rejected.issues]
        raise Failure(NOTHING_STORED, *issues) from None
    except NoMetadata as missing:
        raise Failure(
            NOTHING_STORED, "there is no discovery document", *str(missing.hint).split("; "), _ANSWERS
        ) from None
    except ProviderUnavailable as unavailable:
        remedy = for_outage(unavailable, registration.backchannel or registration.issuer)
        raise Failure(NOTHING_STORED, reason_of(unavailable), *(f"  {line}" for line in remedy)) from None


def _meant(registration: Registration, mismatch: IssuerMismatch, overwrites: bool) -> list[str]:
    if not mismatch.named:
        return []
    meant = replace(registration, issuer=mismatch.named)
    if mismatch.named.rstrip("/") != registration.issuer.rstrip("/"):
        meant = replace(meant, backchannel=registration.backchannel or registration.issuer)
    command = _command(meant, overwrites)
    return ["if that is the provider that you mean, type:", f"  {command}"]


def _no_audience(registration: Registration, metadata: ServerMetadata, overwrites: bool) -> Failure:
    command = _command(registration, overwrites, ["--audience", product_of(metadata).audience])
    return Failure(
        NOTHING_STORED,
        "no audience is named, so tokens that are meant for any other application would be taken.",
        "Name what the aud of tokens for this one holds (or set FOREIGN_TOKEN_RESOURCE):",
        f"  {command}",
    )


def _command(registration: Registration, overwrites: bool, more: Sequence[str] = ()) -> str:
    """The command that registers `registration`, which updates what is stored if there is anything."""
    keys: list[Key] = [
        ("IdentityProvider", registration.id),
        ("TokenIntrospector", introspector_id(registration.id)),
    ]
    is_stored = overwrites or any(catalog().get(key) is not None for key in keys)
    return addition_command(program(), registration, overwrites=is_stored, more=more)


_Stored = Mapping[Key, Shown | None]


def edit_of(bodies: Sequence[Mapping[str, object]], stored: _Stored) -> Edit:
    """Stores `bodies`, as long as nobody has changed what they follow from.

    :param stored: what was there under their keys; none: nothing, and nothing must be there still.
    """
    expected = {key: ABSENT if shown is None else shown.version for key, shown in stored.items()}
    return Edit(upserts=bodies, expected=expected)


def _bodies(stored: _Stored, registration: Registration, metadata: ServerMetadata) -> list[dict[str, object]]:
    return [_updated(stored, body, registration) for body in resources_of(registration, metadata)]


def _updated(stored: _Stored, body: Mapping[str, object], registration: Registration) -> dict[str, object]:
    shown = stored[_key_of(body)]
    return dict(body) if shown is None else updated(without_meta(shown.body), body, registration)


def _refuse_unreadable(stored: _Stored) -> None:
    """What is there, and cannot be read, is neither updated nor overwritten unseen."""
    absent = [key for key, shown in stored.items() if shown is None]
    lines = [
        f"{type_}/{id_} is stored, but cannot be read; `{program()} delete {type_} {shlex.quote(id_)}` removes it"
        for type_, id_ in absent
        if catalog().unreadable(type_, id_)
    ]
    if lines:
        raise Failure(NOTHING_STORED, *lines)


def _refuse_linked_elsewhere(stored: _Stored, registration: Registration) -> None:
    """Another provider would lose its introspector."""
    for key, shown in stored.items():
        if shown is None or shown.key[0] != "TokenIntrospector":
            continue
        other = provider_of(shown.body)
        if other not in ("", registration.id):
            reason = f"{'/'.join(key)} is stored, and is that of IdentityProvider/{other}"
            raise Failure(NOTHING_STORED, f"{reason}; use another ID, or delete it first")


def _names_audience(body: Mapping[str, object]) -> bool:
    return any(at(body, "jwt", name) for name in ("aud", "client_id"))


def _refuse_differing(stored: _Stored, bodies: Sequence[Mapping[str, object]]) -> None:
    lines: list[str] = []
    for change in (_change(stored, body, "updated") for body in bodies):
        if change.differences:
            lines.append(f"{'/'.join(change.key)}: stored with other content; --replace updates it")
            lines += lines_of(change.differences)
    if lines:
        raise Failure(NOTHING_STORED, *lines)


def _change(stored: _Stored, body: Mapping[str, object], outcome: Outcome) -> Change:
    """What becomes of a resource; nobody gives another secret here, so that the masks tell enough."""
    key = _key_of(body)
    shown = stored[key]
    if shown is None or outcome != "updated":
        return Change(key, outcome)
    return Change(key, outcome, tuple(differences(without_meta(shown.body), body)))


def _outcomes(edit: Edit) -> dict[Key, Outcome]:
    try:
        return catalog().apply(edit, by=author())
    except Conflict as conflict:
        reason = "somebody else stored or changed it at the same time; look at it, and repeat this"
        raise Failure(NOTHING_STORED, f"{'/'.join(conflict.key)}: {reason}") from None
    except Rejected as rejected:
        is_secret = any(issue.path == "client.secret" for issue in rejected.issues)
        advice = ["take the client out, repeat this, and store the client again with its secret."] if is_secret else []
        raise Failure(NOTHING_STORED, *reasons(rejected), *advice) from None


def _key_of(body: Mapping[str, object]) -> Key:
    """Not :func:`~.resources.identify`, since the id may be one that is refused later, with all that is wrong."""
    return str(body["resourceType"]), str(body["id"])


def _attributes(body: Mapping[str, object], default_audience: str | None) -> Iterator[str]:
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
    yield from entry(f"  {name:<{_WIDTH}}", text, _INDENT)


def _lacking(registration: Registration, lacks_policy: bool) -> Iterator[str]:
    yield ""
    if not lacks_policy:
        yield f"See whether it works: {program()} doctor {registration.id}"
        return
    yield "What still lacks is a policy that lets its users in."
    yield "This one lets in all of them:"
    yield ""
    yield from policy_command(program(), registration.id, registration.issuer)


def _print_json(registration: Registration, changes: Sequence[Change], lacks_policy: bool) -> None:
    stored = [for_programs(change, applied=True) for change in changes]
    lacking = [users_policy(registration.id, registration.issuer)] if lacks_policy else []
    print_json({"stored": stored, "lacking": lacking})
