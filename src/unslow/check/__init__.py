"""Reads source and says what looks slow in it, and mends what it is asked to."""
