"""The app that a gunicorn of :mod:`.servers` serves; environment variables say which one.

Each imports what it needs itself, and nothing of the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from flask import Flask

from .bare import bare_app

if TYPE_CHECKING:
    from .peers import Provider

BARE = "bare Flask"
THIS_PACKAGE = "this package"

_SUBJECT, _PROVIDER, _FOLDER = "BENCHMARK_SUBJECT", "BENCHMARK_PROVIDER", "BENCHMARK_FOLDER"


def environment(subject: str, provider: Provider, folder: str) -> Mapping[str, str]:
    """What :func:`app` is told.

    :param subject: :data:`BARE`, :data:`THIS_PACKAGE`, or the name of a peer.
    :param folder: where this package has its registry and its users.
    """
    return {_SUBJECT: subject, _PROVIDER: json.dumps(asdict(provider)), _FOLDER: folder}


def app() -> Flask:
    """The app of one subject."""
    subject = os.environ[_SUBJECT]
    if subject == BARE:
        return bare_app()
    if subject == THIS_PACKAGE:
        from .subjects import app_in

        return app_in(os.environ[_FOLDER])
    from .peers import PEERS, Provider

    make = next(peer.make for peer in PEERS if peer.name == subject)
    return make(Provider(**json.loads(os.environ[_PROVIDER])))
