"""How a function travels: as source text with all it refers to, captured here and loaded in a worker.

Import the part you need: `fanfold.source.capture` on the caller's side, `fanfold.source.load` in a worker.
"""
