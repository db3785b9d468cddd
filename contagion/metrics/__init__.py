"""Measures of a run: pure functions from tables to numbers. They never import the engine."""
