"""The commands that show users, and let them in or not."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from flask.cli import AppGroup

from ..errors import Rejected
from ..users.accounts import read_identifier
from .columns import at, last_updated, text_of
from .current import accounts
from .failures import NOTHING_CHANGED, Failure, reasons
from .output import json_option, print_json, print_note, print_outcomes, print_resource, print_table

if TYPE_CHECKING:
    from ..users.accounts import Page

_LISTED = ("resourceType", "id", "identifier", "inactive", "meta")
# What is known of a person beyond that takes `users show`.

_HEADINGS = ("id", "identifiers", "active", "last updated")


def _identifier_of(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str | None, str] | None:
    try:
        return None if value is None else read_identifier(value)
    except ValueError as reason:
        raise click.BadParameter(str(reason)) from None


users = AppGroup(
    "users",
    short_help="Show users, let them in or not, and forget them.",
    help="""Show users, let them in or not, say by which identifiers they are known, and forget them.

    A user is made when a token is first seen, and is known by an identifier: the provider's system, and the subject.
    Where a command takes the ID of a user it takes "SYSTEM|VALUE" as well, in quotes, as "users list" prints it.
    """,
)


@users.command("list", short_help="List users.")
@click.option(
    "--identifier",
    metavar="SYSTEM|VALUE",
    callback=_identifier_of,
    help="Only the user with this identifier, which the shell wants in quotes; VALUE alone looks in every system.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most.")
@click.option("--offset", type=click.IntRange(min=0), default=0, show_default=True, help="How many to skip.")
@json_option
def list_(identifier: tuple[str | None, str] | None, limit: int, offset: int, as_json: bool) -> None:
    """List users by id: who they are to their providers, whether they are let in, and when they changed.

    What else is known of a person is for "users show".

    \b
    Example:
        flask foreign-token users list --limit 20
        flask foreign-token users list --identifier "keycloak|80d869bd-7805-5c3c-993d-bd2f1bdbc5ac"
    """
    page = accounts().search(offset=offset, limit=limit, identifier=identifier)
    resources = [user.resource for user in page.users]
    if as_json:
        print_json([{name: resource[name] for name in _LISTED if name in resource} for resource in resources])
    elif resources:
        print_table(_HEADINGS, [_row(resource) for resource in resources])
    if note := _note(page, offset):
        print_note(note)


@users.command("show", short_help="Print all that is known of a user.")
@click.argument("id_", metavar="ID")
@json_option
def show(id_: str, as_json: bool) -> None:
    """Print all that is known of a user, as YAML.

    \b
    Example:
        flask foreign-token users show 6c0d7cf4-e037-40bd-9730-f0058e29b693
        flask foreign-token users show "keycloak|80d869bd-7805-5c3c-993d-bd2f1bdbc5ac"
    """
    user = accounts().get(id_of(id_))
    if user is None:
        raise Failure(f"User/{id_}: is not stored")
    print_resource(user.resource, as_json)


@users.command("deactivate", short_help="Let users in no more.")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@json_option
def deactivate(ids: tuple[str, ...], as_json: bool) -> None:
    """Let users in no more, whatever token they bring: all that are named, or none.

    It is in force on every worker as soon as each has looked for changes (FOREIGN_TOKEN_REGISTRY_POLL, one second).

    \b
    Example:
        flask foreign-token users deactivate 6c0d7cf4-e037-40bd-9730-f0058e29b693
        flask foreign-token users deactivate "keycloak|80d869bd-7805-5c3c-993d-bd2f1bdbc5ac"
    """
    _set_active(ids, False, as_json)


@users.command("activate", short_help="Let users in again.")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@json_option
def activate(ids: tuple[str, ...], as_json: bool) -> None:
    """Let users in again: all that are named, or none.

    \b
    Example:
        flask foreign-token users activate 6c0d7cf4-e037-40bd-9730-f0058e29b693
        flask foreign-token users activate "keycloak|80d869bd-7805-5c3c-993d-bd2f1bdbc5ac"
    """
    _set_active(ids, True, as_json)


def _set_active(ids: tuple[str, ...], active: bool, as_json: bool) -> None:
    try:
        changed = accounts().set_active(list(map(id_of, ids)), active)
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(rejected)) from None
    done = {"updated": "activated" if active else "deactivated"}
    print_outcomes({("User", user.id): done.get(outcome, outcome) for outcome, user in changed}, as_json)


def id_of(name: str) -> str:
    """The id of the user that `name` is the id of, or else the identifier, ``SYSTEM|VALUE``."""
    if "|" not in name or accounts().get(name) is not None:
        return name
    with suppress(ValueError):
        for user in accounts().search(identifier=read_identifier(name)).users:
            return user.id
    return name


def _row(resource: Mapping[str, object]) -> list[str]:
    identifiers = resource.get("identifier")
    names = [f"{at(one, 'system')}|{at(one, 'value')}" for one in identifiers] if isinstance(identifiers, list) else []
    return [
        text_of(resource.get("id")),
        ", ".join(names),
        text_of(not resource.get("inactive")),
        last_updated(resource),
    ]


def _note(page: Page, offset: int) -> str | None:
    """What is not on the page."""
    shown = len(page.users)
    if not page.total:
        return "no user is stored that this would list"
    if not shown:
        return f"there are {page.total} users; --offset {offset} is behind the last"
    if offset + shown < page.total:
        return f"{offset + 1} to {offset + shown} of {page.total} users; --offset {offset + shown} shows more"
    return None
