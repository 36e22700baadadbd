"""The commands, a module for each kind. `fanfold.cli.app` lists them all."""
