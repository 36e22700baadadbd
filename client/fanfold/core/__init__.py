"""The nouns and rules that every other part knows: jobs, events, ids, options, prices and the fold."""
