"""`unslow native`: what it reads, prints, compares and refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from unslow.cli import main

np = pytest.importorskip("numpy")
tf = pytest.importorskip("tensorflow")

from unslow.native.inputs import InputError, cases, read  # noqa: E402
from unslow.native.standalone import loaded  # noqa: E402

pytestmark = pytest.mark.tensorflow

PROGRAM = '''\
"""Functions of a user."""
import numpy as np

print("imported")


def brighten(image, light):
    image = image[:, ::-1].copy()
    image[:2] = 0
    return np.clip(image + light, 0, 1)


def scan(image):
    with open("scan.txt", "w") as file:
        file.write(str(image.sum()))
    return image


def first(values):
    return values.max()


def blurred(image):
    from scipy import ndimage

    return ndimage.gaussian_filter(image, 1.5) if image.ndim == 2 else image


def noisy(image, seed):
    rng = np.random.RandomState(seed)
    return image + rng.normal(size=image.shape)


def seeded(image, seed):
    rng = np.random.default_rng(abs(seed))
    return image + rng.normal(size=image.shape)


class Tools:
    @staticmethod
    def double(values):
        return values * 2
'''


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "functions.py").write_text(PROGRAM, encoding="utf-8")
    return "functions.py"


def native(*arguments: str) -> int:
    return main(["native", "--no-experiments", *arguments])


def test_the_source_stands_by_itself_and_is_equal(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = native(f"{program}:brighten", "--input", "float32[6,5,3]", "--input", "float32[]")
    printed = capsys.readouterr()
    assert ended == 0, printed.err
    assert "unslow" not in printed.out
    assert "imported" not in printed.out
    specs = [tf.TensorSpec((6, 5, 3), tf.float32), tf.TensorSpec((), tf.float32)]
    function = loaded(printed.out, specs)
    image = np.random.default_rng(0).random((6, 5, 3)).astype("f4")
    expected = image[:, ::-1].copy()
    expected[:2] = 0
    expected = np.clip(expected + np.float32(0.25), 0, 1)
    assert np.array_equal(function(image, np.float32(0.25)).numpy(), expected)
    for name in ("as given", "negative numbers", "NaN and infinities", "the ends of the range"):
        assert f"{name:<24}equal" in printed.err


def test_functions_of_libraries_are_written_out(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    ended = native(f"{program}:blurred", "--input", "float64[9,7]")
    printed = capsys.readouterr()
    assert ended == 0, printed.err
    assert "unslow" not in printed.out
    assert "scipy" not in printed.out
    image = np.random.default_rng(0).random((9, 7))
    function = loaded(printed.out, [tf.TensorSpec((9, 7), tf.float64)])
    assert np.allclose(function(image).numpy(), ndimage.gaussian_filter(image, 1.5))


def test_open_sizes_are_tried_empty_as_well(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = native(f"{program}:first", "--input", "int16[?]")
    told = capsys.readouterr().err
    assert ended == 0, told
    assert "empty arrays            not compared: the function itself raises ValueError" in told


def test_what_cannot_be_translated_is_told_with_its_line(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert native(f"{program}:scan", "--input", "float32[3]") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "functions.py:14:" in printed.err
    assert "open" in printed.err
    assert not Path("scan.txt").exists()


def test_a_measured_run_names_the_ways(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = main(["native", f"{program}:Tools.double", "--input", "float32[40]", "--budget", "3"])
    told = capsys.readouterr().err
    assert ended == 0, told
    assert "native ops, in batches, with XLA" in told
    assert "the function alone, without the bridge" in told


def test_the_source_goes_to_a_file(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["--input", "[[1, 2], [3, 4]]", "--output", "out.py"]
    assert native(f"{program}:Tools.double", *wanted) == 0
    assert capsys.readouterr().out == ""
    assert "def double(" in Path("out.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["functions.py"], "FILE.py:FUNCTION"),
        (["missing.py:f"], "there is no such file"),
        (["functions.py:missing"], "missing"),
        (["functions.py:np"], "is no function"),
        (["functions.py:first", "--input", "float33[2]"], "no dtype float33"),
        (["functions.py:first", "--input", "float32[x]"], "not DTYPE[SIZES]"),
        (["functions.py:first", "--input", "missing.npy"], "missing.npy"),
        (["functions.py:first", "--input", "'text'"], "not a number"),
        (["functions.py:first", "--input", "[[1], [2, 3]]"], "[[1], [2, 3]]"),
        (["functions.py:first"], "with 0 inputs"),
        (["broken.py:f"], "importing broken.py failed: SyntaxError"),
        (["functions.py:first", "--input", "int8[2]", "--output", "no/out.py"], "no/out.py"),
    ],
)
def test_bad_input_gets_a_sentence(
    program: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.py").write_text("def f(:\n", encoding="utf-8")
    assert native(*arguments) == 2
    assert message in capsys.readouterr().err


def test_arrays_come_from_files(tmp_path: Path) -> None:
    array = np.arange(6, dtype="i2").reshape(2, 3)
    np.save(tmp_path / "photo.npy", array)
    given = read(str(tmp_path / "photo.npy"))
    assert np.array_equal(given.value, array)
    assert [name for name, _ in cases([given])] == ["as given"]
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError):
        read(str(tmp_path / "objects.npy"))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int64", "float16", "complex64"])
def test_cases_keep_dtype_and_shape(dtype: str) -> None:
    given = read(f"{dtype}[3,?]")
    assert given.shape == (3, None)
    found: dict[str, Any] = {name: values for name, (values,) in cases([given])}
    assert {values.dtype.name for values in found.values()} == {dtype}
    assert found.pop("empty arrays").shape == (3, 0)
    assert len({values.shape for values in found.values()}) == 1


def test_numbers_of_a_seed_are_numpys_own(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["native", f"{program}:seeded", "--input", "float64[6]", "--input", "int64[]"]
    assert main([*command, "--no-experiments"]) == 0
    told = capsys.readouterr()
    assert "tf.random" not in told.out
    assert "as given                equal\n" in told.err


def test_random_numbers_are_compared_by_their_distribution(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["native", f"{program}:noisy", "--input", "float64[6]", "--input", "int64[]"]
    assert main([*command, "--no-experiments"]) == 1
    assert 'random="distribution"' in capsys.readouterr().err
    assert main([*command, "--no-experiments", "--random", "distribution"]) == 0
    told = capsys.readouterr()
    assert "tf.random.stateless_normal" in told.out
    assert "as given                equal in distribution\n" in told.err
    assert "NOT EQUAL" not in told.err
