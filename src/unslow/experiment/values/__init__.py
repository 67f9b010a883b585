"""Results in a form that can be kept, and whether two of them are the same."""
