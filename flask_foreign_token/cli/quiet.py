"""Says nothing twice: what a command reports itself need not come on stderr as a line of the log too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_PACKAGE = __name__.partition(".")[0]


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block, warnings of the package reach the handlers that the app has set up, and no others."""
    logger, handler = logging.getLogger(_PACKAGE), logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
