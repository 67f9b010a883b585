"""The program never notices: what it prints, returns and raises is the same under unslow."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest
from programs import plain, report, run, watched

WITHOUT_TENSORFLOW = {
    "prints": """
        import sys
        print("out"); print("err", file=sys.stderr); sys.stdout.flush(); print("end")
    """,
    "reads_stdin": """
        import sys
        for line in sys.stdin: print(line.strip()[::-1])
    """,
    "raises": """
        def inner(): raise KeyError("no")
        try: inner()
        except KeyError as error: raise ValueError("chained") from error
    """,
    "exits": "import sys; print('x'); sys.exit(3)",
    "exits_with_words": "import sys; sys.exit('a reason')",
    "raises_system_exit": "raise SystemExit(5)",
    "exits_now": "import os; print('x', flush=True); os._exit(4)",
    "killed": "import os, signal; print('x', flush=True); os.kill(os.getpid(), signal.SIGTERM)",
    "aborts": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "threads": """
        import threading
        def work(): print("work", threading.active_count(), len(threading.enumerate()))
        thread = threading.Thread(target=work); thread.start(); thread.join()
        print(threading.active_count())
        def fails(): raise OSError("in a thread")
        thread = threading.Thread(target=fails, name="t"); thread.start(); thread.join()
    """,
    "spawns": """
        import multiprocessing as mp, os, sys
        def square(x): return x * x, "UNSLOW_CHILD" in os.environ, "unslow" in sys.modules
        if __name__ == "__main__":
            with mp.get_context("spawn").Pool(2) as pool: print(pool.map(square, range(4)))
    """,
    "forks": """
        import multiprocessing as mp
        def square(x): print("child", x, flush=True); return x * x
        if __name__ == "__main__":
            with mp.get_context("fork").Pool(1) as pool: print(pool.map(square, range(3)))
    """,
    "atexit": """
        import atexit
        atexit.register(print, "first registered"); atexit.register(print, "last registered")
        @atexit.register
        def fails(): raise RuntimeError("at exit")
    """,
    "guards": """
        import sys
        print(__name__, __file__, sys.argv, sys.path[0] != "", __spec__)
        print([name for name in sorted(globals()) if "unslow" in name])
    """,
    "argparse": """
        import argparse
        parser = argparse.ArgumentParser(); parser.add_argument("--n", type=int)
        parser.add_argument("rest", nargs="*"); print(parser.parse_args())
    """,
    "changes_directory": """
        import os, tempfile
        os.chdir(tempfile.gettempdir()); print(os.getcwd()); open("/nonexistent/x")
    """,
    "environment": """
        import os, sys
        print(sorted(k for k in os.environ if "UNSLOW" in k), os.environ.get("PYTHONPATH", "")[-3:])
        print([p for p in sys.path if "startup" in p])
    """,
    "interrupts_itself": """
        import os, signal
        print("x", flush=True); os.kill(os.getpid(), signal.SIGINT)
        import time; time.sleep(5)
    """,
    "import_error": """
        def load(): import does_not_exist_anywhere
        load()
    """,
    "random": """
        import random
        random.seed(3); print(random.random())
    """,
    "prints_tracebacks": """
        import traceback, importlib
        try: importlib.import_module("does_not_exist_anywhere")
        except ImportError: traceback.print_exc()
    """,
}

WITH_TENSORFLOW = {
    "tf_error": """
        import traceback, tensorflow as tf
        @tf.function
        def unequal(x):
            y = tf.reshape(x, (2, -1))
            return tf.debugging.assert_equal(y, y + 1)
        try: unequal(tf.ones(4))
        except tf.errors.InvalidArgumentError: traceback.print_exc()
        @tf.function
        def f(x): return x + 1
        graph = f.get_concrete_function(tf.TensorSpec(())).graph
        for frame in graph.get_operations()[-1].traceback: print(frame.filename, frame.lineno)
        session_graph = tf.Graph()
        with session_graph.as_default(): op = tf.constant(1).op
        print([frame.filename for frame in op.traceback])
        def broken(): return tf.matmul(tf.ones((2, 3)), tf.ones((2, 3)))
        broken()
    """,
    "tf_error_unfiltered": """
        import traceback, tensorflow as tf, numpy as np
        tf.debugging.disable_traceback_filtering()
        @tf.function
        def f(x): return tf.numpy_function(np.linalg.inv, [x], tf.float64)
        for act in (
            lambda: tf.reshape(tf.ones(3), (2, 2)),
            lambda: tf.constant([1, "a"]),
            lambda: tf.ones(3).numpy().reshape(7),
            lambda: f(np.zeros((2, 2))),
            lambda: next(iter(tf.data.Dataset.range(0))),
            lambda: bool(tf.ones(2)),
        ):
            try: act()
            except Exception: traceback.print_exc()
    """,
    "patches_tensorflow": """
        import tensorflow as tf
        from tensorflow.python.framework import constant_op
        convert = constant_op.convert_to_eager_tensor
        calls = []
        def own(value, *args, **kwargs): calls.append(1); return convert(value, *args, **kwargs)
        constant_op.convert_to_eager_tensor = own
        argmax = tf.argmax
        tf.argmax = lambda *args, **kwargs: argmax(*args, **kwargs) + 100
        print(tf.constant([1.0, 2.0]).numpy(), tf.argmax([1, 3, 2]).numpy(), len(calls) > 0)
    """,
    "seeds": """
        import random, numpy as np, tensorflow as tf
        tf.keras.utils.set_random_seed(7)
        x = np.random.rand(64, 8).astype("float32"); y = x.sum(1)
        layers = [tf.keras.Input((8,)), tf.keras.layers.Dense(4), tf.keras.layers.Dense(1)]
        model = tf.keras.Sequential(layers)
        model.compile("adam", "mse")
        history = model.fit(x, y, epochs=3, batch_size=16, verbose=0)
        print(["%.9g" % loss for loss in history.history["loss"]])
        print(float(tf.random.uniform(())), np.random.rand(), random.random())
        ds = tf.data.Dataset.range(20).shuffle(20).map(lambda v: v * 2).batch(5)
        print([batch.numpy().tolist() for batch in ds])
        print(model.predict(x[:2], verbose=0).tolist())
    """,
    "profiles_itself": """
        import glob, tempfile, time, tensorflow as tf
        @tf.function
        def f(x): return tf.linalg.matmul(x, x) * 0.001
        def work(seconds):
            x, end = tf.ones((200, 200)), time.monotonic() + seconds
            while time.monotonic() < end: x = f(x)
        work(1.0)
        folder = tempfile.mkdtemp()
        tf.profiler.experimental.start(folder); work(0.5); tf.profiler.experimental.stop()
        print(len(glob.glob(folder + "/**/*.xplane.pb", recursive=True)))
        with tf.profiler.experimental.Profile(folder): work(0.5)
    """,
    "ends_inside_a_window": """
        import time, tensorflow as tf
        @tf.function
        def f(x):
            for _ in tf.range(200): x = tf.sqrt(x) + 1.0
            return x
        x, end = tf.ones((50, 50)), time.monotonic() + 0.75
        while time.monotonic() < end: x = f(x)
        print("done")
    """,
    "keras_error": """
        import numpy as np, tensorflow as tf
        model = tf.keras.Sequential([tf.keras.Input((8,)), tf.keras.layers.Dense(4)])
        model.compile("adam", "mse")
        model.fit(np.zeros((4, 9)), np.zeros((4, 4)))
    """,
}


def write(folder: Path, name: str, source: str) -> str:
    path = folder / f"program_{name}.py"
    path.write_text(textwrap.dedent(source).strip() + "\n", encoding="utf-8")
    return path.name


def assert_same(folder: Path, *target: str, stdin: bytes = b"") -> None:
    """Same standard output, same standard error before the report, same exit status."""
    without = plain(folder, *target, stdin=stdin)
    under = watched(folder, *target, stdin=stdin)
    assert under.out == without.out
    assert under.status == without.status
    assert under.quiet_err.startswith(without.quiet_err), under.quiet_err.decode()
    assert len(under.quiet_err) > len(without.quiet_err), "no report"


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_plain_python_is_the_same(tmp_path: Path, name: str) -> None:
    script = write(tmp_path, name, WITHOUT_TENSORFLOW[name])
    assert_same(tmp_path, script, "--n", "3", "a b", stdin=b"hello\nworld\n")


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", WITH_TENSORFLOW)
def test_tensorflow_is_the_same(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, write(tmp_path, name, WITH_TENSORFLOW[name]))


def test_modules_and_relative_imports_are_the_same(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("VALUE = 7\n")
    (package / "main.py").write_text(
        "import sys\nfrom .other import VALUE\n"
        "print(VALUE, __name__, __package__, sys.argv[1:], sys.path[0])\nraise ValueError(1)\n"
    )
    assert_same(tmp_path, "-m", "package.main", "x", "--help")


def test_a_program_without_tensorflow_is_told_so(tmp_path: Path) -> None:
    script = write(tmp_path, "prints", "print(1)")
    under = watched(tmp_path, script)
    assert report(tmp_path)["program"]["tensorflow"] is None
    assert b"TensorFlow" in under.err


def test_the_users_own_sitecustomize_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.custom = 'yes'\n")
    script = write(
        tmp_path, "uses", "import sys; print(sys.custom, 'sitecustomize' in sys.modules)"
    )
    ended = run([sys.executable, "-m", "unslow", "run", script], tmp_path, path=str(tmp_path))
    assert ended.out == b"yes True\n"
