"""`native` and `numpy_function`: programs, refusals, and all that hosts them."""

# ruff: noqa: PLW0108

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf
from native_programs import PROGRAMS
from programs import plain
from test_native_cases import by_numpy, difference, traced

import unslow
from unslow.native import Untranslatable, native, numpy_function, refusals, source_of

pytestmark = pytest.mark.tensorflow

NEEDS_SIZES = {"asserted", "enumerate_and_zip", "formatted", "seeded", "unpacking"}
"""Programs for which the sizes must be known when the graph is made."""

IMAGE = np.linspace(0, 1, 48, dtype=np.float32).reshape(4, 4, 3)


@pytest.mark.parametrize("unknown", [False, True], ids=["known sizes", "unknown sizes"])
def test_programs(unknown: bool) -> None:
    found, refused = traced(PROGRAMS, unknown)
    problems = []
    for place, case in enumerate(PROGRAMS):
        name = case[0].__name__
        if place in refused:
            known = not unknown or name not in NEEDS_SIZES
            if known and "in NumPy 1" not in str(refused[place]):
                problems.append(f"{name}: {refused[place]}")
        elif told := difference(found[place], by_numpy(case)):
            problems.append(f"{name}: {told}")
    assert not problems, "\n".join(problems)


SEEN: list[int] = []
STATE = {"count": 0}
SHARED = np.zeros(3)
GENERATOR = np.random.default_rng(0)


class Counter:
    def __init__(self) -> None:
        self.count = 0

    def step(self, a: Any) -> Any:
        self.count += 1
        return a + self.count


COUNTER = Counter()


def _prints(a: Any) -> Any:
    print(a)
    return a


def _global(a: Any) -> Any:
    global SHARED
    SHARED = a
    return a


def _appends_outside(a: Any) -> Any:
    SEEN.append(1)
    return a


def _appends_in_branch(a: Any) -> Any:
    found = []
    if a[0] > 0:
        found.append(a)
    return a


def _sets_outside(a: Any) -> Any:
    STATE["count"] = 1
    return a


def _changes_outside(a: Any) -> Any:
    SHARED[0] = 1
    return a


def _adds_outside(a: Any) -> Any:
    b = SHARED
    b += a[0]
    return b


def _opens(a: Any) -> Any:
    with open("x") as file:  # noqa: PTH123
        file.read()
    return a


def _catches(a: Any) -> Any:
    try:
        return a[100]
    except IndexError:
        return a


def _generates(a: Any) -> Any:
    yield a


def _dtype_by_branch(a: Any) -> Any:
    return a.astype(np.float64) if a[0] > 0 else a


def _rank_by_branch(a: Any) -> Any:
    return a[None] if a[0] > 0 else a


def _maybe_undefined(a: Any) -> Any:
    if a[0] > 0:
        b = a
    return b


def _loop_that_may_not_run(a: Any) -> Any:
    n = int(a[0])
    for i in range(n):
        b = a * i
    return b


def _aliased(a: Any) -> Any:
    b = np.zeros(3, np.float32)
    c = a if a[0] > 0 else b
    c[0] = 5
    return a + b


def _truth_of_array(a: Any) -> Any:
    return a if a else -a


def _returns_nothing(a: Any) -> Any:
    if a[0] > 0:
        return a


REFUSED = [
    (_prints, "effects"),
    (_global, "side effect"),
    (_appends_outside, "outside"),
    (_appends_in_branch, "branch"),
    (_sets_outside, "side effect"),
    (_changes_outside, "side effect"),
    (_adds_outside, "side effect"),
    (_opens, "effects"),
    (_catches, "out of bounds"),
    (_generates, "generator"),
    (_dtype_by_branch, "float64"),
    (_rank_by_branch, "axes"),
    (_maybe_undefined, "one course"),
    (_loop_that_may_not_run, "no time at all|in NumPy 1"),
    (_aliased, "share memory"),
    (_truth_of_array, "one element"),
    (_returns_nothing, "return"),
    (COUNTER.step, "side effect"),
    (lambda a: a + random.random(), "another result"),
    (lambda a: a + time.time(), "another result"),
    (lambda a: a + np.random.rand(), "distribution"),
    (lambda a: a + GENERATOR.random(), "distribution"),
    (lambda a: np.random.default_rng().permutation(a), "distribution"),
    (lambda a: a.astype(str), "cast|equal"),
    (lambda a: f"{a[0]}", "text"),
    (lambda a: {1: 2}[int(a[0])], "container"),
    (lambda a: np.linalg.eigh(np.outer(a, a)), "signs"),
    (lambda a: np.linalg.svd(np.outer(a, a)), "signs"),
    (lambda a: np.partition(a, 1), "not defined"),
    (lambda a: np.save("x.npy", a), "translation"),
    (lambda a: np.array([a, a], dtype=object), "equal"),
    (lambda a: a.tobytes(), "no translation"),
    (lambda a: a.view(np.int32), "bits"),
    (lambda a: a[5], "out of bounds"),
    (lambda a: a[[0, 7]], "out of bounds"),
    (lambda a: a[0, 0], "too many indices"),
    (lambda a: a + np.ones(4), "broadcast"),
    (lambda a: a & 1, "TypeError"),
    (lambda a: a.reshape(2, 2), "reshape"),
    (lambda a: np.concatenate([a, a[None]]), "rank"),
    (lambda a: np.spacing(a), "translation"),
    (lambda a: np.trim_zeros(a), "hangs on the values"),
]


