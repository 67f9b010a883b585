"""Watches TensorFlow from inside the program: the clock, one file per thing watched, the Recording."""
