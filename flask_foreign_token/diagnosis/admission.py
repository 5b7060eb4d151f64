"""Whether some stored policy could let in whoever brings a token of an issuer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..errors import Rejected
from ..introspection.token import Kind
from ..policies.matcho.compile import compile_pattern
from ..policies.matcho.parse import parse
from ..policies.matcho.tree import Fields, Node, Not, children

_PARTS: Mapping[Kind, str] = {"jwt": "jwt", "opaque": "token"}
# What policies call the claims of a token of that kind.
_NAMES = "names the issuer"
_EVERYBODY = "lets everybody in"
_MUTE = ("", _EVERYBODY)


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
    told = _told(policy, issuer, kind)
    return "" if told == _EVERYBODY and (policy.get("link") or "roleName" in policy) else told


def _told(condition: object, issuer: str, kind: Kind) -> str:
    """As :func:`_admission`, of what an engine decides: of a schema, a query or another package's engine nothing can be
    told."""
    match condition:
        case {"engine": "allow"}:
            return _EVERYBODY
        case {"engine": "matcho", "matcho": dict(pattern)}:
            return _told_by_pattern(pattern, issuer, kind)
        case {"engine": "complex", "and": [_, *_] as conditions}:
            told = {_told(inner, issuer, kind): None for inner in conditions}
            # What lets everybody in adds nothing to what else is asked.
            return _EVERYBODY if list(told) == [_EVERYBODY] else next((how for how in told if how not in _MUTE), "")
        case {"engine": "complex", "or": [*conditions]}:
            return next(filter(None, (_told(inner, issuer, kind) for inner in conditions)), "")
        case _:
            return ""


def _told_by_pattern(pattern: Mapping[str, object], issuer: str, kind: Kind) -> str:
    try:
        tree = parse(pattern)
    except Rejected:
        return ""
    for claims in _claims(tree, _PARTS[kind]):
        of_issuer = dict(zip(claims.keys, claims.patterns, strict=True)).get("iss")
        if of_issuer is None:
            if kind == "opaque":
                return "is about opaque tokens"
        elif compile_pattern(of_issuer)(issuer, {_PARTS[kind]: {"iss": issuer}}):
            return _NAMES
    return ""


def _claims(node: Node, part: str) -> Iterator[Fields]:
    """What is asked of the members of `part` of the request, at whatever depth: under ``$one-of`` for instance."""
    if isinstance(node, Not):
        return
    if isinstance(node, Fields):
        yield from (
            pattern
            for key, pattern in zip(node.keys, node.patterns, strict=True)
            if key == part and isinstance(pattern, Fields)
        )
    for inner in children(node):
        yield from _claims(inner, part)
