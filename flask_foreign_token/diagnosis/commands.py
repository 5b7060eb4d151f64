"""What can be typed to change a stored resource."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ..documents import write_yaml
from ..registry.resources import Key

_LONGEST = 200
# Characters of an address that somebody else gave: what cannot be taken in at a glance is not for pasting.


def storing(program: str, key: Key, attribute: str, address: str) -> tuple[str, ...]:
    """A command that adds an attribute which is not there yet; nothing where `address` is very long.

    :param program: how the command line is called.
    :param address: one that may be called (:meth:`.Http.check_url`).
    """
    if len(address) > _LONGEST:
        return ()
    line = shlex.quote(write_yaml({attribute: address}).rstrip("\n"))
    return (f"{{ {_got(program, key)}; echo {line}; }} | {program} apply -",)


def applying(program: str, body: Mapping[str, object]) -> tuple[str, ...]:
    """The lines of a command that stores a resource.

    :param program: how the command line is called.
    """
    return (f"{program} apply - <<'EOF'", *write_yaml(body).splitlines(), "EOF")


def replacing(program: str, key: Key, attribute: str, address: str) -> tuple[str, ...]:
    """A command that puts `address` in the place of what an attribute is now; nothing where it is very long.

    :param program: how the command line is called.
    :param address: one that may be called (:meth:`.Http.check_url`).
    """
    if len(address) > _LONGEST:
        return ()
    line = shlex.quote(write_yaml({attribute: address}).rstrip("\n"))
    without = f"{_got(program, key)} | grep -v {shlex.quote(f'^{attribute}:')}"
    return (f"{{ {without}; echo {line}; }} | {program} apply -",)


def rewriting(program: str, key: Key, *more: Key) -> tuple[str, ...]:
    """The lines by which resources are edited, for what cannot stand in a command: a secret.

    :param program: how the command line is called.
    """
    got = "; echo ---; ".join(_got(program, each) for each in (key, *more))
    return (
        f"(umask 077; {{ {got}; }} >edited.yaml)" if more else f"(umask 077; {got} >edited.yaml)",
        "${EDITOR:-vi} edited.yaml",
        f"{program} apply edited.yaml && rm edited.yaml",
    )


def _got(program: str, key: Key) -> str:
    type_, id_ = key
    return f"{program} get {type_} {shlex.quote(id_)}"
