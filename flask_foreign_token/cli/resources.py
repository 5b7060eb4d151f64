"""The commands that read and change the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import click
from flask.cli import with_appcontext

from ..errors import Issue, Rejected
from ..printable import shown
from ..registry.edits import Edit
from ..registry.fields import MASK, nearest
from ..registry.resources import Key
from ..registry.schemas import SCHEMAS
from .asking import can_ask
from .columns import table_of, without_meta
from .current import application, catalog, program
from .failures import NOTHING_CHANGED, Failure, reasons
from .output import (
    json_option,
    print_json,
    print_note,
    print_resource,
    print_table,
    print_warnings,
    print_yaml,
)
from .plan import carry_out, preview
from .progress import progress
from .reading import Documents

if TYPE_CHECKING:
    from ..registry.catalog import Catalog


_NOBODY_ALLOWS_IT = (
    "--prune deletes what is in none of the files, and nobody can be asked: add --yes; --dry-run shows what that is"
)


def complete_type(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """The types of resource that begin like that, for the shell."""
    return [name for name in SCHEMAS if name.lower().startswith(incomplete.lower())]


def type_of(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The type of resource that `value` names, in any letter case."""
    if value is None:
        return None
    known = {name.lower(): name for name in SCHEMAS}
    name = value.lower()
    if name in known:
        return known[name]
    if name in ("user", "users"):
        raise click.BadParameter("users are not in the registry; see `flask foreign-token users --help`.")
    meant = "".join(f"; did you mean {known[near]}?" for near in get_close_matches(name, known, n=1))
    raise click.BadParameter(f"{shown(value)} is not one of {', '.join(SCHEMAS)}{meant}")


type_argument = click.argument("type_", metavar="TYPE", callback=type_of, shell_complete=complete_type)


@click.command("apply", short_help="Store the resources in files.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Print what would be done, and change nothing.")
@click.option("--prune", is_flag=True, help="Delete what is stored and in none of the files; users stay.")
@click.option("--yes", is_flag=True, help="Do not ask before anything is deleted.")
@click.option("--strict", is_flag=True, help="Refuse what is warned of.")
@json_option
@with_appcontext
def apply(files: tuple[str, ...], dry_run: bool, prune: bool, yes: bool, strict: bool, as_json: bool) -> None:
    """Store the resources in each FILE: all of them, or none.

    A file is JSON or YAML, whatever its name: one resource, an array of them, or several YAML documents. "-" is
    standard input. What is stored under the same type and id is replaced. Where one resource of one file is wrong,
    nothing is changed, and every fault is named.

    It prints what became of each resource: created, updated with every place that differs, deleted, or unchanged.
    With --dry-run it prints what it would do, and does nothing.

    With --prune the files are all that is to be stored: every other IdentityProvider, TokenIntrospector and
    AccessPolicy is deleted. On a terminal it asks first; elsewhere it wants --yes. Just what was printed is done, or
    nothing, if somebody else changes a part of it meanwhile.

    A secret that is written as the asterisks which "get" and "export" print stays what it is, so what they print can be
    edited and applied. No secret is printed, changed or not.

    A policy that probably does not do what is meant is stored all the same, with a warning on stderr that says why.

    \b
    Example:
        flask foreign-token apply provider.yaml policies/*.yaml
        flask foreign-token apply --dry-run --prune resources/*.yaml
        flask foreign-token apply --strict policies/*.yaml
        flask foreign-token get AccessPolicy readers >readers.yaml
        flask foreign-token apply - <readers.yaml
    """
    if prune and not (yes or dry_run or can_ask()):
        raise Failure(NOTHING_CHANGED, _NOBODY_ALLOWS_IT)
    documents = _documents(files)
    bodies = list(documents.bodies.values())
    try:
        with progress(f"checking {len(bodies)} resources"):
            plan = catalog().plan(Edit(upserts=bodies, prune=prune), strict=strict)
            warnings = catalog().warnings(bodies)
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(documents.placed(rejected))) from None
    print_warnings(warnings)
    if dry_run:
        preview(plan, as_json)
    else:
        carry_out(plan, strict=strict, yes=yes, as_json=as_json)


def _documents(files: Sequence[str]) -> Documents:
    try:
        with progress("reading"):
            return Documents(files)
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(rejected)) from None


