"""What the source tells of an array or tensor: its side of the border, its dtype, its shape."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from unslow.source.bindings import Binding
    from unslow.source.module import Module

MOST_DEPTH = 25

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Facts:
    """`side`: `None` where it may be anything. `shape`: `None` where not even its rank is known.

    A "variable" is a tensor in ops, but what it holds may change.
    """

    side: Literal["array", "tensor", "variable", "number"] | None = None
    dtype: str | None = None
    shape: Shape | None = None

    @property
    def size(self) -> int | None:
        """How many numbers it holds; `None` where that is not known."""
        if self.shape is None or None in self.shape:
            return None
        return math.prod(length for length in self.shape if length is not None)

    @property
    def length(self) -> int | None:
        """Its first dimension; `None` where that is not known."""
        return self.shape[0] if self.shape else None


NOTHING_KNOWN = Facts()

IN_PROGRESS = Facts(dtype="?")
"""What is being worked out already, such as `x` in `x = f(x)`: it adds nothing to the answer."""


NUMPY_NUMBER = "NumPy's"
"""The dtype of a number that has one, though not which, and may give it to an array."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


_GENERATORS = frozenset({"numpy.random.default_rng", "numpy.random.RandomState"})

_DRAWS = {
    "random": 0,
    "random_sample": 0,
    "standard_normal": 0,
    "standard_exponential": 0,
    "exponential": 1,
    "poisson": 1,
    "normal": 2,
    "uniform": 2,
    "integers": 2,
    "randint": 2,
    "gamma": 2,
    "beta": 2,
}
"""Where the `size` of a generator's method stands."""

_WHOLE = frozenset({"integers", "randint", "poisson"})

_FILLED = frozenset({"zeros", "ones", "empty", "full", "fill", "eye", "identity"})

_TENSOR_DRAWS = frozenset(
    f"tensorflow.random.{name}"
    for name in (
        *("normal", "uniform", "truncated_normal", "gamma", "poisson"),
        *("stateless_normal", "stateless_uniform", "stateless_truncated_normal"),
    )
)

_MADE_OF = frozenset(
    {
        *("tensorflow.constant", "tensorflow.convert_to_tensor", "tensorflow.Variable"),
        *("numpy.array", "numpy.asarray", "numpy.ascontiguousarray", "numpy.copy"),
    }
)

_SAME_SHAPE = frozenset(
    f"{library}.{name}"
    for library in ("tensorflow", "tensorflow.math", "tensorflow.nn", "numpy")
    for name in words("""
    abs cos exp floor identity log log1p log_softmax negative ones_like relu round rsqrt sigmoid
    sign sin softmax softplus sqrt square stop_gradient tan tanh zeros_like gelu elu clip_by_value
    clip_by_norm cumsum clip sort
    """)
)

_SAME_DTYPE = frozenset(
    f"{library}.{name}"
    for library in ("tensorflow", "tensorflow.math", "tensorflow.linalg", "numpy")
    for name in words("""
    expand_dims l2_normalize matmul matvec maximum minimum multiply add subtract divide pad
    reduce_max reduce_mean reduce_min reduce_prod reduce_std reduce_sum repeat reshape reverse
    squeeze tensordot tile transpose inv
    """)
)

_BINARY = frozenset(
    {"add", "divide", "matmul", "maximum", "minimum", "multiply", "subtract", "tensordot"}
)
"""Functions whose result has the wider of its operands' data types, in NumPy."""

_WIDE = frozenset({"float64", "float32", "float16", "bfloat16", "complex64", "complex128"})


def facts(module: Module, expression: ast.expr) -> Facts:
    """What is sure of an expression."""
    found = _Reader(module).read(expression, 0)
    return NOTHING_KNOWN if found is IN_PROGRESS else found


