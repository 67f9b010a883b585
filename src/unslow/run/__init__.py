"""The run as a whole: the parent that guards and reports, the child that runs the program."""
