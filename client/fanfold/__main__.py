"""`python -m fanfold`: the command line, for an environment whose scripts are not on the path."""

from fanfold.cli import main

main()
