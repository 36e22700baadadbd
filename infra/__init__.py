"""The stacks that put Fanfold into an AWS account; used by `app.py` alone."""
