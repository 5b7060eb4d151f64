"""Lines in the log that decide nothing."""

from __future__ import annotations

import logging
from contextlib import suppress


def tell(logger: logging.Logger, level: int, text: str, *arguments: object) -> None:
    """Log, whatever the app's handlers raise: what is decided must not depend on who is told of it."""
    with suppress(Exception):
        logger.log(level, text, *arguments, stacklevel=2)
