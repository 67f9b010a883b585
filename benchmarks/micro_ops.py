"""A loop of small eager ops: the hardest case for whatever watches each of them."""

from __future__ import annotations

import tensorflow as tf


def main() -> None:
    x = tf.random.stateless_normal((32, 32), seed=(1, 2))
    for _ in range(60_000):
        x = x * 0.5 + 1.0
        x = tf.sqrt(x)
    print(round(float(tf.reduce_mean(x)), 4))


main()
