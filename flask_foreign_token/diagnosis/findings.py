"""What was found, a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. It holds no token, secret or value of a claim.

    :param check: the name of the check, ``"keys"``.
    :param mark: ``"skipped"``: there was nothing to check with.
    :param found: one line.
    :param remedy: what mends it, in the order in which to try.
    :param command: what can be typed to mend it, line by line as a shell wants them.
    """

    check: str
    mark: Mark
    found: str
    remedy: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
