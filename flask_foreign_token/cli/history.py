"""The commands that show what resources were before, and make them that again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import click
from flask.cli import with_appcontext

from ..errors import Rejected
from ..instants import instant
from ..registry.fields import nearest
from ..registry.plan import Difference, Plan
from ..registry.registry import NoHistory, NoVersion, Past
from ..registry.resources import Key
from .columns import provider_of
from .current import application, catalog, program
from .failures import NOTHING_CHANGED, Failure, reasons
from .output import json_option, print_json, print_lines, print_note, print_table, print_warnings
from .plan import carry_out, differences_for_programs, preview, print_differences
from .resources import complete_type, type_of

Step = tuple[Past, tuple[Difference, ...]]

LATEST: Final = 20
"""Changes of all resources that are shown unless more are asked for."""

_Asked = TypeVar("_Asked")
_HEADINGS = ("version", "when", "what", "who")
_HEADINGS_OF_ALL = ("version", "when", "what", "type", "id", "who")
_WHOLE = frozenset({"version", "when", "what", "id"})
_FRACTION = re.compile(r"\.[0-9]+")


_type_argument = click.argument(
    "type_", metavar="[TYPE]", required=False, callback=type_of, shell_complete=complete_type
)
_id_argument = click.argument("id_", metavar="[ID]", required=False)


@click.command("history", short_help="Show what changed last, or what became of one resource, and who did it.")
@_type_argument
@_id_argument
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), help="How many at most; of all resources 20 unless said."
)
@click.option("--diff", "with_differences", is_flag=True, help="Say what each update of one resource changed.")
@json_option
@with_appcontext
def history(type_: str | None, id_: str | None, limit: int | None, with_differences: bool, as_json: bool) -> None:
    """Show the latest changes of all resources, of those of a TYPE, or every version of the one resource TYPE ID.

    The latest is first: when it was made, what was done, and who did it. Versions are numbered across all resources.

    Who is "operator:NAME", "user:KEY", "client:ID" or "token" over the REST API, and "cli:NAME@HOST" on the command
    line. Where nobody is named, the database was written by hand, or by an early version.

    With --json each version of one resource comes with what the resource was, its secrets masked, and with what an
    update changed. "rollback" makes one resource, or all of them, what they were.

    \b
    Example:
        flask foreign-token history
        flask foreign-token history AccessPolicy readers
        flask foreign-token history TokenIntrospector keycloak-jwt --diff
    """
    if type_ is not None and id_ is not None:
        _refuse_never_stored((type_, id_))
        _print_steps(catalog().compared((type_, id_), limit=limit), with_differences, as_json)
    elif with_differences:
        raise click.UsageError("--diff wants TYPE and ID")
    else:
        _print_latest(_asked(lambda: catalog().newest(limit or LATEST, type_)), as_json)


@click.command("rollback", short_help="Make one resource, or all of them, what they were.")
@_type_argument
@_id_argument
@click.argument("version", metavar="[VERSION]", required=False)
@click.option("--to", "to", metavar="VERSION", help="Make all resources what they were once it had been made.")
@click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_appcontext
def rollback(
    type_: str | None, id_: str | None, version: str | None, to: str | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Make one resource, TYPE ID, what it was in a VERSION that "history" shows, secrets included.

    What is deleted comes back, and a version in which it is deleted deletes it.

    With --to it makes all resources what they were right after the change with that version: what changed since is
    changed back, what was deleted comes back, and what was created is deleted, all of it or nothing. What the history
    does not know stays, and so do users.

    It is a change as any other: it is checked, what would be refused today is refused, and the history goes on. On a
    terminal it asks first; elsewhere it goes ahead.

    \b
    Example:
        flask foreign-token rollback AccessPolicy readers 12
        flask foreign-token rollback AccessPolicy readers 12 --dry-run
        flask foreign-token rollback --to 41
    """
    if to is not None and type_ is None:
        plan, question = _plan_for_all(to), f"Make all resources what they were after version {to}?"
    elif to is None and type_ is not None and id_ is not None and version is not None:
        plan, question = _plan((type_, id_), version), f"Make {type_}/{id_} what it was in version {version}?"
    else:
        raise click.UsageError("it takes TYPE ID VERSION for one resource, or --to VERSION for all of them")
    print_warnings(catalog().warnings(plan.edit.upserts))
    if dry_run:
        preview(plan, as_json)
    else:
        carry_out(plan, strict=False, yes=yes, as_json=as_json, question=question)
    if not plan.changes:
        print_note(f"all resources are what they were after version {to}")


