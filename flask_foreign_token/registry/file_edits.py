"""Edits of a file registry: what its items are afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from .edits import Edit, Outcome, refuse_unmet, written
from .items import kept_in, key_of
from .plan import Draft
from .resources import Key, canonical

Item = Mapping[str, object]


def edited(items: Sequence[object], edit: Edit, environ: Mapping[str, str]) -> tuple[list[object], Draft]:
    """What becomes of `items`, and of each resource that `edit` names.

    A resource is replaced where it stands, or comes last; one that was there twice is there once when it has been
    written. Every other item stays as it is, whether it is a resource or not.

    :raises Rejected: see :func:`~.edits.written`.
    :raises NotStored: a resource to delete is not there.
    :raises Conflict: a resource is not in the version that is expected.
    """
    places = _places(items, environ)
    kept = {key: kept_in(cast("Item", items[positions[0]]), key) for key, positions in places.items()}
    versions = {key: resource.version for key, resource in kept.items()}
    edit = edit.naming_all(versions)
    refuse_unmet(edit, versions)
    forms = written(edit, lambda key: kept[key].body if key in kept else None)
    left = dict(enumerate(items))
    outcomes: dict[Key, Outcome] = {}
    for key, form in forms.items():
        if key not in places:
            outcomes[key] = "created"
            left[len(items) + len(outcomes)] = form.body
        elif len(places[key]) == 1 and canonical(kept[key].body) == form.text:
            outcomes[key] = "unchanged"
        else:
            outcomes[key] = "updated"
            first, *others = places[key]
            # An id that is a variable stays one.
            left[first] = form.body | {"id": cast("Item", items[first])["id"]}
            _remove(left, others)
    for key in edit.deletes:
        outcomes[key] = "deleted"
        _remove(left, places[key])
    before = {key: kept[key].body for key in outcomes if key in kept}
    draft = Draft(edit, outcomes, before, after={key: form.body for key, form in forms.items()}, versions=versions)
    return list(left.values()), draft


def _places(items: Sequence[object], environ: Mapping[str, str]) -> dict[Key, list[int]]:
    places: dict[Key, list[int]] = {}
    for position, item in enumerate(items):
        key = key_of(item, environ)
        if key is not None:
            places.setdefault(key, []).append(position)
    return places


def _remove(items: dict[int, object], positions: Sequence[int]) -> None:
    for position in positions:
        del items[position]
