"""Watches TensorFlow from inside the program, one file per thing watched."""
