"""Reads a program without running it: its text, its names, its values, and edits of it."""
