"""Whether some stored policy could let in whoever brings a token of an issuer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..errors import Rejected
from ..introspection.token import Kind
from ..policies.matcho import parse
from ..policies.matcho_compile import compile_pattern

_PARTS: Mapping[Kind, str] = {"jwt": "jwt", "opaque": "token"}
# What policies call the claims of a token of that kind.
_NAMES = "names the issuer"


def misplaced(policies: Iterable[Mapping[str, object]], issuer: str, kind: Kind) -> list[str]:
    """Active policies that name `issuer` where they mean the claims of the other kind of token."""
    other: Kind = "jwt" if kind == "opaque" else "opaque"
    named = [policy.get("id") for policy in policies if _admission(policy, issuer, other) == _NAMES]
    return [f"AccessPolicy/{id_} names it under {_PARTS[other]}" for id_ in named]


def admissions(policies: Iterable[Mapping[str, object]], issuer: str, kind: Kind = "jwt") -> list[str]:
    """What lets in whoever brings a token of `issuer`: each active policy that names it, or has no condition at all.

    A policy that says nothing of issuers may well let its tokens in; but whether it is meant to cannot be told. Of
    opaque tokens issuers need not be named (:rfc:`7662#section-2.2`), so that a policy about such tokens is meant.

    :param policies: the bodies of stored AccessPolicy resources.
    """
    active = [policy for policy in policies if policy.get("active", True) is True]
    found = [(policy.get("id"), _admission(policy, issuer, kind)) for policy in active]
    return [f"AccessPolicy/{id_} {admission}" for id_, admission in found if admission]


def _admission(policy: Mapping[str, object], issuer: str, kind: Kind) -> str:
    """How it lets in; empty: it does not, or not to be told from here."""
    if policy.get("engine") == "allow":
        return "" if policy.get("link") else "lets everybody in"
    for claims in _patterns(policy.get("matcho"), _PARTS[kind]):
        if "iss" in claims:
            if _takes(claims["iss"], issuer):
                return _NAMES
        elif kind == "opaque":
            return "is about opaque tokens"
    return ""


def _patterns(pattern: object, part: str) -> Iterator[Mapping[str, object]]:
    """Every pattern of members for `part` of the request, at whatever depth: under ``$one-of`` for instance."""
    if isinstance(pattern, Mapping):
        claims = pattern.get(part)
        if isinstance(claims, Mapping):
            yield claims
        for inner in pattern.values():
            yield from _patterns(inner, part)
    elif isinstance(pattern, Sequence) and not isinstance(pattern, str):
        for inner in pattern:
            yield from _patterns(inner, part)


def _takes(pattern: object, issuer: str) -> bool:
    try:
        return compile_pattern(parse(pattern))(issuer, {"jwt": {"iss": issuer}})
    except Rejected:
        return False
