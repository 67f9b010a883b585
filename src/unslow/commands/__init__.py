"""The commands: each one parses its options, calls the room that does the work, and renders."""
