"""``flask foreign-token …``: what is trusted, and who was let in, shown and changed from the command line."""

from __future__ import annotations

from .doctor import doctor
from .explain import explain
from .failures import Commands
from .history import history, rollback
from .identifiers import link, rebind, unlink
from .personal_data import export_user, forget
from .policy import policy
from .provider import provider
from .resources import apply, delete, export, get, list_
from .users import users

commands = Commands(
    "foreign-token",
    help="""Show and change what the app trusts, and whom it lets in.

    What is trusted are resources: an IdentityProvider says whose users they are, a TokenIntrospector how their tokens
    are checked, an AccessPolicy which requests are allowed. They are kept where FOREIGN_TOKEN_REGISTRY says, in the
    database or in a JSON file; the commands work on either, and what they change is in force within a second.

    Every failure ends with status 1 and a line on stderr that says why.

    \b
    Example:
        flask foreign-token apply resources.yaml
        flask foreign-token list AccessPolicy
    """,
)
for _command in (link, unlink, rebind, export_user, forget):
    users.add_command(_command)
for _command in (provider, apply, list_, get, delete, export, history, rollback, users, policy, doctor, explain):
    commands.add_command(_command)
