"""NumPy's PCG64 as ops: the state that a seed gives, and the words that follow from a state.

The generator is PCG XSL RR 128/64 (O'Neill, "PCG: A Family of Simple Fast Space-Efficient
Statistically Good Algorithms for Random Number Generation", 2014); a seed is spread over its
state as NumPy's `SeedSequence` does (numpy/random/bit_generator.pyx). Its state is s, and then
s·M + c modulo 2^128. So the state after k steps is s·M^k + c·(1 + M + … + M^(k-1)), which is
computed for many k at once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from unslow.native import ops

Wide = tuple[Any, Any]
"""Numbers of 128 bits: their upper and their lower 64 bits, two tensors or known arrays."""

MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
ALL = 2**128 - 1
BLOCK = 256
"""States are reached in steps of so many, and from there each by itself."""

_HASH_A, _MULTIPLIER_A = 0x43B0D7E5, 0x931E8875
_HASH_B, _MULTIPLIER_B = 0x8B51F9DD, 0x58F38DED
_MIX_LEFT, _MIX_RIGHT = 0xCA01F9DD, 0x4973F715
_POOL = 4


def seeded(low: Any, high: Any) -> tuple[Wide, Wide]:
    """The state and the increment of `np.random.PCG64(seed)`.

    `low` and `high` are the lower and the upper half of a seed of 64 bits, scalars of uint32.
    """
    zero: Any = np.zeros(2, np.uint32)
    pool = ops.call("tf.concat", [ops.call("tf.stack", [low, high]), zero], axis=0)
    pool, const = _hashed(pool, _HASH_A, _MULTIPLIER_A, _POOL)
    for source in range(_POOL):
        # The one that is mixed into the others uses up no constant, and stays as it is.
        others = np.arange(_POOL) != source
        value = ops.call("tf.gather", pool, np.array([source], np.int32))
        value, const = _hashed(value, const, _MULTIPLIER_A, _POOL - 1, source)
        left = ops.call("tf.multiply", pool, np.uint32(_MIX_LEFT))
        right = ops.call("tf.multiply", value, np.uint32(_MIX_RIGHT))
        mixed = _spread(ops.call("tf.subtract", left, right))
        pool = ops.call("tf.where", others, mixed, pool)
    twice = ops.call("tf.concat", [pool, pool], axis=0)
    state, _ = _hashed(twice, _HASH_B, _MULTIPLIER_B, 2 * _POOL)
    words = ops.call("tf.cast", state, "uint64")
    pairs = ops.call("tf.reshape", words, [_POOL, 2])
    lower, upper = ops.call("tf.unstack", pairs, axis=1)
    high, low, high_sequence, low_sequence = ops.call("tf.unstack", joined(upper, lower))
    begin, sequence = (high, low), (high_sequence, low_sequence)
    carry = shifted(sequence[1], 63)
    increment = (
        ops.call("tf.bitwise.bitwise_or", _doubled(sequence[0]), carry),
        ops.call("tf.bitwise.bitwise_or", _doubled(sequence[1]), np.uint64(1)),
    )
    return step(plus(increment, begin), increment), increment


def _hashed(
    value: Any, const: int, multiplier: int, count: int, left_out: int | None = None
) -> tuple[Any, int]:
    """Numbers of 32 bits, each hashed with a constant of its own; and the next constant.

    At the place that is left out, there is one more number, hashed with any.
    """
    consts = [const]
    for _ in range(count):
        consts.append(consts[-1] * multiplier % 2**32)
    first, second = consts[:-1], consts[1:]
    if left_out is not None:
        first.insert(left_out, 0)
        second.insert(left_out, 0)
    value = ops.call("tf.bitwise.bitwise_xor", value, np.array(first, np.uint32))
    value = ops.call("tf.multiply", value, np.array(second, np.uint32))
    return _spread(value), consts[-1]


def _spread(value: Any) -> Any:
    return ops.call("tf.bitwise.bitwise_xor", value, shifted(value, 16))


def _doubled(value: Any) -> Any:
    return ops.call("tf.bitwise.left_shift", value, np.uint64(1))


def shifted(value: Any, bits: int) -> Any:
    """`value >> bits`, for unsigned numbers."""
    return ops.call("tf.bitwise.right_shift", value, value.dtype.as_numpy_dtype(bits))


def low_bits(value: Any, bits: int) -> Any:
    """The lowest bits of unsigned numbers."""
    mask = value.dtype.as_numpy_dtype(2**bits - 1)
    return ops.call("tf.bitwise.bitwise_and", value, mask)


def joined(upper: Any, lower: Any) -> Any:
    """Numbers of 64 bits of two halves, which have that dtype too."""
    upper = ops.call("tf.bitwise.left_shift", upper, np.uint64(32))
    return ops.call("tf.bitwise.bitwise_or", upper, lower)


def times(one: Any, other: Any) -> Wide:
    """The whole products of numbers of 64 bits."""
    one_low, one_high = _halves(one)
    other_low, other_high = _halves(other)
    low = ops.call("tf.multiply", one_low, other_low)
    cross = ops.call("tf.multiply", one_low, other_high)
    middle = ops.call("tf.add", shifted(low, 32), low_bits(cross, 32))
    middle = ops.call("tf.add", middle, ops.call("tf.multiply", one_high, other_low))
    high = ops.call("tf.add", ops.call("tf.multiply", one_high, other_high), shifted(cross, 32))
    return ops.call("tf.add", high, shifted(middle, 32)), ops.call("tf.multiply", one, other)


def _halves(value: Any) -> tuple[Any, Any]:
    if isinstance(value, (np.ndarray, np.generic)):
        return value & np.uint64(2**32 - 1), value >> np.uint64(32)
    return low_bits(value, 32), shifted(value, 32)


def plus(one: Wide, other: Wide) -> Wide:
    """Sums, modulo 2^128."""
    low = ops.call("tf.add", one[1], other[1])
    carry = ops.call("tf.cast", ops.call("tf.less", low, other[1]), "uint64")
    return ops.call("tf.add", ops.call("tf.add", one[0], other[0]), carry), low


def _product(one: Wide, other: Wide) -> Wide:
    """Products, modulo 2^128."""
    high, low = times(one[1], other[1])
    high = ops.call("tf.add", high, ops.call("tf.multiply", one[0], other[1]))
    return ops.call("tf.add", high, ops.call("tf.multiply", one[1], other[0])), low


def step(state: Wide, increment: Wide) -> Wide:
    """The next state."""
    return plus(_product(state, _pair(MULTIPLIER)), increment)


def following(state: Wide, increment: Wide, count: int) -> Wide:
    """The next `count` states, as a line of them."""
    first = min(count, BLOCK)
    powers, sums = _jumps(range(1, first + 1))
    if count <= BLOCK:
        return plus(_product(powers, state), _product(sums, increment))
    blocks = -(-count // BLOCK)
    far_powers, far_sums = _jumps(range(0, blocks * BLOCK, BLOCK))
    starts = plus(_product(far_powers, state), _product(far_sums, increment))
    column = ops.call("tf.expand_dims", starts[0], 1), ops.call("tf.expand_dims", starts[1], 1)
    table = plus(_product(powers, column), _product(sums, increment))
    high, low = (ops.call("tf.reshape", each, [blocks * BLOCK]) for each in table)
    return ops.index(high, (slice(None, count),)), ops.index(low, (slice(None, count),))


def words(states: Wide) -> Any:
    """What is drawn at these states: words of uint64."""
    mixed = ops.call("tf.bitwise.bitwise_xor", *states)
    turn = shifted(states[0], 58)
    back = low_bits(ops.call("tf.subtract", np.uint64(64), turn), 6)
    return ops.call(
        "tf.bitwise.bitwise_or",
        ops.call("tf.bitwise.right_shift", mixed, turn),
        ops.call("tf.bitwise.left_shift", mixed, back),
    )


def _jumps(steps: range) -> tuple[Wide, Wide]:
    """For each number k of steps: M^k, and 1 + M + … + M^(k-1)."""
    found = [_jump(each) for each in steps]
    return _wide([power for power, _ in found]), _wide([total for _, total in found])


@functools.cache
def _jump(steps: int) -> tuple[int, int]:
    power, total = 1, 0
    for bit in f"{steps:b}":
        power, total = power * power & ALL, total * (power + 1) & ALL
        if bit == "1":
            power, total = power * MULTIPLIER & ALL, (total * MULTIPLIER + 1) & ALL
    return power, total


def _pair(value: int) -> Wide:
    return np.uint64(value >> 64), np.uint64(value & (2**64 - 1))


def _wide(values: list[int]) -> Wide:
    pairs = np.array([_pair(each) for each in values], np.uint64)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def shares(word: Any) -> Any:
    """What words say as float64 from 0 to 1, in steps of 2^-53."""
    steps = ops.call("tf.cast", ops.call("tf.cast", shifted(word, 11), "int64"), "float64")
    return ops.call("tf.multiply", steps, np.float64(2.0**-53))
