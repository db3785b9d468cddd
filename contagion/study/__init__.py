"""Experiments: a run and its twins, and what is built from many runs."""
