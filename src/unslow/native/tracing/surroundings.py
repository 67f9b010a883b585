"""What becomes of the ops that are being made."""

from __future__ import annotations

from typing import Any

from unslow import seams

_VECTORISED = "loop_body"
"""The name scope in which `tf.vectorized_map` has its function called."""


def compiled() -> bool:
    """Whether XLA compiles them: some ops have no kernel there."""
    return seams.is_compiled_by_xla(seams.default_graph())


def vectorised() -> bool:
    """Whether `tf.vectorized_map` makes ops on batches of them: it turns some into slow loops."""
    graph: Any = seams.default_graph()
    while graph is not None:
        if _VECTORISED in graph.get_name_scope().split("/"):
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


def any_op_will_do() -> bool:
    """Whether ops made here are run as they are, neither compiled by XLA nor vectorised."""
    return not compiled() and not vectorised()
