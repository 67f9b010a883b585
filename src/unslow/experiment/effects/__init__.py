"""Whether functions act outside the process, as far as their source shows."""
