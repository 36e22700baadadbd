"""What every part of Fanfold agrees on: words, limits, keys and machines.

Nothing here imports anything else of Fanfold, so the infrastructure code may use it as it stands.
"""
