"""What the registry says of one provider."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import Issue
from ..introspection.opaque import OpaqueRules
from ..introspection.token import Kind
from ..registration import activation_command, policy_command
from ..registry.fields import nearest
from ..registry.links import Linked
from ..registry.parts import ProviderPart
from ..registry.resources import IdentityProvider, Key
from ..registry.snapshot import RegistrySnapshot
from . import remedies
from .admission import admissions, misplaced
from .commands import applying, rewriting
from .findings import Finding
from .left_out import introspectors_left_out, left_out
from .secrets import for_absent

_INACTIVE = "{} is not active, so none of its tokens is taken"
_MEANT: Mapping[Kind, str] = {
    "jwt": "what a JWT says that is verified here is under jwt",
    "opaque": "what introspection answers is under token",
}
_NAMED = 3
# Policies of those that let in that are named.


@dataclass(frozen=True, slots=True)
class Trust:
    """A provider as the registry has it.

    :param provider: none: it is not stored.
    :param links: its introspectors; the one that names an issuer comes first.
    """

    provider: IdentityProvider | None
    links: Sequence[Linked]

    @classmethod
    def of(cls, snapshot: RegistrySnapshot, provider_id: str) -> Trust:
        """What `snapshot` says of the IdentityProvider with that id."""
        part = snapshot.parts.get(("IdentityProvider", provider_id))
        links = [link for link in snapshot.linked if link.settings.identity_provider == provider_id]
        links.sort(key=lambda link: (link.settings.jwt.iss is None, link.settings.id))
        return cls(part.settings if isinstance(part, ProviderPart) else None, links)

    @property
    def in_force(self) -> list[Linked]:
        """The introspectors that are active, as their provider is."""
        return [link for link in self.links if link.in_force]

    @property
    def issuer(self) -> str | None:
        """Whose tokens they take; none: nobody says so."""
        return next((link.issuer for link in self.links if link.issuer is not None), None)

    @property
    def leeway(self) -> float:
        """Seconds by which clocks may differ for each of its introspectors."""
        return min(link.settings.jwt.leeway for link in self.links)

    def naming(self, issuer: str) -> str:
        """Where `issuer` is stored; empty: nowhere."""
        places = [f"jwt.iss of {link.settings.name}" for link in self.links if link.settings.jwt.iss == issuer]
        if self.provider is not None and self.provider.issuer == issuer:
            places.insert(0, f"issuer of IdentityProvider/{self.provider.id}")
        return " and ".join(places)


@dataclass(frozen=True, slots=True)
class Examined:
    """Whom an operator wants to know about.

    :param providers: ids of IdentityProviders.
    :param alone: introspectors that belong to none.
    :param is_asked_for: whether somebody named them; else those that are not active are passed over.
    :param left_out: the id of an introspector that somebody named and that counts as if it were not stored, so that
        nobody can tell whose it is.
    """

    providers: Sequence[str]
    alone: Sequence[Linked] = ()
    is_asked_for: bool = False
    left_out: str | None = None

    @classmethod
    def of(cls, snapshot: RegistrySnapshot, id_: str | None) -> Examined:
        """All, or whom an id names: a provider, else the provider of that introspector, else the introspector itself.

        :param id_: none: nobody is named.
        """
        if id_ is None:
            return cls(provider_ids(snapshot), unlinked(snapshot))
        link = next((link for link in snapshot.linked if link.settings.id == id_), None)
        if any(("IdentityProvider", id_) in stored for stored in (snapshot.resources, snapshot.left_out)):
            return cls([id_], is_asked_for=True)
        if ("TokenIntrospector", id_) in snapshot.left_out:
            return cls([], is_asked_for=True, left_out=id_)
        if link is not None and link.settings.identity_provider is None:
            return cls([], [link], is_asked_for=True)
        return cls([id_ if link is None else link.settings.identity_provider or ""], is_asked_for=True)

    def faults(self, snapshot: RegistrySnapshot) -> frozenset[Issue]:
        """What keeps introspectors of theirs out of service, which is said where these are looked at."""
        of_providers = (link for link in snapshot.linked if link.settings.identity_provider in self.providers)
        links = [link for link in (*of_providers, *self.alone) if link.settings.active]
        return frozenset(issue for link in links if link.in_force or self.is_asked_for for issue in link.issues)


def check_any(snapshot: RegistrySnapshot, program: str) -> Iterator[Finding]:
    """Look whether there is anything that could take a token; nothing where there is, even if it is left out.

    :param program: how the command line is called, for remedies that are commands.
    """
    types = {type_ for type_, _ in (*snapshot.resources, *snapshot.left_out)}
    command = (add_command(program, "ID"),)
    if not types:
        yield Finding("trust", "failed", "nothing is stored, so that no token is taken", remedies.NOBODY, command)
    elif types.isdisjoint({"IdentityProvider", "TokenIntrospector"}):
        reason = "nothing takes tokens yet: neither an IdentityProvider nor a TokenIntrospector is stored"
        yield Finding("trust", "warning", reason, remedies.NOBODY, command)


def check_left_out(snapshot: RegistrySnapshot, introspector_id: str) -> Iterator[Finding]:
    """Say why an introspector counts as if it were not stored."""
    key = ("TokenIntrospector", introspector_id)
    yield _left_out("introspector", "/".join(key), left_out(snapshot).get(key, "it cannot be read"))


def provider_ids(snapshot: RegistrySnapshot) -> list[str]:
    """Of every IdentityProvider that is stored, sorted."""
    return sorted(id_ for type_, id_ in snapshot.resources if type_ == "IdentityProvider")


def unlinked(snapshot: RegistrySnapshot) -> list[Linked]:
    """The introspectors that belong to no provider, so that their tokens have no user; by id."""
    links = [link for link in snapshot.linked if link.settings.identity_provider is None]
    return sorted(links, key=lambda link: link.settings.id)


def secret_holder(link: Linked) -> Key:
    """The resource that has the secret of an introspector."""
    settings = link.settings
    if settings.type == "opaque" and settings.introspection_endpoint is None:
        return "IdentityProvider", settings.identity_provider or ""
    return "TokenIntrospector", settings.id


def add_command(program: str, provider_id: str, issuer: str | None = None) -> str:
    """What registers a provider, but for its audience, and for its issuer where that is not known."""
    named = shlex.quote(issuer) if issuer is not None and issuer.isprintable() else "URL"
    return f"{program} provider add {shlex.quote(provider_id)} --issuer {named} --audience A"


def check_trust(snapshot: RegistrySnapshot, provider_id: str, trust: Trust, program: str) -> Iterator[Finding]:
    """Look at provider, introspectors and audiences.

    :param program: how the command line is called, for remedies that are commands.
    """
    reason = left_out(snapshot).get(("IdentityProvider", provider_id))
    if reason is not None:
        yield _left_out("provider", f"IdentityProvider/{provider_id}", reason)
        return
    if trust.provider is None:
        yield _not_stored(snapshot, provider_id, program)
        return
    yield _provider(trust.provider, program)
    without = introspectors_left_out(snapshot, provider_id)
    yield from (_left_out("introspector", name, reason) for name, reason in without.items())
    if not trust.links and not without:
        command = f"{add_command(program, provider_id, trust.provider.issuer)} --replace"
        reason = f"no TokenIntrospector is linked to IdentityProvider/{provider_id}, so none of its tokens is taken"
        yield Finding("introspector", "failed", reason, remedies.UNLINKED, (command,))
        return
    for link in trust.links:
        yield _introspector(snapshot, link, trust.provider, program, is_alone=not trust.in_force)
        yield _audience(link)


def check_unlinked(
    snapshot: RegistrySnapshot, link: Linked, program: str, *, is_asked_for: bool = False
) -> Iterator[Finding]:
    """Look at an introspector that belongs to no provider, and at its audience.

    :param program: how the command line is called, for remedies that are commands.
    :param is_asked_for: whether somebody named it, so that it should be active.
    """
    if not link.settings.active and not is_asked_for:
        yield Finding("introspector", "skipped", _INACTIVE.format(link.settings.name))
        return
    yield _introspector(snapshot, link, None, program, is_alone=True)
    yield _audience(link)


def _left_out(check: str, name: str, reason: str) -> Finding:
    return Finding(check, "failed", f"{name} is left out as if it were not stored: {reason}", remedies.IN_DATABASE)


def _not_stored(snapshot: RegistrySnapshot, provider_id: str, program: str) -> Finding:
    known = [*provider_ids(snapshot), *(link.settings.id for link in snapshot.linked)]
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


def _introspector(
    snapshot: RegistrySnapshot, link: Linked, provider: IdentityProvider | None, program: str, *, is_alone: bool
) -> Finding:
    """
    :param is_alone: whether no other introspector of the provider is in force.
    """
    name, issuer = link.settings.name, link.introspector.issuer
    if not link.settings.active and is_alone:
        return _inactive("introspector", ("TokenIntrospector", link.settings.id), program)
    if not link.settings.active:
        return Finding("introspector", "skipped", f"{name} is not active, and counts as absent beside the others")
    if link.issues:
        reason = f"out of service: {'; '.join(map(str, link.issues))}"
        put = for_absent(snapshot, link.issues)
        command = () if put else rewriting(program, secret_holder(link))
        return Finding("introspector", "failed", reason, put or remedies.SECRET, command)
    found = f"{name} takes {_tokens_of(link)}"
    if provider is None:
        found += "; no provider is linked, so that its tokens have no user"
    elif provider.issuer not in (None, issuer):
        reason = f"{found}, while the provider's issuer is {provider.issuer}"
        return Finding("introspector", "warning", reason, ("Make the two equal, unless this is meant.",))
    return Finding("introspector", "ok", found)


def _tokens_of(link: Linked) -> str:
    settings = link.settings
    if settings.type == "jwt":
        return f"tokens of {link.issuer}"
    prefix = f" that begin with {settings.token_prefix}" if settings.token_prefix else ""
    if link.issuer is None:
        return f"opaque tokens{prefix}; nobody names their issuer, and {link.introspector.issuer} stands for it"
    return f"opaque tokens{prefix}{', and JWTs,' if settings.jwt.iss else ''} of {link.issuer}"


def _audience(link: Linked) -> Finding:
    rules, name = link.introspector.rules, link.settings.name
    if rules.audiences:
        return Finding("audience", "ok", f"{name}: aud must name {_one_of(rules.audiences)}")
    takes_refresh_tokens = isinstance(rules, OpaqueRules) and rules.token_type is None
    refresh_tokens = ", and refresh tokens where a provider calls them active" if takes_refresh_tokens else ""
    remedy = remedies.OPAQUE_AUDIENCE if takes_refresh_tokens else remedies.NO_AUDIENCE
    if not rules.client_ids:
        reason = f"{name}: none is asked for, so tokens that are meant for any other API are taken{refresh_tokens}"
        return Finding("audience", "warning", reason, remedy)
    issued = f"{name}: tokens must have been issued to {_one_of(rules.client_ids)}"
    if takes_refresh_tokens:
        reason = f"{issued}; no aud is asked for, so these are taken whatever they are for{refresh_tokens}"
        return Finding("audience", "warning", reason, remedy)
    return Finding("audience", "ok", issued)


def check_policies(
    snapshot: RegistrySnapshot, id_: str, links: Sequence[Linked], program: str, *, issuer_is_wrong: bool = False
) -> Iterator[Finding]:
    """Look once for each kind of token at the policies, since these call the claims of each by another name.

    :param id_: of what the policies are for.
    :param program: how the command line is called, for remedies that are commands.
    :param issuer_is_wrong: whether the provider calls itself otherwise, so that no policy should name what is stored.
    """
    stored = (resource for resource in snapshot.resources.values() if resource.type == "AccessPolicy")
    active = [resource.body for resource in stored if resource.id in snapshot.policies]
    kinds = {_kind_of(link): link for link in reversed(links)}
    for kind, link in reversed(kinds.items()):
        about = "" if len(kinds) == 1 else f"for {'JWTs' if kind == 'jwt' else 'opaque tokens'}: "
        admitting = admissions(active, link.introspector.issuer, kind)
        remedy, command = _admitting(program, id_, link)
        if not admitting and issuer_is_wrong:
            yield Finding("policy", "skipped", f"{about}none names the issuer, which is to be put right first")
        elif not active:
            reason = f"{about}there is no active AccessPolicy{_broken(snapshot)}, so every request is denied"
            yield Finding("policy", "failed", reason, remedy, command)
        elif not admitting:
            unnamed = f"none of {len(active)} active policies names the issuer"
            rest = "; ".join(misplaced(active, link.introspector.issuer, kind)[:_NAMED])
            depends = (
                f" where it is looked for: {rest}; {_MEANT[kind]}"
                if rest
                else "; it depends on the rest whether one lets in"
            )
            reason = f"{about}{unnamed}{depends}"
            yield Finding("policy", "warning", reason, remedy, command)
        else:
            more = [f"and {len(admitting) - _NAMED} more"] if len(admitting) > _NAMED else []
            yield Finding("policy", "ok", about + "; ".join([*admitting[:_NAMED], *more]))


def _broken(snapshot: RegistrySnapshot) -> str:
    broken = any(issue.resource.startswith("AccessPolicy/") for issue in snapshot.out_of_service)
    return " that is not out of service" if broken else ""


def _admitting(program: str, id_: str, link: Linked) -> tuple[remedies.Remedy, tuple[str, ...]]:
    """What to say of a policy that lets in tokens of an introspector, and the command that stores it."""
    if _kind_of(link) == "jwt":
        return remedies.POLICY, tuple(policy_command(program, id_, link.introspector.issuer))
    matcho: dict[str, object] = {"token": {"active": True} if link.issuer is None else {"iss": link.issuer}}
    if link.issuer is None and link.provider is not None:
        # Nothing in the answer says whose it is.
        matcho["user"] = {"identifier": {"$contains": {"system": link.provider.system}}}
    body = {"resourceType": "AccessPolicy", "id": f"{id_}-opaque-policy", "engine": "matcho", "matcho": matcho}
    return remedies.OPAQUE_POLICY, applying(program, body)


def _kind_of(link: Linked) -> Kind:
    return "opaque" if link.settings.type == "opaque" else "jwt"


def _one_of(values: frozenset[str]) -> str:
    return " or ".join(sorted(values))
