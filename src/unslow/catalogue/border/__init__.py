"""Python and NumPy at the border of TensorFlow."""
