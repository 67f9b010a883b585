"""What the source tells of the values that a graph is fed: their dimensions, and arrays."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from unslow.catalogue.graphs import _source

if TYPE_CHECKING:
    from unslow.source.module import Module


def names(text: str) -> frozenset[str]:
    """The functions of TensorFlow that a text names, as qualified names."""
    return frozenset(f"tensorflow.{name}" for name in text.split())


IMAGES = {
    "tensorflow.io.decode_bmp": 3,
    "tensorflow.io.decode_gif": 4,
    "tensorflow.io.decode_jpeg": 3,
    "tensorflow.io.decode_png": 3,
}
"""The number of dimensions of what they return."""

SAME_RANK = names(
    """
    abs cast exp identity image.convert_image_dtype image.flip_left_right image.flip_up_down
    image.per_image_standardization image.resize image.rgb_to_grayscale nn.relu sqrt square tanh
    """
)

GENERATORS = frozenset({"numpy.random.default_rng", "numpy.random.RandomState"})
DRAWS = frozenset({"integers", "normal", "random", "standard_normal", "uniform"})


def is_array(module: Module, expression: ast.expr) -> bool:
    """Whether an expression surely is a NumPy array of one dimension or more."""
    if module.value(expression).kind == "array":
        return True
    made = _source.maker(module, expression)
    if made is None or not isinstance(made.func, ast.Attribute) or made.func.attr not in DRAWS:
        return False
    generator = _source.maker(module, made.func.value)
    if generator is None or module.qualified(generator.func) not in GENERATORS:
        return False
    return any(
        isinstance(each, (ast.Tuple, ast.List)) and each.elts
        for each in (*made.args, *(given.value for given in made.keywords if given.arg == "size"))
    )


def rank(module: Module, expression: ast.expr, depth: int = 0) -> int | None:
    """The number of dimensions of a tensor, where the source tells it."""
    if depth > 8:
        return None
    if isinstance(expression, ast.Name):
        binding = _source.only_binding(module, expression)
        if binding is None or binding.kind != "assign" or binding.path or binding.value is None:
            return None
        return rank(module, binding.value, depth + 1)
    if isinstance(expression, ast.BinOp):
        for one, other in (
            (expression.left, expression.right),
            (expression.right, expression.left),
        ):
            if isinstance(module.constant(other), (int, float)):
                return rank(module, one, depth + 1)
        return None
    if not isinstance(expression, ast.Call) or module.has_star(expression):
        return None
    name = module.qualified(expression.func) or ""
    if name in IMAGES:
        return IMAGES[name]
    if name == "tensorflow.placeholder":
        shape = module.argument(expression, 1, "shape")
        return len(shape.elts) if isinstance(shape, (ast.Tuple, ast.List)) else None
    if name in SAME_RANK and expression.args:
        return rank(module, expression.args[0], depth + 1)
    if name == "tensorflow.expand_dims" and expression.args:
        inner = rank(module, expression.args[0], depth + 1)
        return None if inner is None else inner + 1
    return None
