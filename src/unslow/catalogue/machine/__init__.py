"""The machine and how TensorFlow is set up on it."""