@pytest.mark.parametrize("place", range(len(REFUSED)))
def test_what_has_no_equal_is_refused(place: int) -> None:
    function, reason = REFUSED[place]
    with pytest.raises(Untranslatable, match=reason) as caught:
        native(function)(np.array([1.0, 2.0, 3.0], np.float32))
    assert caught.value.line is not None or not caught.value.expression
    assert SEEN == [] and STATE == {"count": 0} and COUNTER.count == 0 and not SHARED.any()


def test_a_refusal_names_the_place() -> None:
    with pytest.raises(Untranslatable) as caught:
        native(_prints)(np.ones(3, np.float32))
    error = caught.value
    assert error.path == __file__
    assert error.line == _prints.__code__.co_firstlineno + 1
    assert error.expression == "print(a)"
    assert str(error).startswith(f"{__file__}:{error.line}: `print(a)`: ")


def test_numpy_function_is_a_drop_in() -> None:
    def function(a: Any, n: Any) -> Any:
        return a * n, a.sum()

    def graph(module: Any) -> Any:
        @tf.function
        def run(a: Any, n: Any) -> Any:
            return module.numpy_function(function, [a, n], [tf.float64, tf.float64])

        return run

    arguments = tf.constant([1.0, 2.0], tf.float64), tf.constant(3.0, tf.float64)
    ours, theirs = graph(unslow), graph(tf)
    for one, other in zip(ours(*arguments), theirs(*arguments), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "PyFunc" not in {
        op.type for op in ours.get_concrete_function(*arguments).graph.get_operations()
    }
    single = unslow.numpy_function(lambda a: a + 1, [np.ones(2)], tf.float64)
    assert single.dtype == tf.float64 and single.shape == [2]


def test_numpy_function_falls_back_and_says_why(capsys: Any) -> None:
    before = len(refusals())

    @tf.function
    def run(a: Any) -> Any:
        return numpy_function(_prints, [a], tf.float32)

    np.testing.assert_array_equal(run(tf.ones(2)), np.ones(2))
    assert "1." in capsys.readouterr().out
    function, error = refusals()[before]
    assert function is _prints and error.line == _prints.__code__.co_firstlineno + 1
    with pytest.raises(Untranslatable):
        numpy_function(_prints, [tf.ones(2)], tf.float32, fallback=False)


def test_another_dtype_than_tout_is_left_to_tensorflow() -> None:
    def widen(a: Any) -> Any:
        return a.astype(np.float64)

    run = tf.function(lambda a: numpy_function(widen, [a], tf.float32), autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(tf.ones(2))
    assert "Tout" in str(refusals()[-1][1])


def test_decorator_and_refusal() -> None:
    @native
    def double(a: Any) -> Any:
        return a * 2

    @native(random="distribution")
    def noisy(a: Any) -> Any:
        return a + np.random.normal(size=a.shape)

    assert double(np.ones(2)).numpy().tolist() == [2.0, 2.0]
    assert double.refusal is None and double.__name__ == "double"
    assert noisy(np.ones(1000)).numpy().std() == pytest.approx(1, rel=0.2)
    broken = native(_prints)
    with pytest.raises(Untranslatable):
        broken(np.ones(2))
    assert broken.refusal is not None
    with pytest.raises(ValueError, match="distribution"):
        native(_prints, random="same")  # type: ignore[call-overload]


def normalise(image: Any) -> Any:
    image = image[:, ::-1].astype(np.float32)
    if image.mean() > 0.5:
        image = image - 0.5
    image[1:3, 1:3] = 0
    return image * 2


def expected(images: Any) -> Any:
    return np.stack([normalise(image.copy()) for image in images])


def test_in_a_dataset_with_unknown_sizes() -> None:
    images = np.stack([IMAGE, IMAGE * 0.1, 1 - IMAGE])
    data = tf.data.Dataset.from_generator(
        lambda: iter(images), output_signature=tf.TensorSpec([None, None, 3], tf.float32)
    )
    found = np.stack(list(data.map(native(normalise), num_parallel_calls=2).as_numpy_iterator()))
    np.testing.assert_allclose(found, expected(images), atol=1e-6)


def test_an_unknown_batch_size() -> None:
    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float64)])
    def run(batch: Any) -> Any:
        return native(lambda a: (a - a.mean(axis=0)) / len(a))(batch)

    for size in (1, 5):
        batch = np.arange(size * 4.0).reshape(size, 4)
        np.testing.assert_allclose(run(batch), (batch - batch.mean(axis=0)) / size, atol=1e-6)


