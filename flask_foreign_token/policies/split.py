"""A condition as two, so that what it asks of the token need not be asked at each of its requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .complex import AllOf
from .condition import Condition
from .matcho.engine import Matches
from .matcho.tree import Fields, reads


def split(condition: Condition, parts: frozenset[str]) -> tuple[Condition | None, Condition | None]:
    """Two conditions that together ask what `condition` does, the first of which looks at nothing but `parts` of the
    request, and always answers the same of the same ones. None: nothing is asked there.

    :raises Exception: what an engine of another package raises when it is asked what it looks at.
    """
    # By type: what derives from these may ask for something else.
    if type(condition) is AllOf:
        inside, outside = zip(*(split(each, parts) for each in condition.conditions), strict=True)
        return _all_of(inside), _all_of(outside)
    if type(condition) is Matches and isinstance(condition.pattern, Fields):
        return _split_fields(condition.pattern, parts)
    if condition.deterministic and parts.issuperset(condition.reads):
        return condition, None
    return None, condition


def _split_fields(pattern: Fields, parts: frozenset[str]) -> tuple[Condition | None, Condition | None]:
    each = [Fields((key,), (inner,)) for key, inner in zip(pattern.keys, pattern.patterns, strict=True)]
    are_inside = [reads(field) <= parts for field in each]
    inside = [field for field, is_inside in zip(each, are_inside, strict=True) if is_inside]
    outside = [field for field, is_inside in zip(each, are_inside, strict=True) if not is_inside]
    return _joined(inside), _joined(outside)


def _joined(fields: Sequence[Fields]) -> Condition | None:
    if not fields:
        return None
    return Matches(Fields(tuple(field.keys[0] for field in fields), tuple(field.patterns[0] for field in fields)))


def _all_of(conditions: Iterable[Condition | None]) -> Condition | None:
    some = tuple(condition for condition in conditions if condition is not None)
    if len(some) < 2:
        return some[0] if some else None
    return AllOf(some, ("",) * len(some))
