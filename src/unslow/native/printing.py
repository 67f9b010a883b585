"""A translation as TensorFlow source that stands by itself."""

from __future__ import annotations

import base64
import keyword
import zlib
from typing import Any

import numpy as np
import tensorflow as tf

from unslow.native import ops
from unslow.native.function import Translation
from unslow.native.untranslatable import Untranslatable

LONGEST = 64
"""Known arrays of more elements are written in a packed form."""


def source_of(translation: Translation) -> str:
    """The source of a function of TensorFlow that does what the translation does.

    Raises:
        Untranslatable: a step was not recorded.
    """
    return _Printer(translation).text()


class _Printer:
    def __init__(self, translation: Translation) -> None:
        self.translation = translation
        self.names: dict[int, str] = {}
        self.used = 0
        self.packed = False
        self.records: dict[type, str] = {}

    def text(self) -> str:
        made = self.translation
        parameters = []
        for name, each in zip(made.parameters, made.inputs, strict=True):
            self.names[id(each)] = name
            parameters.append(name)
        body = self._block(made.block, 1)
        body.append(f"    return {self._value(made.structure)}")
        free = made.name.isidentifier() and not keyword.iskeyword(made.name)
        taken = [*_IMPORTED, *self.records.values()]
        name = made.name if free and made.name not in taken else "translated"
        head = ["import numpy as np", "import tensorflow as tf"]
        if self.records:
            head = ["import collections", "", *head, "", *self._definitions()]
        if self.packed:
            head = ["import base64", "import zlib", "", *head, "", "", *_UNPACK]
        return "\n".join([*head, "", "", f"def {name}({', '.join(parameters)}):", *body, ""])

    def _block(self, block: ops.Block, depth: int) -> list[str]:
        indent = "    " * depth
        lines: list[str] = []
        for step in _live(block):
            for place, inner in enumerate(step.blocks):
                lines += self._function(step, place, inner, depth)
            values = self._call(step)
            lines.append(f"{indent}{self._bind(step.result)} = {values}")
        return lines

    def _function(self, step: ops.Step, place: int, block: ops.Block, depth: int) -> list[str]:
        indent = "    " * depth
        names = [self._name(each) for each in block.parameters]
        title = self._new(
            ("test", "body")[place] if step.function == ops.WHILE else ("then", "otherwise")[place]
        )
        self.names[id(block)] = title
        lines = [f"{indent}def {title}({', '.join(names)}):"]
        lines += self._block(block, depth + 1)
        results = [self._value(each) for each in block.results]
        if step.function == ops.WHILE and place == 0:
            lines.append(f"{indent}    return {results[0]}")
        else:
            # tf.cond takes no empty branches.
            lines.append(f"{indent}    return [{', '.join(results or ['tf.constant(0)'])}]")
        return lines

    def _call(self, step: ops.Step) -> str:
        if step.function == ops.INDEX:
            tensor, key = step.args
            return f"{self._value(tensor)}[{', '.join(self._part(part) for part in key)}]"
        if step.function == ops.COND:
            then, otherwise = [self.names[id(block)] for block in step.blocks]
            return f"tf.cond({self._value(step.args[0])}, {then}, {otherwise})"
        if step.function == ops.WHILE:
            test, body = [self.names[id(block)] for block in step.blocks]
            state, shapes = step.args
            return (
                f"tf.while_loop({test}, {body}, {self._value(state)}, "
                f"shape_invariants={self._value(shapes)})"
            )
        given = [self._value(each) for each in step.args]
        given += [f"{name}={self._value(each)}" for name, each in step.kwargs.items()]
        return f"{step.function}({', '.join(given)})"

    def _part(self, part: Any) -> str:
        if isinstance(part, slice):
            ends = ["" if each is None else self._value(each) for each in (part.start, part.stop)]
            step = "" if part.step is None else f":{self._value(part.step)}"
            return ":".join(ends) + step
        return "tf.newaxis" if part is None else "..." if part is Ellipsis else self._value(part)

    def _bind(self, result: Any) -> str:
        if isinstance(result, (list, tuple)):
            names = [self._bind(each) for each in result]
            return "[" + ", ".join(names) + "]"
        return self._name(result)

    def _name(self, tensor: Any) -> str:
        name = self._new("t")
        self.names[id(tensor)] = name
        return name

    def _new(self, stem: str) -> str:
        self.used += 1
        return f"{stem}{self.used}"

    def _value(self, value: Any) -> str:
        if tf.is_tensor(value):
            if id(value) not in self.names:
                raise Untranslatable("a step of the translation was not recorded")
            return self.names[id(value)]
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, np.generic):
            # NumPy 1 has no `np.bool`.
            return f"np.{value.dtype.name.replace('bool', 'bool_')}({_number(value)})"
        if isinstance(value, tf.DType):
            return f"tf.{value.name}"
        if isinstance(value, np.dtype):
            return repr(value.name)
        if isinstance(value, tf.TensorShape):
            return f"tf.TensorShape({value.as_list()})"
        if isinstance(value, tuple):
            inner = ", ".join(self._value(each) for each in value)
            if hasattr(value, "_fields"):
                return f"{self._record(type(value))}({inner})"
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, (list, range)):
            return "[" + ", ".join(self._value(each) for each in value) + "]"
        if isinstance(value, dict):
            pairs = (f"{key!r}: {self._value(each)}" for key, each in value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, float):
            return _number(value)
        if value is None or isinstance(value, (bool, int, str, complex)):
            return repr(value)
        reason = value.reason if isinstance(value, ops.Unprintable) else type(value).__name__
        raise Untranslatable(f"cannot be written as source: {reason}")

    def _record(self, kind: Any) -> str:
        """The name in the source of a tuple type with named fields."""
        return self.records.setdefault(kind, f"_{kind.__name__.strip('_')}{len(self.records) + 1}")

    def _definitions(self) -> list[str]:
        return [
            f"{name} = collections.namedtuple({kind.__name__!r}, {list(kind._fields)})"  # type: ignore[attr-defined]
            for kind, name in self.records.items()
        ]

    def _array(self, value: Any) -> str:
        if value.size <= LONGEST:
            return f"np.array({_nested(value.tolist())}, {value.dtype.name!r})" + (
                f".reshape({list(value.shape)})" if not value.size else ""
            )
        self.packed = True
        text = base64.b85encode(zlib.compress(np.ascontiguousarray(value).tobytes(), 9)).decode()
        return f"_unpacked({text!r}, {value.dtype.name!r}, {list(value.shape)})"


