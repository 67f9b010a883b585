"""The variables of the process are found, saved and put back."""

from __future__ import annotations

import gc
import random
from collections.abc import Iterator
from typing import Any

import pytest

from unslow.experiment.state import State, TooLarge
from unslow.experiment.values.equality import compare
from unslow.experiment.values.snapshot import Array, Mapping, take

pytestmark = pytest.mark.tensorflow

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

LIMIT = 2**28


@pytest.fixture(autouse=True, scope="module")
def nothing_of_other_tests() -> Iterator[None]:
    """What other tests left is not looked through."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def clean() -> None:
    gc.collect()


def model_and_step() -> tuple[Any, Any]:
    """A model with dropout, batch normalisation, a metric, and a compiled training step."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    mean = keras.metrics.Mean()
    inputs, wanted = tf.random.normal([32, 8]), tf.random.normal([32, 1])

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(inputs, training=True) - wanted) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        mean.update_state(loss)
        return loss

    return (model, optimizer, mean), step


def test_a_training_step_can_be_done_again() -> None:
    things, step = model_and_step()
    step()
    state = State(LIMIT)
    state.save()
    before = take(things)
    losses, changes = [], []
    for _ in range(3):
        losses.append(step().numpy())
        changes.append(state.changed())
        assert not compare(take(things), before).equal
        state.restore()
        assert compare(take(things), before).max_error is None
        assert state.changed() == ()
    assert losses[0] == losses[1] == losses[2]
    assert step().numpy() == losses[0]
    assert step().numpy() != losses[0]
    first, *others = state.aligned(*changes)
    # All weights but the optimizer's rate, with their slots, the metric, the dropout's seed.
    assert len(changes[0]) > 15
    assert all(compare(first, other).equal is True for other in others)
    assert state.lost == ()


def test_a_fit_of_keras_can_be_done_again() -> None:
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((8, 4), "f4"), np.ones((8, 1), "f4")
    model.fit(x, y, verbose=0)
    state = State(LIMIT)
    state.save()
    histories = []
    for _ in range(2):
        histories.append(model.fit(x, y, epochs=3, verbose=0).history)
        state.restore()
    assert histories[0] == histories[1]


def test_what_was_saved_is_not_changed_by_updates_in_place() -> None:
    variable = tf.Variable([1.0, 2.0], name="v")
    state = State(LIMIT)
    state.save()
    for _ in range(3):
        variable.assign_add([1.0, 1.0])
        variable.scatter_nd_update([[0]], [9.0])
        assert variable.numpy().tolist() == [9.0, 3.0]
        state.restore()
        assert variable.numpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "value",
    [
        tf.constant([1.5], tf.bfloat16),
        tf.constant([True]),
        tf.constant(["text"]),
        tf.constant(3),
        tf.constant(3, tf.int64),
        tf.constant([1 + 2j]),
        tf.zeros([0, 2]),
    ],
    ids=lambda value: value.dtype.name,
)
def test_variables_of_every_dtype(value: Any) -> None:
    variable = tf.Variable(value, shape=tf.TensorShape(None), name="own")
    state = State(LIMIT)
    state.save()
    variable.assign(tf.zeros([2], value.dtype) if value.dtype != tf.string else ["a", "b"])
    assert [name for name, _ in state.changed()] == ["own"]
    state.restore()
    assert state.changed() == ()
    assert variable.numpy().tolist() == value.numpy().tolist()


def test_changes_are_told_by_a_name_of_their_own() -> None:
    variables = [tf.Variable(float(number), name="same") for number in range(3)]
    state = State(LIMIT)
    state.save()
    variables[0].assign(10)
    variables[2].assign(30)
    changes = dict(state.changed())
    assert len(changes) == 2
    assert sorted(changes) != ["same", "same"]
    values = {float(v.values) for v in changes.values() if isinstance(v, Array)}
    assert values == {10.0, 30.0}


