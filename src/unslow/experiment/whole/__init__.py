"""Whole programs, run as they are and with edits laid over their source."""
