"""The commands that change by which identifiers users are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from ..errors import Rejected
from .current import links
from .failures import NOTHING_CHANGED, Failure, reasons
from .output import json_option, print_json, print_lines, print_outcomes
from .users import id_of

if TYPE_CHECKING:
    from ..registry.edits import Outcome
    from ..users.account_access import ShownUser
    from ..users.identifier import Pair


def _pair_of(ctx: click.Context, param: click.Parameter, value: str) -> Pair:
    system, _, name = value.partition("|")
    if not system or not name:
        raise click.BadParameter("must read SYSTEM|VALUE, in quotes")
    return system, name


_identifier_argument = click.argument("pair", metavar="SYSTEM|VALUE", callback=_pair_of)


@click.command("link", short_help="Give a user one more identifier.")
@click.argument("id_", metavar="ID")
@_identifier_argument
@json_option
@with_appcontext
def link(id_: str, pair: Pair, as_json: bool) -> None:
    """Give a user one more identifier, so that the tokens of that subject lead to the same user.

    SYSTEM is that of a provider, and VALUE the subject (sub) of its tokens; the shell wants them in quotes. It takes an
    introspector in force for that system, whose issuer is from then on the only one that vouches for the identifier.
    What is another user's is not taken from them: "users unlink" does that first.

    \b
    Example:
        flask foreign-token users link 6c0d7cf4-e037-40bd-9730-f0058e29b693 "entra|AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSa"
        flask foreign-token users link "keycloak|80d869bd-7805-5c3c-993d-bd2f1bdbc5ac" "entra|AAAAAAAAAAAAAAAAAAAAAIkz"
    """
    _change(links().link, id_, pair, "linked", as_json)


@click.command("unlink", short_help="Take an identifier from a user.")
@click.argument("id_", metavar="ID")
@_identifier_argument
@json_option
@with_appcontext
def unlink(id_: str, pair: Pair, as_json: bool) -> None:
    """Take an identifier from a user, with all that its provider said of them.

    The next token of that subject makes a new user, who is let in even where this one was deactivated: to keep somebody
    out, use "users deactivate". The last identifier can be taken as well, and no token leads to the user then; of one
    who is inactive only where the app's own attribute (active_attribute) can keep that.

    \b
    Example:
        flask foreign-token users unlink 6c0d7cf4-e037-40bd-9730-f0058e29b693 "entra|AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSa"
    """
    _change(links().unlink, id_, pair, "unlinked", as_json)


@click.command("rebind", short_help="Let a provider's new issuer vouch for its users.")
@click.argument("system", metavar="SYSTEM")
@click.option("--issuer", metavar="URL", required=True, help="What the iss of its tokens is now, to the character.")
@json_option
@with_appcontext
def rebind(system: str, issuer: str, as_json: bool) -> None:
    """Let the new issuer of a provider vouch for the users whom it is known to have.

    An identifier remembers the issuer whose token was seen first, and tokens of any other are refused, so that whoever
    is given the same SYSTEM does not take over its users. When a provider has moved to another address, its issuer is
    another. Change its introspector first, then say so here: it takes an introspector in force that has this issuer,
    for this system. All identifiers of the system are changed, and no token of the old issuer leads to them any more.

    Only do so where the subjects of both issuers are the same people.

    \b
    Example:
        flask foreign-token users rebind keycloak --issuer https://login.example.com/realms/myrealm
    """
    try:
        changed = links().rebind(system, issuer)
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(rejected)) from None
    if as_json:
        print_json({"system": system, "issuer": issuer, "changed": changed})
    else:
        print_lines([f"rebound {changed} identifier{'' if changed == 1 else 's'} of {system} to {issuer}"])


def _change(
    change: Callable[[str, Pair], tuple[Outcome, ShownUser]], id_: str, pair: Pair, done: str, as_json: bool
) -> None:
    try:
        outcome, user = change(id_of(id_), pair)
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(rejected)) from None
    print_outcomes({("User", user.id): done if outcome == "updated" else outcome}, as_json)