class _Reader:
    def __init__(self, module: Module) -> None:
        self._module = module
        self._reading: set[ast.AST] = set()

    def read(self, node: ast.expr, depth: int) -> Facts:
        if node in self._reading:
            return IN_PROGRESS
        if depth > MOST_DEPTH:
            return NOTHING_KNOWN
        self._reading.add(node)
        try:
            found = self._read(node, depth + 1)
        finally:
            self._reading.discard(node)
        if found is IN_PROGRESS:
            return IN_PROGRESS
        if found.side is None:
            value = self._module.value(node)
            if value.kind in ("array", "tensor"):
                side: Literal["array", "tensor"] = "array" if value.kind == "array" else "tensor"
                return replace(found, side=side, dtype=found.dtype or value.dtype)
            if value.kind == "variable":
                return replace(found, side="variable", dtype=found.dtype or value.dtype)
            if value.kind == "scalar":
                return Facts("number", shape=())
            if value.kind == "numpy-scalar":
                return Facts("number", NUMPY_NUMBER, ())
        return found

    def _read(self, node: ast.expr, depth: int) -> Facts:
        if isinstance(node, ast.Name):
            return self._name(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
            return self.read(node.operand, depth)
        if isinstance(node, ast.BinOp):
            left, right = self.read(node.left, depth), self.read(node.right, depth)
            return _combined(left, right, node.op)
        if isinstance(node, ast.Subscript):
            return self._subscript(node, depth)
        if isinstance(node, ast.Attribute) and node.attr == "T":
            base = self.read(node.value, depth)
            return replace(base, shape=base.shape and base.shape[::-1])
        return NOTHING_KNOWN

    def _name(self, name: ast.Name, depth: int) -> Facts:
        bindings = self._module.bindings(name)
        if not bindings:
            return NOTHING_KNOWN
        every = [self._bound(each, depth) for each in bindings]
        known = [each for each in every if each is not IN_PROGRESS]
        return joined(known) if known else IN_PROGRESS

    def _bound(self, binding: Binding, depth: int) -> Facts:
        """What a binding gives its name."""
        value = binding.value
        if isinstance(value, ast.Tuple) and binding.kind == "assign" and len(binding.path) == 1:
            written = not any(isinstance(each, ast.Starred) for each in value.elts)
            position = binding.path[0]
            if written and 0 <= position < len(value.elts):
                return self.read(value.elts[position], depth)
        if value is None or binding.path:
            return NOTHING_KNOWN
        if binding.kind == "assign":
            return self.read(value, depth)
        if binding.kind == "for":
            whole = self.read(value, depth)
            if whole.side in ("array", "tensor", "variable"):
                row = whole.shape[1:] if whole.shape else None
                return Facts("array" if whole.side == "array" else "tensor", whole.dtype, row)
        return NOTHING_KNOWN

    def _subscript(self, node: ast.Subscript, depth: int) -> Facts:
        base = self.read(node.value, depth)
        if base.side is None:
            return base
        shape = None
        index = node.slice
        plain = not isinstance(index, (ast.Slice, ast.Tuple, ast.List))
        if base.shape and plain and self._module.value(index).kind == "scalar":
            shape = base.shape[1:]
        elif base.shape and isinstance(index, ast.Slice):
            shape = (None, *base.shape[1:])
        if base.side in ("tensor", "variable"):
            return Facts("tensor", base.dtype, shape)
        return Facts(base.side if shape or not plain else None, base.dtype, shape)

    def _call(self, call: ast.Call, depth: int) -> Facts:
        module = self._module
        if module.has_star(call):
            return NOTHING_KNOWN
        if isinstance(call.func, ast.Attribute):
            found = self._method(call, call.func, depth)
            if found is not None:
                return found
        name = module.qualified(call.func) or ""
        library, _, last = name.rpartition(".")
        side: Literal["array", "tensor"] = "array" if name.startswith("numpy.") else "tensor"
        if library == "numpy.random":
            return self._draw(call, last)
        if name in _TENSOR_DRAWS:
            dtype = self._asked(call, None)
            default = None if "gamma" in last or "poisson" in last else "float32"
            return Facts("tensor", default if dtype is None else dtype or None, self._shape(call))
        if library in ("numpy", "tensorflow") and last in _FILLED:
            return self._filled(call, side, last)
        if name in ("numpy.linspace", "numpy.logspace", "numpy.geomspace"):
            count = self._integer(module.argument(call, 2, "num"), 50)
            dtype = self._asked(call, 5)
            return Facts("array", "float64" if dtype is None else dtype or None, (count,))
        if name in ("numpy.arange", "tensorflow.range"):
            count = self._integer(call.args[0], None) if len(call.args) == 1 else None
            return Facts(side, self._asked(call, None) or None, (count,))
        if name in _MADE_OF and call.args:
            return self._made_of(call, name, side, depth)
        if name == "tensorflow.cast" and call.args:
            dtype = self._asked(call, 1)
            return Facts("tensor", dtype or None, self.read(call.args[0], depth).shape)
        return self._computed(call, name, side, depth)

    def _computed(
        self, call: ast.Call, name: str, side: Literal["array", "tensor"], depth: int
    ) -> Facts:
        if not call.args or not (name in _SAME_SHAPE or name in _SAME_DTYPE):
            return NOTHING_KNOWN
        first = self.read(call.args[0], depth)
        if first is IN_PROGRESS:
            if name in _SAME_SHAPE or len(call.args) < 2:
                return IN_PROGRESS
        elif first.side is None or (side == "array" and first.side != "array"):
            return NOTHING_KNOWN
        if name in _SAME_SHAPE:
            dtype = first.dtype if first.dtype in _WIDE else None
            return Facts(side, None if self._asked(call, None) is not None else dtype, first.shape)
        operands = [self.read(each, depth) for each in call.args[:2]]
        held = [each.dtype for each in operands if each.side not in (None, "number")]
        dtypes = set(held) & _WIDE
        dtype = dtypes.pop() if len(dtypes) == 1 else None
        promoted = side == "array" and name.rpartition(".")[2] in _BINARY
        if promoted and (len(held) < 2 or None in held):
            dtype = None
        shape: Shape | None = None
        if name.endswith(".reshape"):
            shape = self._written_shape(self._module.argument(call, 1, "shape"))
        elif ".reduce_" in name and len(call.args) == 1 and not call.keywords:
            shape = ()
        return Facts(side, dtype, shape)

    def _method(self, call: ast.Call, function: ast.Attribute, depth: int) -> Facts | None:
        name = function.attr
        if name in _DRAWS:
            if self._generator(function.value):
                return self._draw(call, name)
            return None
        if name in ("astype", "reshape", "copy", "transpose", "clip", "round", "cumsum"):
            base = self.read(function.value, depth)
            if base.side != "array":
                return None
            if name == "astype":
                dtype = self._asked(call, 0)
                return replace(base, dtype=dtype or None)
            if name == "reshape":
                shape = self._written_shape(call.args[0]) if len(call.args) == 1 else None
                if len(call.args) > 1:
                    shape = self._lengths(call.args)
                return replace(base, shape=shape)
            if name in ("transpose", "cumsum"):
                return replace(base, shape=None)
            return base
        if name == "numpy" and not call.args:
            base = self.read(function.value, depth)
            if base.side == "tensor" and base.shape != ():
                return replace(base, side="array" if base.shape else None)
        return None

    def _generator(self, node: ast.expr) -> bool:
        """Whether an expression is a NumPy generator of random numbers."""
        if isinstance(node, ast.Call):
            return self._module.qualified(node.func) in _GENERATORS
        if not isinstance(node, ast.Name):
            return False
        bindings = self._module.bindings(node)
        return bool(bindings) and all(
            each.kind == "assign"
            and not each.path
            and isinstance(each.value, ast.Call)
            and self._module.qualified(each.value.func) in _GENERATORS
            for each in bindings or ()
        )

    def _draw(self, call: ast.Call, name: str) -> Facts:
        if name in ("rand", "randn"):
            shape = self._lengths(call.args)
            return Facts("array", "float64", shape) if call.args else Facts("number", shape=())
        if name not in _DRAWS:
            return NOTHING_KNOWN
        size = self._module.argument(call, _DRAWS[name], "size")
        if size is None:
            return NOTHING_KNOWN
        dtype = self._asked(call, None)
        if dtype is None and len(call.args) > _DRAWS[name] + 1:
            dtype = ""
        default = None if name in _WHOLE else "float64"
        shape_found = self._written_shape(size)
        return Facts("array", default if dtype is None else dtype or None, shape_found)

    def _filled(self, call: ast.Call, side: Literal["array", "tensor"], name: str) -> Facts:
        position = {"full": 2, "fill": None, "eye": 3 if side == "array" else None}.get(name, 1)
        dtype = self._asked(call, position)
        if dtype is None and name not in ("full", "fill"):
            dtype = "float64" if side == "array" else "float32"
        shape = self._shape(call)
        if name in ("eye", "identity") and shape:
            shape = (shape[0], shape[0] if len(call.args) == 1 else None)
        return Facts(side, dtype or None, shape)

    def _made_of(
        self, call: ast.Call, name: str, side: Literal["array", "tensor"], depth: int
    ) -> Facts:
        asked = self._asked(call, None if name == "tensorflow.Variable" else 1)
        variable = name == "tensorflow.Variable"
        made: Literal["array", "tensor", "variable"] = "variable" if variable else side
        source = call.args[0]
        written = self._module.constant(source)
        if isinstance(written, (list, tuple, int, float)):
            shape = _literal_shape(written)
            return Facts(made, asked or None, shape)
        given = self.read(source, depth)
        if given.side in ("array", "tensor", "variable"):
            return Facts(made, given.dtype if asked is None else asked or None, given.shape)
        if isinstance(source, (ast.List, ast.Tuple)):
            plain = not any(isinstance(each, ast.Starred) for each in source.elts)
            numbers = plain and all(self.read(e, depth).side == "number" for e in source.elts)
            return Facts(made, asked or None, (len(source.elts),) if numbers else None)
        return Facts(made, asked or None, None)

    def _asked(self, call: ast.Call, position: int | None) -> str | None:
        """The dtype a call asks for; "" for one that is not known, `None` where it asks none."""
        argument = self._module.argument(call, position, "dtype")
        if argument is None:
            return None
        return dtype_of(self._module, argument) or ""

    def _shape(self, call: ast.Call) -> Shape | None:
        argument = self._module.argument(call, 0, "shape")
        return None if argument is None else self._written_shape(argument)

    def _written_shape(self, node: ast.expr | None) -> Shape | None:
        if node is None:
            return None
        if isinstance(node, (ast.Tuple, ast.List)):
            return self._lengths(node.elts)
        value = self._module.constant(node)
        if isinstance(value, (tuple, list)):
            return tuple(each if _is_length(each) else None for each in value)
        if _is_length(value):
            return (value,)
        return (None,) if self._module.value(node).kind == "scalar" else None

    def _lengths(self, nodes: Iterable[ast.expr]) -> Shape | None:
        nodes = list(nodes)
        if any(isinstance(each, ast.Starred) for each in nodes):
            return None
        return tuple(self._integer(each, None) for each in nodes)

    def _integer(self, node: ast.expr | None, default: int | None) -> int | None:
        if node is None:
            return default
        value = self._module.constant(node)
        return value if _is_length(value) else None


def dtype_of(module: Module, node: ast.expr) -> str | None:
    """The dtype that an expression names: `tf.float32`, `np.float64`, `"float32"`, `float`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    name = module.qualified(node) or ""
    library, _, last = name.rpartition(".")
    if library in ("tensorflow", "tensorflow.dtypes", "numpy"):
        return {"double": "float64", "single": "float32", "bool_": "bool"}.get(last, last)
    return {"float": "float64", "int": "int64", "bool": "bool"}.get(name)


def _is_length(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _literal_shape(value: object) -> Shape:
    if isinstance(value, (list, tuple)):
        return (len(value), *(_literal_shape(value[0]) if value else ()))
    return ()


def joined(every: list[Facts]) -> Facts:
    """What is sure of something that may be any of these."""
    if not every:
        return NOTHING_KNOWN
    first = every[0]
    if any(each.side != first.side for each in every):
        return NOTHING_KNOWN
    dtype = first.dtype if all(each.dtype == first.dtype for each in every) else None
    shape = first.shape if all(each.shape == first.shape for each in every) else None
    return Facts(first.side, dtype, shape)


def _as_operand(found: Facts) -> Facts:
    return replace(found, side="tensor") if found.side == "variable" else found


def _combined(left: Facts, right: Facts, operator: ast.operator) -> Facts:
    if left is IN_PROGRESS or right is IN_PROGRESS:
        known = right if left is IN_PROGRESS else left
        if known.side == "tensor":
            return replace(known, shape=None)
        return IN_PROGRESS if known is IN_PROGRESS or known.side == "number" else NOTHING_KNOWN
    left, right = _as_operand(left), _as_operand(right)
    sides = {left.side, right.side}
    if sides == {"number"}:
        return Facts("number", shape=())
    if None in sides and "tensor" not in sides:
        return NOTHING_KNOWN
    side: Literal["array", "tensor"] = "tensor" if "tensor" in sides else "array"
    one, other = (left, right) if left.side == side else (right, left)
    if other.side == "number":
        keeps = one.dtype in _WIDE and (side == "tensor" or other.dtype != NUMPY_NUMBER)
        return replace(one, dtype=one.dtype if keeps else None)
    dtype = one.dtype if one.dtype == other.dtype else None
    if side == "tensor" and other.side == "array":
        dtype = one.dtype
    elementwise = not isinstance(operator, ast.MatMult)
    shape = one.shape if elementwise and one.shape == other.shape else None
    return Facts(side, dtype, shape)
