"""Whether some stored policy could let in whoever brings a token of an issuer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..errors import Rejected
from ..policies.matcho import parse
from ..policies.matcho_compile import compile_pattern


def admissions(policies: Iterable[Mapping[str, object]], issuer: str) -> list[str]:
    """What lets in whoever brings a token of `issuer`: each active policy that names it, or has no condition at all.

    A policy that says nothing of issuers may well let its tokens in; but whether it is meant to cannot be told.

    :param policies: the bodies of stored AccessPolicy resources.
    """
    active = [policy for policy in policies if policy.get("active", True) is True]
    found = [(policy.get("id"), _admission(policy, issuer)) for policy in active]
    return [f"AccessPolicy/{id_} {admission}" for id_, admission in found if admission]


def _admission(policy: Mapping[str, object], issuer: str) -> str:
    """How it lets in; empty: it does not, or not to be told from here."""
    if policy.get("engine") == "allow":
        return "" if policy.get("link") else "lets everybody in"
    return "names the issuer" if any(_takes(it, issuer) for it in _issuer_patterns(policy.get("matcho"))) else ""


def _issuer_patterns(pattern: object) -> Iterator[object]:
    """Every pattern for `iss` of `jwt`, at whatever depth: under ``$one-of`` for instance."""
    if isinstance(pattern, Mapping):
        jwt = pattern.get("jwt")
        if isinstance(jwt, Mapping) and "iss" in jwt:
            yield jwt["iss"]
        for inner in pattern.values():
            yield from _issuer_patterns(inner)
    elif isinstance(pattern, Sequence) and not isinstance(pattern, str):
        for inner in pattern:
            yield from _issuer_patterns(inner)


def _takes(pattern: object, issuer: str) -> bool:
    try:
        return compile_pattern(parse(pattern))(issuer, {"jwt": {"iss": issuer}})
    except Rejected:
        return False
