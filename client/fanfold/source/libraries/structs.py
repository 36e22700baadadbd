"""Decoders and encoders of msgspec's: they do not say to pickle what they were made of, and keep it."""

from __future__ import annotations

from typing import Any

_SETTINGS = "type strict dec_hook ext_hook float_hook enc_hook decimal_format uuid_format order".split()


def made_of(coder: Any) -> dict[str, Any]:
    """The settings that make one anew."""
    return {name: getattr(coder, name) for name in _SETTINGS if hasattr(coder, name)}
