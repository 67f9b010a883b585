"""Where a program goes after a block: on, out of a loop, or back to the caller."""

from __future__ import annotations

from typing import Any

from unslow.native.tracing.array import is_traced
from unslow.native.tracing.merging import MISSING
from unslow.native.untranslatable import Untranslatable

BREAK, CONTINUE, RETURN = 1, 2, 3


class Flow:
    """`kind` is 0 where the program goes on; it may be traced. `value` is what is returned."""

    def __init__(self, kind: Any, value: Any) -> None:
        self.kind = kind
        self.value = value

    def merge_parts(self) -> list[Any]:
        return [self.kind, self.value]

    def merge_same(self) -> None:
        return None


NORMAL = Flow(0, MISSING)


def settled(flow: Flow) -> Any:
    """What a function returns.

    Raises:
        Untranslatable: on some course it returns nothing.
    """
    if is_traced(flow.kind):
        raise Untranslatable("the function ends without `return` on one course of the program")
    return flow.value if flow.kind == RETURN else None
