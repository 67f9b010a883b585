"""Tracing, graphs and sessions."""
