"""The nouns and rules that every other part knows: jobs, events, ids, options, prices and the fold."""

from __future__ import annotations

#: What the bundle that this process has loaded is made of, by number: its classes are the submitter's own.
bundled: dict[int, object] = {}