@click.command("list", short_help="List the resources of a type.")
@type_argument
@json_option
@with_appcontext
def list_(type_: str, as_json: bool) -> None:
    """List the resources of a TYPE: IdentityProvider, TokenIntrospector or AccessPolicy.

    Secrets are masked. What has no room on a terminal is shortened, or left out at the end; "get" and --json print all.

    \b
    Example:
        flask foreign-token list AccessPolicy
        flask foreign-token list tokenintrospector --json
    """
    stored = _existing_catalog()
    bodies = [found.body for found in stored.list(type_)]
    unreadable = stored.unreadable(type_)
    if as_json:
        print_json(bodies)
    elif bodies:
        print_table(*table_of(type_, bodies), whole=("id",))
    elif not unreadable:
        print_note(f"no {type_} is stored")
    _refuse_incomplete("listed", unreadable)


@click.command("get", short_help="Print one resource.")
@type_argument
@click.argument("id_", metavar="ID")
@json_option
@with_appcontext
def get(type_: str, id_: str, as_json: bool) -> None:
    """Print one resource as YAML, with its secrets masked.

    \b
    Example:
        flask foreign-token get IdentityProvider keycloak
    """
    stored = _existing_catalog()
    found = stored.get((type_, id_))
    if found is None:
        if unreadable := stored.unreadable(type_, id_):
            raise Failure(f"{type_}/{id_}: is stored, but cannot be read:", *map(str, unreadable))
        known = [other.key[1] for other in stored.list(type_)]
        raise Failure(f"{type_}/{id_}: is not stored{nearest(id_, known)}")
    print_resource(found.body, as_json)


@click.command("delete", short_help="Delete resources.")
@type_argument
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_appcontext
def delete(type_: str, ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete resources of one TYPE: all that are named, or none.

    On a terminal it says what it would delete, and asks first; elsewhere it goes ahead. What another resource refers
    to is not deleted.

    \b
    Example:
        flask foreign-token delete AccessPolicy readers writers
    """
    keys: list[Key] = [(type_, id_) for id_ in dict.fromkeys(ids)]
    try:
        plan = catalog().plan(Edit(deletes=keys))
    except Rejected as rejected:
        raise Failure(NOTHING_CHANGED, *reasons(rejected)) from None
    carry_out(plan, strict=False, yes=yes, as_json=as_json)


@click.command("export", short_help="Print all resources.")
@json_option
@with_appcontext
def export(as_json: bool) -> None:
    """Print all resources as a stream of YAML documents, or as one JSON array.

    "apply" takes what it prints. Secrets are masked: where they are stored they stay as they are, elsewhere they have
    to be written in first. So it is no backup; back up the database. Times and versions are left out, and users are not
    part of it. Attributes are in alphabetical order, so that two exports can be compared, whether they come from a
    database or from a file.

    \b
    Example:
        flask foreign-token export > resources.yaml
    """
    stored = _existing_catalog()
    with progress("reading the registry"):
        bodies = [_in_order(without_meta(found.body)) for type_ in SCHEMAS for found in stored.list(type_)]
    if as_json:
        print_json(bodies)
    else:
        print_yaml(bodies)
    if masked := [_name_of(body) for body in bodies if _is_masked(body)]:
        print_note(f'secrets are masked ("{MASK}") in {", ".join(masked)}')
    _refuse_incomplete("printed", stored.unreadable())


def _refuse_incomplete(verb: str, unreadable: Sequence[Issue]) -> None:
    if unreadable:
        raise Failure(f"what is {verb} is not all, since this cannot be read:", *map(str, unreadable))


def _existing_catalog() -> Catalog:
    """The registry to read from.

    :raises Failure: it is a file that nobody has made yet, so that the app lets nobody in.
    """
    file = application().registry_file
    if file is not None and not file.exists():
        raise Failure(f"{file}: does not exist yet; `{program()} apply` makes it")
    return catalog()


def _in_order(body: Mapping[str, object]) -> dict[str, object]:
    """`body` with its members in one order wherever it is kept, what it is called first."""
    named = {name: body[name] for name in ("resourceType", "id")}
    return named | {name: _sorted(body[name]) for name in sorted(body) if name not in named}


def _sorted(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _sorted(value[name]) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return list(map(_sorted, value))
    return value


def _name_of(body: Mapping[str, object]) -> str:
    return f"{body['resourceType']}/{body['id']}"


def _is_masked(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_masked, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_is_masked, value))
    return value == MASK
