"""Accept bearer tokens that somebody else issued."""

from .decorators import require_policy
from .extension import ForeignToken

__all__ = ["ForeignToken", "require_policy"]
