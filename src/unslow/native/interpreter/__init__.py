"""Runs a user's Python function on traced arrays, statement by statement."""
