"""How near a function of ours comes to the library's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """The greatest difference of a value, by the dtype of the result.

    Integers differ by `integer` at most; floats by so much of the range, which is the greatest
    absolute value of input, fill value and result. All zero: the results are the same.
    """

    integer: int = 0
    float32: float = 0.0
    float64: float = 0.0
    note: str = ""

    def of(self, dtype: str) -> float:
        """The tolerance of a dtype by its name."""
        return {"float32": self.float32, "float64": self.float64}.get(dtype, float(self.integer))

    def __str__(self) -> str:
        if not (self.integer or self.float32 or self.float64):
            text = "exact"
        else:
            whole = f"integers {self.integer}" if self.integer else "integers exact"
            text = f"{whole}, float32 {self.float32:g} and float64 {self.float64:g} of the range"
        return f"{text}; {self.note}" if self.note else text
