"""Looks for octets that break what :mod:`tests.fuzz.properties` says, guided by the code that they reach.

::

    python -m tests.fuzz.fuzz_parse [libFuzzer's options] [FOLDER FOLDER…]

Runs until it is stopped or finds something. What reaches new code is kept in the first folder; the others are read.
With ``-merge=1`` the first folder gets what reaches more code out of the others.
"""

from __future__ import annotations

import base64
import random
import sys

import atheris

with atheris.instrument_imports(include=["flask_foreign_token", "tests"]):
    from . import properties


def mutate(octets: bytes, max_size: int, seed: int) -> bytes:
    """Another input: mostly a token of which one part says something else, since behind base64 little would change."""
    chance = random.Random(seed)
    parts = octets.split(b".")
    if len(parts) != 3 or chance.random() < 0.2:
        return bytes(atheris.Mutate(octets, max_size))
    chosen = chance.choice((0, 0, 0, 1, 1, 1, 2))
    try:
        inner = base64.urlsafe_b64decode(parts[chosen] + b"==")
    except ValueError:
        return bytes(atheris.Mutate(octets, max_size))
    changed = bytes(atheris.Mutate(inner, max(1, max_size * 3 // 4)))
    parts[chosen] = base64.urlsafe_b64encode(changed).rstrip(b"=")
    return b".".join(parts)[:max_size]


def one_input(octets: bytes) -> None:
    properties.check(octets)


def main() -> None:
    # The command by which libFuzzer runs itself once more, as for -merge=1.
    command = f"{sys.executable} -m {__spec__.name}"
    atheris.Setup([command, *sys.argv[1:]], one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
