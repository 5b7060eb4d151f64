"""What is raised by what others wrote, an engine of another package or a policy in Python; the matter of that one
policy alone."""

from __future__ import annotations

from typing import Final

FAILURES: Final = (Exception, SystemExit)
"""What such code raises when it goes wrong. ``sys.exit`` is meant to end a command, and must not end a server that
reads a policy. The rest comes from outside, such as KeyboardInterrupt or the time limit of a server, and is meant for
whoever runs the code."""
