"""The local engine: worker processes on this machine, no account anywhere."""
