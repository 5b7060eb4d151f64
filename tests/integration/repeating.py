"""How often what depends on luck is tried: once, or as often as the numbers of the project ask (``make test-long``)."""

from __future__ import annotations

import os

TIMES = 20 if os.environ.get("LONG") else 1
