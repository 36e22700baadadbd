"""The nouns and rules that every other part knows: jobs, events, ids, options, prices and the fold."""

from __future__ import annotations

#: A float, and so a number of JavaScript, holds each integer up to this one.
EXACT_IN_FLOATS = 2**53
#: What the bundle that this process has loaded is made of, by number: its classes are the submitter's own.
bundled: dict[int, object] = {}
