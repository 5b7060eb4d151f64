"""Base64url as JOSE has it: without padding, and one text for each value (:rfc:`7515#section-2`)."""

from __future__ import annotations

import base64


def decode(text: bytes) -> bytes:
    """The octets that `text` stands for.

    :raises ValueError: it holds a character outside the alphabet, padding, or bits that no octet needs.
    """
    # The standard decoder drops what it does not know; what was dropped is missing when the answer is encoded again.
    octets = base64.urlsafe_b64decode(text + b"==")
    if encode(octets) != text:
        raise ValueError("not base64url")
    return octets


def encode(octets: bytes) -> bytes:
    """The one text that stands for `octets`."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
