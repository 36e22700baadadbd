"""Fanfold scales a Python function out."""
