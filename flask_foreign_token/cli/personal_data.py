"""The commands for a user who asks what is kept of them, or that it be forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from ..errors import Rejected
from ..printable import printable
from .current import accounts, personal_data
from .failures import NOTHING_CHANGED, Failure, reasons
from .output import json_option, outcome_of, print_json, print_lines, print_note
from .users import id_of

if TYPE_CHECKING:
    from ..users.personal_data import Forgotten


@click.command("export", short_help="Print everything that is kept of a user.")
@click.argument("id_", metavar="ID")
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, as it does anyway.")
@with_appcontext
def export_user(id_: str) -> None:
    """Print everything that is kept of a user, as JSON: to be given to them, say.

    It is the user as "users show" prints it, and each identifier: what its provider said, as it came, what was made of
    that, which issuer vouches for it, and when it was made, changed and last asked about. What else the app has in
    tables of its own is not part of it.

    \b
    Example:
        flask foreign-token users export 6c0d7cf4-e037-40bd-9730-f0058e29b693 > user.json
        flask foreign-token users export "keycloak|80d869bd-7805-5c3c-993d-bd2f1bdbc5ac"
    """
    exported = personal_data().export(id_of(id_))
    if exported is None:
        raise Failure(f"User/{id_}: is not stored")
    print_json(exported)


@click.command("forget", short_help="Forget users, with everything that is kept of them.")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_appcontext
def forget(ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Forget users: their identifiers, and all that their providers said of them.

    It cannot be undone, so it asks first. Where one that is named is not stored, nobody is forgotten; where one cannot
    be forgotten, those before it are, and printed.

    A row of the app's own model stays, since other rows may refer to it, and the app knows what else is in it; those of
    its columns that a provider fills (user_attributes) are set to null. Which row stays is said on stderr, and which of
    these columns cannot be null and stay as they are.

    No token leads to such a user any more. The next one of the same subject makes a new user, who is let in: to keep
    somebody out, use "users deactivate".

    \b
    Example:
        flask foreign-token users forget 6c0d7cf4-e037-40bd-9730-f0058e29b693
        flask foreign-token users forget --yes "keycloak|80d869bd-7805-5c3c-993d-bd2f1bdbc5ac"
    """
    names = {id_of(name): name for name in ids}
    if absent := [name for id_, name in names.items() if accounts().get(id_) is None]:
        raise Failure(NOTHING_CHANGED, *(f"User/{name}: is not stored" for name in absent))
    if not yes:
        _ask(names)
    done: list[Forgotten] = []
    try:
        done.extend(map(personal_data().forget, names))
    except Rejected as rejected:
        raise Failure(*([] if done else [NOTHING_CHANGED]), *reasons(rejected)) from None
    finally:
        # What is gone is gone, whatever has ended the others.
        _tell(done, as_json)


def _ask(ids: Iterable[str]) -> None:
    """:raises Failure: the answer is not yes, or there is nobody to give it."""
    named = ", ".join(f"User/{id_}" for id_ in ids)
    try:
        is_meant = click.confirm(f"Forget {printable(named)}? It cannot be undone", err=True)
    except click.Abort:
        # Behind the question.
        click.echo(err=True)
        raise Failure(NOTHING_CHANGED, "where nobody can be asked, --yes says that it is meant") from None
    if not is_meant:
        raise Failure(NOTHING_CHANGED)


def _tell(done: Sequence[Forgotten], as_json: bool) -> None:
    if not done:
        return
    if as_json:
        print_json([_outcome_of(forgotten) for forgotten in done])
        return
    print_lines([f"forgotten User/{forgotten.id}" for forgotten in done])
    for forgotten in done:
        if forgotten.row is not None:
            print_note(_staying(forgotten))


def _outcome_of(forgotten: Forgotten) -> dict[str, object]:
    outcome: dict[str, object] = {**outcome_of(("User", forgotten.id), "forgotten")}
    return outcome if forgotten.row is None else {**outcome, "row": forgotten.row, "kept": list(forgotten.kept)}


def _staying(forgotten: Forgotten) -> str:
    text = f"the row {forgotten.row} stays, since others may refer to it"
    return f"{text}; what cannot be null in it stays as it was: {', '.join(forgotten.kept)}" if forgotten.kept else text
