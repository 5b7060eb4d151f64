"""What requests to an app can be, as far as its routes tell for sure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Routes:
    """What an app's routes say. It is the app that reads them; here they are plain values.

    :param operations: every endpoint.
    :param switched_off: the operator's endpoints where they are not mounted.
    :param methods: in lower case, those that some view answers; HEAD reads as get. None: that cannot be told.
    :param answers: whether a request of a method, in lower case, may reach a view at a path; true where that cannot be
        told.
    :param leads_somewhere: whether a path leads to a view, by whatever method; true where that cannot be told.
    :param unguarded: views that can be reached without a policy, ``"GET /ping (ping)"``, each once.
    :param open: endpoints whose guard is not passed, for which every request is refused.
    """

    operations: frozenset[str] = frozenset()
    switched_off: frozenset[str] = frozenset()
    methods: frozenset[str] | None = None
    answers: Callable[[str, str], bool] = field(default=lambda method, path: True, repr=False)
    leads_somewhere: Callable[[str], bool] = field(default=lambda path: True, repr=False)
    unguarded: Sequence[str] = ()
    open: Sequence[str] = ()
