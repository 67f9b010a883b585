"""Arrays whose values are known only when the graph runs."""
