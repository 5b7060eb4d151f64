"""Members of a User resource that are attributes of the app's own model."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Issue, Rejected
from ..policies.equality import equal
from .own_attributes import KINDS, OwnAttribute


def own_members(
    own: Mapping[str, OwnAttribute], before: Mapping[str, object], written: Mapping[str, object]
) -> dict[str, object]:
    """What all of the app's own attributes are to be: what is written, and none where nothing is.

    What stays as it is need not fit; the app has put it there.

    :param own: by name.
    :param before: what they are.
    :param written: members of a User resource, others too.
    :raises Rejected: names each that does not take what is written.
    """
    after = {name: written.get(name) for name in own}
    changed = {name: value for name, value in after.items() if not equal(before.get(name), value)}
    refuse_unfit(own, changed)
    # As it was where it stays, so that a number is not taken for another by how it is written.
    return {name: value if name in changed else before.get(name) for name, value in after.items()}


def refuse_unfit(own: Mapping[str, OwnAttribute], values: Mapping[str, object]) -> None:
    """
    :param values: what some of the app's own attributes are to be.
    :raises Rejected: names each that does not take it.
    """
    faults = [Issue("", name, demand(own[name], value)) for name, value in values.items() if not own[name].takes(value)]
    if faults:
        raise Rejected(faults)


def demand(attribute: OwnAttribute, value: object) -> str:
    """What is to be said to somebody who wrote a value that the attribute does not take."""
    if value is None:
        return "must not be left out, since it cannot be null in the application's model"
    must_be = "JSON" if attribute.kind is None else KINDS[attribute.kind]
    if attribute.longest is not None:
        must_be += f" of at most {attribute.longest} characters"
    elif attribute.kind is int and type(value) is int:
        must_be += f" from {-(2**attribute.bits)} to {2**attribute.bits - 1}"
    return f"must be {must_be}, as it is in the application's model"
