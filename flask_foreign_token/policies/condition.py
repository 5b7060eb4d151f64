"""What a policy asks of a request: the tree that an engine reads a policy into."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from ..errors import Issue
from .matcho.tree import Scalar
from .request import PARTS, RequestView

MAX_MISMATCHES: Final = 100
"""Mismatches of one policy that are reported at most, the first ones."""

Decide: TypeAlias = Callable[[RequestView], bool]
"""Whether a request is allowed; raises when that cannot be told, which denies."""


class Equality(NamedTuple):
    """That a scalar stands at a path of the request, ``("jwt", "iss")``."""

    path: tuple[str, ...]
    value: Scalar


Alternatives: TypeAlias = tuple[Equality, ...]
"""Equalities of which at least one holds for every request that a condition allows."""


class Mismatch(NamedTuple):
    """One reason for which a condition does not allow a request.

    :param path: where in the request, ``("jwt", "iss")``; items of an array by their index, counted from 0. Empty: the
        request as a whole.
    :param expected: what should stand there, as it is written in the policy.
    :param but: what stands there; none also where nothing does.
    """

    path: tuple[str | int, ...]
    expected: object
    but: object


class Condition:
    """What a policy asks of a request. It never changes, and everything that is known of a policy is made from it.

    An engine of one's own derives from this class and overrides :meth:`compile`; the rest makes its policies faster to
    find and easier to explain.
    """

    __slots__ = ()

    @property
    def reads(self) -> frozenset[str]:
        """The parts of the request that it can look at, every one of them."""
        return PARTS

    @property
    def needs(self) -> frozenset[str]:
        """Parts without which it allows no request."""
        return frozenset()

    @property
    def deterministic(self) -> bool:
        """Whether the same parts always get the same answer, so that it can be remembered."""
        return False

    def compile(self) -> Decide:
        """What decides. Called once; what it returns is called for every request that the policy could allow."""
        raise NotImplementedError

    def equalities(self) -> Sequence[Alternatives]:
        """What must be equal in every request that is allowed, by which the policy is filed."""
        return ()

    def mismatches(self, view: RequestView) -> list[Mismatch]:
        """Why it does not allow a request; empty exactly where it does.

        :raises: what the compiled condition raises.
        """
        return [] if self.compile()(view) is True else [Mismatch((), "what the engine allows", None)]

    def warnings(self) -> Iterator[Issue]:
        """What is probably not meant, each with its path from the top of the policy, the reason, and what to say
        instead."""
        return iter(())