_IMPORTED = ("np", "tf", "base64", "zlib", "collections", "_unpacked")
"""Names that the source has for something else than the function."""

_UNPACK = [
    "def _unpacked(text, dtype, shape):",
    "    data = zlib.decompress(base64.b85decode(text))",
    "    return np.frombuffer(data, dtype).reshape(shape)",
]


def _nested(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_nested(each) for each in value) + "]"
    return _number(value)


def _number(value: Any) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, complex):
        return f"complex({_number(value.real)}, {_number(value.imag)})"
    if isinstance(value, float) and not np.isfinite(value):
        return "np.nan" if value != value else "np.inf" if value > 0 else "-np.inf"
    return repr(value)


def _tensors(value: Any) -> list[Any]:
    if tf.is_tensor(value):
        return [value]
    if isinstance(value, (list, tuple)):
        return [each for inner in value for each in _tensors(inner)]
    if isinstance(value, dict):
        return _tensors(list(value.values()))
    if isinstance(value, slice):
        return _tensors([value.start, value.stop, value.step])
    return []


def _needs(step: ops.Step) -> list[Any]:
    found = _tensors(list(step.args)) + _tensors(step.kwargs)
    for block in step.blocks:
        found += _tensors(block.results)
        for inner in block.steps:
            found += _needs(inner)
    return found


def _live(block: ops.Block) -> list[ops.Step]:
    """The steps that the results need."""
    needed = {id(each) for each in _tensors(block.results)}
    kept = []
    for step in reversed(block.steps):
        if any(id(each) in needed for each in _tensors([step.result])):
            kept.append(step)
            needed |= {id(each) for each in _needs(step)}
    return kept[::-1]
