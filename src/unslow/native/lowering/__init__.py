"""NumPy's functions as TensorFlow's ops, one module a family. A module is found by being here."""
