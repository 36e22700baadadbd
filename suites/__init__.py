"""The tests of other projects, run on Fanfold: `make suites`. No line of theirs is kept here."""
