"""What is raised where Python code has no equal in TensorFlow's ops."""

from __future__ import annotations


class Untranslatable(Exception):
    """Code that cannot become TensorFlow ops with the same results, and why.

    `reason` is a sentence. `path`, `line` and `expression` name the user's code; where the
    reason was found deeper down they are empty, and are filled in on the way up.
    """

    def __init__(
        self, reason: str, path: str = "", line: int | None = None, expression: str = ""
    ) -> None:
        super().__init__(reason, path, line, expression)
        self.reason = reason
        self.path = path
        self.line = line
        self.expression = expression

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}: " if self.line is not None else ""
        what = f"`{self.expression}`: " if self.expression else ""
        return f"{where}{what}{self.reason}"
