"""Experiments: what another way would give, and whether it gives the same."""