def _plan(key: Key, version: str) -> Plan:
    _refuse_never_stored(key)
    type_, id_ = key
    try:
        return catalog().plan_rollback(key, version)
    except NoVersion:
        shows = f"`{program()} history {type_} {id_}` shows those that were"
        raise Failure(NOTHING_CHANGED, f"{type_}/{id_}: was never in version {version}; {shows}") from None
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(rejected), *_bringing_back(key, version)) from None


def _plan_for_all(version: str) -> Plan:
    try:
        return _asked(lambda: catalog().plan_rollback_to(version))
    except NoVersion:
        shows = f"`{program()} history` shows those that were"
        raise Failure(NOTHING_CHANGED, f"nothing was ever in version {version}; {shows}") from None
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(rejected)) from None


def _bringing_back(key: Key, version: str) -> list[str]:
    """The command that brings back the provider of a resource first; none: it is there, or never was."""
    past = catalog().past(key, version)
    id_ = "" if past is None or past.body is None else provider_of(past.body)
    provider: Key = ("IdentityProvider", id_)
    if not id_ or catalog().get(provider) is not None or catalog().unreadable(*provider):
        return []
    stored = (past.version for past in catalog().history(provider) if past.body is not None)
    return [
        f"first bring back IdentityProvider/{id_}: `{program()} rollback IdentityProvider {shlex.quote(id_)} {latest}`"
        for latest in list(stored)[:1]
    ]


def _asked(ask: Callable[[], _Asked]) -> _Asked:
    """What `ask` returns.

    :raises Failure: the registry is a file.
    """
    try:
        return ask()
    except NoHistory:
        file = application().registry_file
        raise Failure(
            f"{file}: a registry file has no history; keep it under version control, "
            f"whose history it then has (`git log -p {file}`)"
        ) from None


def _refuse_never_stored(key: Key) -> None:
    """
    :raises Failure: there never was such a resource; or nothing is known of what was, since the registry is a file.
    """
    type_, id_ = key
    if not _asked(lambda: catalog().versions(key)):
        known = [shown.key[1] for shown in catalog().list(type_)]
        raise Failure(f"{type_}/{id_}: was never stored{nearest(id_, known)}")


def _print_steps(steps: Sequence[Step], with_differences: bool, as_json: bool) -> None:
    if as_json:
        print_json([_for_programs(*step) for step in steps])
    elif with_differences:
        _print_differences(steps)
    else:
        print_table(_HEADINGS, [_row(past) for past, _ in steps], whole=_WHOLE)


def _print_latest(pasts: Sequence[Past], as_json: bool) -> None:
    if as_json:
        print_json([{"resourceType": past.key[0], "id": past.key[1], **_told(past)} for past in pasts])
    elif pasts:
        print_table(_HEADINGS_OF_ALL, [_row_of_all(past) for past in pasts], whole=_WHOLE)
    else:
        print_note("nothing has changed yet")


def _row_of_all(past: Past) -> list[str]:
    *before, by = _row(past)
    return [*before, *past.key, by]


def _row(past: Past) -> list[str]:
    return [past.version, _FRACTION.sub("", instant(past.at)), past.outcome, past.by]


def _print_differences(steps: Sequence[Step]) -> None:
    rows = [_row(past) for past, _ in steps]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row, (_, differences) in zip(rows, steps, strict=True):
        print_lines(["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()])
        print_differences(differences)


def _for_programs(past: Past, differences: Sequence[Difference]) -> dict[str, object]:
    told = {**_told(past), "differences": differences_for_programs(differences)}
    return told if past.body is None else {**told, "resource": past.body}


def _told(past: Past) -> dict[str, object]:
    return {
        "versionId": past.version,
        "lastUpdated": instant(past.at),
        "outcome": past.outcome,
        "by": past.by or None,
    }