def test_runs_that_change_other_variables_can_be_compared() -> None:
    first, second = tf.Variable(1.0, name="a"), tf.Variable(2.0, name="b")
    state = State(LIMIT)
    state.save()
    first.assign(5.0)
    one = state.changed()
    state.restore()
    first.assign(5.0)
    second.assign(6.0)
    two = state.changed()
    state.restore()
    left, right = state.aligned(one, two)
    assert isinstance(left, Mapping)
    assert [key.value for key, _ in left.items] == ["a", "b"]
    assert compare(left, right).where == "['b']: 2.0 against 6.0"
    assert compare(*state.aligned(one, one)).equal is True
    assert state.aligned(()) == (Mapping("variables", ()),)


def test_too_many_bytes_are_refused() -> None:
    variable = tf.Variable(tf.zeros([1000]))
    with pytest.raises(TooLarge) as caught:
        State(3999)
    assert caught.value.bytes >= 4000
    assert variable.shape == [1000]


def test_garbage_does_not_count() -> None:
    size = 2**24

    class Loop:
        pass

    loop: Any = Loop()
    loop.variable, loop.itself = tf.Variable(tf.zeros([size // 4])), loop
    del loop
    State(size - 1)


def test_variables_made_later_are_left_alone() -> None:
    old = tf.Variable(1.0)
    state = State(LIMIT)
    state.save()
    new = tf.Variable(2.0)
    new.assign(3.0)
    old.assign(4.0)
    assert len(state.changed()) == 1
    state.restore()
    assert (old.numpy(), new.numpy()) == (1.0, 3.0)


def test_variables_deleted_meanwhile_are_named() -> None:
    variable, other = tf.Variable(1.0, name="gone"), tf.Variable(1.0, name="there")
    state = State(LIMIT)
    state.save()
    tf.raw_ops.DestroyResourceOp(resource=variable.handle)
    other.assign(2.0)
    state.restore()
    assert other.numpy() == 1.0
    other.assign(2.0)
    assert [name for name, _ in state.changed()] == ["there"]
    state.save()
    assert state.lost in (("gone",), ())


def test_variables_of_graphs_are_not_touched() -> None:
    with tf.Graph().as_default():
        old = tf.compat.v1.get_variable("old", [2])
        reference = tf.compat.v1.get_variable("reference", [2], use_resource=False)
        assert old is not reference
        state = State(0 if not _eager_bytes() else LIMIT)
        state.save()
    state = State(LIMIT)
    state.save()
    state.restore()
    assert not {"old", "reference"} & set(state._saved)


def _eager_bytes() -> int:
    try:
        State(0)
    except TooLarge as error:
        return error.bytes
    return 0


def test_wrappers_of_a_variable_count_once() -> None:
    before = _eager_bytes()
    keras_variable = keras.Variable(np.zeros(100, "f4"))
    assert _eager_bytes() == before + 400
    assert keras_variable.shape == (100,)


def test_copies_on_several_devices() -> None:
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    with strategy.scope():
        mirrored = tf.Variable([1.0], name="mirrored")
        total = tf.Variable(
            0.0,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )
    state = State(LIMIT)
    state.save()
    mirrored.assign([2.0])
    strategy.run(lambda: total.assign_add(1.0))
    state.restore()
    assert mirrored.numpy() == [1.0]
    assert total.numpy() == 0.0


def test_random_generators_of_tensorflow_are_variables() -> None:
    generator = tf.random.Generator.from_seed(1)
    state = State(LIMIT)
    state.save()
    first = generator.normal([3]).numpy()
    state.restore()
    assert generator.normal([3]).numpy().tolist() == first.tolist()


def test_pythons_randomness_is_put_back_only_when_asked() -> None:
    def draw() -> tuple[float, float]:
        return random.random(), float(np.random.random())

    kept = random.getstate(), np.random.get_state()
    try:
        state = State(LIMIT, randomness=True)
        state.save()
        first = draw()
        state.restore()
        assert draw() == first
        state = State(LIMIT)
        state.save()
        first = draw()
        state.restore()
        assert draw() != first
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