def test_under_vectorized_map() -> None:
    images = np.stack([IMAGE, IMAGE * 0.1, 1 - IMAGE])
    found = tf.vectorized_map(native(normalise), images)
    np.testing.assert_allclose(found, expected(images), atol=1e-6)


def test_in_a_keras_layer(tmp_path: Path) -> None:
    keras = pytest.importorskip("keras")
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.Lambda(native(lambda a: np.roll(a, 1, axis=1) * 2 + a.max())),
        ]
    )
    batch = IMAGE[:2]
    found = model.predict(batch, verbose=0)
    np.testing.assert_allclose(found, np.roll(batch, 1, axis=1) * 2 + batch.max(), atol=1e-6)


def test_gradients_flow() -> None:
    value = tf.constant([1.0, -2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(value)
        loss = native(lambda a: np.sum(np.where(a > 0, a**2, 0)))(value)
    np.testing.assert_allclose(tape.gradient(loss, value), [2.0, 0.0, 6.0])


def test_with_xla() -> None:
    compiled = tf.function(native(normalise), jit_compile=True)
    try:
        found = compiled(tf.constant(IMAGE))
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        pytest.skip(f"no XLA here: {str(error)[:200]}")
    np.testing.assert_allclose(found, normalise(IMAGE.copy()), atol=1e-6)


def test_a_saved_model_loads_without_unslow(tmp_path: Path) -> None:
    module = tf.Module()
    module.run = tf.function(
        native(normalise), input_signature=[tf.TensorSpec([None, None, 3], tf.float32)]
    )
    tf.saved_model.save(module, str(tmp_path / "saved"))
    np.save(tmp_path / "image.npy", IMAGE)
    code = (
        "import sys, numpy as np, tensorflow as tf\n"
        "sys.modules['unslow'] = None\n"
        f"run = tf.saved_model.load({str(tmp_path / 'saved')!r}).run\n"
        f"image = np.load({str(tmp_path / 'image.npy')!r})\n"
        f"np.save({str(tmp_path / 'found.npy')!r}, run(image))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), normalise(IMAGE.copy()), atol=1e-6)


def printed(function: Any, *arguments: Any) -> str:
    found: list[str] = []

    def run(*given: Any) -> Any:
        made = native(function, random="distribution").translate(*given)
        found.append(source_of(made))
        return made.structure

    tf.function(run, autograph=False)(*[tf.constant(each) for each in arguments])
    return found[0]


def test_the_printed_source_stands_by_itself() -> None:
    problems = []
    seen = set()
    for function, arguments in PROGRAMS:
        if function.__name__ in seen:
            continue
        seen.add(function.__name__)
        try:
            text = printed(function, *arguments)
        except Untranslatable as error:
            assert "in NumPy 1" in str(error)
            continue
        names: dict[str, Any] = {}
        exec(compile(text, "printed.py", "exec"), names)
        run = tf.function(names[function.__name__], autograph=False)
        found = tf.nest.flatten(run(*[tf.constant(each) for each in arguments]))
        if told := difference(found, by_numpy((function, arguments))):
            problems.append(f"{function.__name__}: {told}\n{text}")
        assert "unslow" not in text
    assert not problems, "\n".join(problems)


def test_the_printed_source_is_plain() -> None:
    text = printed(lambda a: a[:, ::-1] + 1, np.ones((2, 3), np.float32))
    assert text == (
        "import numpy as np\n"
        "import tensorflow as tf\n\n\n"
        "def translated(a):\n"
        "    t1 = tf.reverse(a, axis=[1])\n"
        "    t2 = tf.constant(np.array(1.0, 'float32'))\n"
        "    t3 = tf.add(t1, t2)\n"
        "    return t3\n"
    )


def test_random_numbers_have_the_distribution() -> None:
    def draws(seed: Any) -> Any:
        rng = np.random.default_rng(seed)
        order = rng.permutation(100)
        part = np.arange(10)
        rng.shuffle(part)
        return (
            rng.random(2000),
            rng.uniform(-1, 3, size=2000),
            rng.normal(2, 0.5, size=(1000, 2)),
            rng.integers(0, 6, size=3000),
            rng.choice([2, 4, 8], size=1000),
            rng.choice(10, size=5, replace=False),
            rng.exponential(2.0, size=3000),
            order,
            part,
            rng.poisson(3, size=2000),
            rng.random(),
            rng.integers(3, endpoint=True),
        )

    compiled = tf.function(native(draws, random="distribution"))
    one, again, other = (compiled(tf.constant(seed)) for seed in (1, 1, 2))
    wanted = draws(1)
    for ours, theirs in zip(one, wanted, strict=True):
        assert ours.dtype == np.asarray(theirs).dtype and ours.shape == np.shape(theirs)
    for ours, same, different in zip(one[:10], again, other, strict=False):
        np.testing.assert_array_equal(ours, same)
        assert not np.array_equal(ours, different)
    for place in (0, 1, 2, 3, 6, 9):
        ours, theirs = one[place].numpy(), wanted[place]
        assert ours.mean() == pytest.approx(theirs.mean(), abs=0.15)
        assert ours.std() == pytest.approx(theirs.std(), rel=0.15)
    assert sorted(one[7].numpy()) == list(range(100)) and sorted(one[8].numpy()) == list(range(10))
    assert set(one[4].numpy()) == {2, 4, 8} and len(set(one[5].numpy())) == 5


def test_draws_in_a_loop_differ() -> None:
    def walk(seed: Any) -> Any:
        rng = np.random.default_rng(seed)
        steps = np.zeros(40)
        for place in range(40):
            steps[place] = rng.normal()
        return steps

    found = native(walk, random="distribution")(np.int64(3)).numpy()
    assert len(set(found)) == 40


def test_the_example_is_translated() -> None:
    path = Path(__file__).parent.parent / "examples" / "augment.py"
    pytest.importorskip("keras")
    spec = importlib.util.spec_from_file_location("augment_example", path)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    image = np.full((example.SIZE, example.SIZE, 3), 0.5, np.float32)

    @tf.function
    def run(image: Any, seed: Any) -> Any:
        return numpy_function(
            example.augment, [image, seed], tf.float32, random="distribution", fallback=False
        )

    found = run(tf.constant(image), tf.constant(1, tf.int64)).numpy()
    wanted = example.augment(image.copy(), 1)
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    # What was black or scratched differs; most of it is the photo and a little noise.
    assert np.median(found) == pytest.approx(np.median(wanted), abs=0.02)
    assert found.max() > 0.6 and found.min() >= 0
    turned = native(example.rotate)
    for angle in (-0.4, 0.3):
        ramp = np.random.default_rng(0).random(image.shape).astype(np.float32)
        ours = turned(ramp, np.float64(angle)).numpy()
        theirs = example.rotate(ramp, angle)
        assert ours.dtype == theirs.dtype
        assert np.mean(ours != theirs) < 0.001


def test_importing_unslow_stays_light() -> None:
    code = (
        "import sys, unslow\n"
        "from unslow import Untranslatable\n"
        "assert callable(unslow.native)\n"
        "assert 'tensorflow' not in sys.modules\n"
        "import unslow.native\n"
        "assert callable(unslow.native) and 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


OUTSIDE = np.arange(6.0).reshape(2, 3)


def _through_asarray(a: Any) -> Any:
    b = np.asarray(OUTSIDE)
    b[0] = a
    return b


def _through_a_row(a: Any) -> Any:
    row = OUTSIDE[0]
    row[:] = 1
    return a + row


def _through_a_loop(a: Any) -> Any:
    for row in OUTSIDE:
        row += 1  # noqa: PLW2901
    return a


def _through_reshape(a: Any) -> Any:
    b = OUTSIDE.reshape(3, 2)
    b[0] = 1
    return a


def _twice_over(a: Any) -> Any:
    pairs = zip(a, a[::-1])  # noqa: B905
    return sum(x * y for x, y in pairs) + sum(x for x, _ in pairs)


@pytest.mark.parametrize(
    "function", [_through_asarray, _through_a_row, _through_a_loop, _through_reshape, _twice_over]
)
def test_what_was_there_before_stays(function: Any) -> None:
    with pytest.raises(Untranslatable, match=r"outside|second time"):
        native(function)(np.array([1.0, 2.0, 3.0]))
    assert OUTSIDE.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_draw_before_anything_else_leaves_the_rest_translatable(tmp_path: Path) -> None:
    program = tmp_path / "draws.py"
    program.write_text(
        """
import numpy as np
import unslow

@unslow.native(random="distribution")
def noisy(image, seed):
    rng = np.random.default_rng(seed)
    return np.rint(image + rng.uniform(0, 1)).astype(int).clip(0, 5)

print(noisy(np.full((2, 3), 9.0), np.int64(3)).numpy().tolist())
"""
    )
    ended = plain(tmp_path, program.name)
    assert ended.out == b"[[5, 5, 5], [5, 5, 5]]\n", ended.err.decode()
