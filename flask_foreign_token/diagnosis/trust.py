"""What the registry says of one provider."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from ..introspection.jwt import JwtRules
from ..registration import activation_command, policy_command
from ..registry.fields import nearest
from ..registry.linking import Linked
from ..registry.parts import ProviderPart
from ..registry.resources import IdentityProvider, Key
from ..registry.snapshot import RegistrySnapshot
from .admission import admissions
from .findings import Finding

_INACTIVE = "{} is not active, so none of its tokens is taken"
_NAMED = 3
# Policies of those that let in that are named.


@dataclass(frozen=True, slots=True)
class Trust:
    """A provider as the registry has it.

    :param provider: none: it is not stored.
    :param link: its introspector; none: there is none.
    """

    provider: IdentityProvider | None
    link: Linked | None

    @classmethod
    def of(cls, snapshot: RegistrySnapshot, provider_id: str) -> Trust:
        """What `snapshot` says of the IdentityProvider with that id."""
        part = snapshot.parts.get(("IdentityProvider", provider_id))
        links = (link for link in snapshot.linked if link.settings.identity_provider == provider_id)
        return cls(part.settings if isinstance(part, ProviderPart) else None, next(links, None))


def provider_ids(snapshot: RegistrySnapshot) -> list[str]:
    """Of every IdentityProvider that is stored, sorted."""
    return sorted(id_ for type_, id_ in snapshot.resources if type_ == "IdentityProvider")


def add_command(program: str, provider_id: str) -> str:
    """What registers a provider, but for its issuer and audience."""
    return f"{program} provider add {shlex.quote(provider_id)} --issuer URL --audience A"


def check_trust(snapshot: RegistrySnapshot, provider_id: str, trust: Trust, program: str) -> Iterator[Finding]:
    """Look at provider, introspector, audience and policies.

    :param program: how the command line is called, for remedies that are commands.
    """
    if trust.provider is None:
        yield _not_stored(snapshot, provider_id, program)
        return
    yield _provider(trust.provider, program)
    if trust.link is None:
        command = f"{add_command(program, provider_id)} --replace"
        reason = f"no TokenIntrospector is linked to IdentityProvider/{provider_id}, so none of its tokens is taken"
        yield Finding("introspector", "failed", reason, command=(command,))
        return
    yield _introspector(snapshot, trust.provider, trust.link, program)
    yield _audience(trust.link.introspector.rules)
    yield _policy(snapshot, provider_id, trust.link.settings.jwt.iss, program)


def _not_stored(snapshot: RegistrySnapshot, provider_id: str, program: str) -> Finding:
    known = provider_ids(snapshot)
    meant = difflib.get_close_matches(provider_id, known, n=1)
    commands = [f"{program} doctor {shlex.quote(id_)}" for id_ in meant] or [add_command(program, provider_id)]
    reason = f"IdentityProvider/{provider_id} is not stored{nearest(provider_id, known)}"
    return Finding("provider", "failed", reason, command=tuple(commands))


def switched_off(snapshot: RegistrySnapshot, provider_id: str) -> Finding | None:
    """What there is to say of a provider that is not active where nobody asked for it; none: it is active."""
    provider = Trust.of(snapshot, provider_id).provider
    if provider is None or provider.active:
        return None
    return Finding("provider", "skipped", _INACTIVE.format(f"IdentityProvider/{provider_id}"))


def _provider(provider: IdentityProvider, program: str) -> Finding:
    key = ("IdentityProvider", provider.id)
    if not provider.active:
        return _inactive("provider", key, program)
    return Finding("provider", "ok", f"{'/'.join(key)} is stored and active")


def _inactive(check: str, key: Key, program: str) -> Finding:
    command = (activation_command(program, key),)
    return Finding(check, "failed", _INACTIVE.format("/".join(key)), ("Set active to true:",), command)


def _introspector(snapshot: RegistrySnapshot, provider: IdentityProvider, link: Linked, program: str) -> Finding:
    name, issuer = f"TokenIntrospector/{link.settings.id}", link.settings.jwt.iss
    if not link.settings.active:
        return _inactive("introspector", ("TokenIntrospector", link.settings.id), program)
    faults = [issue for issue in snapshot.out_of_service if issue.resource == name]
    if faults:
        return Finding("introspector", "failed", f"out of service: {'; '.join(map(str, faults))}")
    if provider.issuer not in (None, issuer):
        reason = f"{name} takes tokens of {issuer}, while the provider's issuer is {provider.issuer}"
        return Finding("introspector", "warning", reason, ("Make the two equal, unless this is meant.",))
    return Finding("introspector", "ok", f"{name} takes tokens of {issuer}")


def _audience(rules: JwtRules) -> Finding:
    if rules.audiences:
        return Finding("audience", "ok", f"aud must name {_one_of(rules.audiences)}")
    if rules.client_ids:
        return Finding("audience", "ok", f"tokens must have been issued to {_one_of(rules.client_ids)}")
    reason = "none is asked for, so tokens that are meant for any other application are taken"
    return Finding("audience", "warning", reason, ("Set jwt.aud, for Keycloak to account.",))


def _policy(snapshot: RegistrySnapshot, provider_id: str, issuer: str, program: str) -> Finding:
    remedy = ("This one lets in all users of the provider:",)
    command = tuple(policy_command(program, provider_id, issuer))
    bodies = [resource.body for key, resource in snapshot.resources.items() if key[0] == "AccessPolicy"]
    active = [body for body in bodies if body.get("active", True)]
    if not active:
        reason = "there is no active AccessPolicy, so every request is denied"
        return Finding("policy", "failed", reason, remedy, command)
    admitting = admissions(active, issuer)
    if not admitting:
        reason = f"none of {len(active)} active policies names the issuer; it depends on the rest whether one lets in"
        return Finding("policy", "warning", reason, remedy, command)
    more = [f"and {len(admitting) - _NAMED} more"] if len(admitting) > _NAMED else []
    return Finding("policy", "ok", "; ".join([*admitting[:_NAMED], *more]))


def _one_of(values: frozenset[str]) -> str:
    return " or ".join(sorted(values))
