"""What users need to know of a provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .to_scim import Path
from .userinfo import UserinfoSource


@dataclass(frozen=True, slots=True)
class Provider:
    """What users need to know of an IdentityProvider.

    :param version: changes whenever anything else here does, but for the keys that `userinfo` verifies with.
    :param to_scim: rules that :func:`~.to_scim.check_to_scim` lets pass.
    :param create_user: none: as the app says.
    :param match_by: by what an unknown subject is taken for a user who is there already; none: by nothing.
    :param userinfo_refresh: seconds after which a token that is new here refreshes what is known of its user.
    """

    id: str
    version: str
    system: str
    to_scim: Mapping[str, Path]
    create_user: bool | None
    userinfo: UserinfoSource
    match_by: Literal["email"] | None = None
    userinfo_refresh: float = 3600
