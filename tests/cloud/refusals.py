"""The one answer to what this cloud does not emulate: it says so, and does not pretend."""

from __future__ import annotations


class NotEmulated(Exception):
    """A template, a state machine or a call asks for something that would not be real here."""
