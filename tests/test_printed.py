"""What programs print, compared: the terminal's view of it, numbers, times, varying lines."""

from __future__ import annotations

import pytest

from unslow.experiment.whole.printed import Expected, Mismatch
from unslow.experiment.whole.screen import shown
from unslow.experiment.whole.tokens import tokens


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one\ntwo\n", ["one", "two", ""]),
        ("1/3 ...\r2/3 ..\r3/3\n", ["3/3 ...", ""]),
        ("10 of 30\r\x1b[K20 of 30\n", ["20 of 30", ""]),
        ("abc\b\bXY\n", ["aXY", ""]),
        ("a\b\b\b\bX\n", ["X", ""]),
        ("\x1b[1m1/2\x1b[0m \x1b[32m━━\x1b[0m\n", ["1/2 ━━", ""]),
        ("first\nsecond\n\x1b[2Achanged\n", ["changed", "second", ""]),
        ("a\tb", ["a       b"]),
        ("kept\r\x1b[2K", [""]),
        ("\x1b]0;title\x07text", ["text"]),
        ("ab\x1b[5Dc\x1b[3Gd", ["cbd"]),
        ("one\r\ntwo\r\n", ["one", "two", ""]),
        ("", [""]),
    ],
)
def test_a_terminal_shows(text: str, lines: list[str]) -> None:
    assert shown(text) == lines


def kinds(line: str) -> str:
    """The line's tokens: numbers as `#`, times as `~`."""
    return " ".join({"number": "#", "time": "~"}.get(t.kind, t.text) for t in tokens(line))


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("loss: 0.3121 - accuracy: 0.95", "loss : # - accuracy : #"),
        ("took 3.2 s", "took ~"),
        ("3.2s 500ms/step - loss: 1.5", "~ - loss : #"),
        ("10/10 0s 3ms/step", "# / # ~"),
        ("12.3 it/s, 45 MB/s, 812 images / sec", "~ , ~ , ~"),
        ("812 images per second", "~"),
        ("812/s", "~"),
        ("1m20s left", "~ left"),
        ("2 h 5 min 3 s", "~"),
        ("max 0.5 min 0.1", "max # min #"),
        ("0.5 min: 0.1", "# min : #"),
        ("1 h = 3", "# h = #"),
        ("started 2024-05-06 12:30:11.25 here", "started ~ here"),
        ("2024-05-06T12:30:11Z", "~"),
        ("Tue May  6 12:00:01 2024", "~"),
        ("ETA: 0:00:12", "ETA : ~"),
        ("03:25 done", "~ done"),
        ("5 µs per loop", "~"),
        ("elapsed: 3.25", "elapsed : ~"),
        ("Time per step (ms): 12.5", "Time per step ( ms ) : ~"),
        ("speed = 1e3", "speed = ~"),
        ("the times 4 lists", "the times ~ lists"),
        ("<object at 0x7f12ab34cd>", "< object at ~ >"),
        ("[-1.5 2. .5e-3 nan -inf]", "[ # # # # # ]"),
        ("conv2d_3 x2 3x4", "conv2d_3 x2 # x4"),
        ("a-3 (2)-1", "a - # ( # ) - #"),
        ("step 3", "step #"),
        ("class 12 score 0.5", "class # score #"),
        ("shape (32, 10)", "shape ( # , # )"),
        ("ends at 7.", "ends at #"),
        ("3 steps", "# steps"),
        ("7 seconds", "~"),
        ("", ""),
    ],
)
def test_a_line_is_taken_apart(line: str, seen: str) -> None:
    assert kinds(line) == seen


def expected(*runs: str) -> Expected:
    first = Expected(shown(runs[0]))
    for run in runs[1:] or runs[:1]:
        first.learn(shown(run))
    return first


def difference(runs: tuple[str, ...], other: str) -> str:
    mismatch, _ = expected(*runs).compare(shown(other))
    return "" if mismatch is None else mismatch.where


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.3121", "0.3122"),
        ("score 0.999", "score 1.000"),
        ("1.0", "0.9999999"),
        ("0.31249999", "0.31250001"),
        ("1.2345e-05", "1.2346e-05"),
        ("[0.1 0.25]", "[ 0.1   0.25 ]"),
        ("nan", "nan"),
        ("-0.000", "0.000"),
        ("took 3 s", "took 11.2 s"),
        ("elapsed 0:05", "elapsed 0:01"),
        ("done in 0:05", "done in 0:01"),
        ("ETA: 0:12", "ETA: 0:01"),
        ("[00:05<00:00, 2.1it/s]", "[00:01<00:00, 9.4it/s]"),
        ("1:05 500ms/step", "2s 10ms/step"),
        ("12 images/s", "99 images/s"),
        ("mean -1.2e-17", "mean 3e-16"),
        ("3 s", "200 ms"),
        ("at 0x7f0011223344", "at 0x7f9911223300"),
        ("1_000", "1000"),
        ("a\n\nb", "a\nb\n"),
    ],
)
def test_these_are_printed_alike(one: str, other: str) -> None:
    assert difference((one,), other) == ""
    assert difference((other,), one) == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0.3121", "0.3123"),
        ("class 3", "class 4"),
        ("accuracy 0.9", "accuracy 1.0"),
        ("accuracy 0.97", "accuracy 0.98"),
        ("12.5", "12.6"),
        ("1.5", "-1.5"),
        ("1.5", "nan"),
        ("inf", "-inf"),
        ("inf", "1e30"),
        ("1.2345e-05", "1.2345e-04"),
        ("word", "Word"),
        ("a b", "ab"),
        ("1 2 3", "1 2"),
        ("a", "a\na"),
        ("a\nb", "a"),
        ("", "a"),
        ("b\na", "a\nb"),
        ("0.5", "0.51"),
        ("9007199254740992", "9007199254740993"),
        ("0.000", "0.001"),
        ("error 0.001", "error 0.002"),
        ("grad norm 0.00000004", "grad norm 0.00000009"),
        ("1e-9", "5e-8"),
        ("1e-9", "-1e-9"),
        ("score 21:15", "score 15:21"),
        ("histogram 0:20 1:20", "histogram 0:00 1:00"),
        ("predicted 2024-01-01", "predicted 1999-12-31"),
        ("hash 0xdeadbeef", "hash 0xdeadbee0"),
        ("speed 31.2", "speed 99.9"),
        ("learning rate eta 0.1", "learning rate eta 0.9"),
        ("took 11.25 s", "took 10.75 s"),
        ("wait 5 h", "wait 9 h"),
    ],
)
def test_these_are_not(one: str, other: str) -> None:
    assert difference((one,), other)
    assert difference((other,), one)


def test_what_varies_by_itself_is_left_out_and_the_rest_is_not() -> None:
    runs = "id 17 loss 0.5\nsame 1.25\n", "id 94 loss 0.5\nsame 1.25\n"
    assert difference(runs, "id 3 loss 0.5\nsame 1.25\n") == ""
    assert "loss 0.7" in difference(runs, "id 3 loss 0.7\nsame 1.25\n")
    assert "same 1.5" in difference(runs, "id 3 loss 0.5\nsame 1.5\n")
    assert "another" in difference(runs, "another 3 loss 0.5\nsame 1.25\n")
    assert expected(*runs).varying == 1
    assert expected(*runs).stable == 1


def test_a_time_of_day_that_varies_is_left_out_and_does_not_count_as_a_number() -> None:
    runs = "at 12:30 score 0.5\n", "at 12:31 score 0.5\n"
    assert difference(runs, "at 13:07 score 0.5\n") == ""
    assert difference(runs, "at 13:07 score 0.7\n")
    assert expected(*runs).varying == 0
    assert not expected(*runs).varying_numbers


def test_what_shows_that_results_stay() -> None:
    assert expected("saved 3 files\n").stable_numbers
    assert not expected("saved res.npy in 3 s on 2024-05-06\n").stable_numbers
    assert not expected("loss 0.5\n", "loss 0.6\n").stable_numbers


def test_a_file_has_lines_where_a_program_prints_them() -> None:
    known = Expected(["a 1"], ("has", "have"))
    known.learn(["a 1"])
    assert known.compare(["a 2"])[0] == Mismatch("has `a 2`, it was `a 1`")
    assert known.compare([])[0] == Mismatch("does not have `a 1`")


def test_a_number_that_varies_in_one_line_does_so_in_all_that_look_alike() -> None:
    runs = "epoch 1 loss 0.512\nepoch 2 loss 0.400\n", "epoch 1 loss 0.731\nepoch 2 loss 0.400\n"
    assert difference(runs, "epoch 1 loss 0.6\nepoch 2 loss 0.5\n") == ""
    assert difference(runs, "epoch 1 loss 0.6\nepoch 3 loss 0.4\n")


def test_a_line_whose_words_vary_may_be_anything() -> None:
    runs = "token abc\nend\n", "token xyz\nend\n"
    assert difference(runs, "nothing like it at all\nend\n") == ""
    assert difference(runs, "token abc\nstart\n")


def test_lines_that_come_and_go_are_aligned() -> None:
    runs = "a 1\nwarning\nb 2.5\n", "a 1\nb 2.5\n"
    assert difference(runs, "a 1\nb 2.5\n") == ""
    assert difference(runs, "a 1\nwarning\nwarning\nb 2.5\n") == ""
    assert difference(runs, "a 1\nwarning\nb 3.5\n")
    assert "does not print `b 2.5`" in difference(runs, "a 1\nwarning\n")


def test_the_number_of_lines_counts_where_it_is_stable() -> None:
    assert difference(("a\nb\n",), "a\nb\nc\n") == "prints 3 lines, it was 2: `c`"
    assert difference(("a\nb\n",), "b\n") == "does not print `a`"


def test_a_progress_bar_is_read_as_it_stands_in_the_end() -> None:
    bar = "".join(f"\r{i}/3 {'.' * i:3} {i * 7}ms/step - loss: {1 / i:.4f}" for i in (1, 2, 3))
    faster = "\r3/3 ... 2ms/step - loss: 0.3333\n"
    assert difference((f"{bar}\n",), faster) == ""
    assert difference((f"{bar}\n",), "\r3/3 ... 2ms/step - loss: 0.3433\n")


def test_the_largest_difference_is_told() -> None:
    mismatch, error = expected("a 2.000001\n").compare(shown("a 2.000003\n"))
    assert mismatch is None
    assert error == pytest.approx(1e-6, rel=0.01)


def test_learning_says_whether_more_varies() -> None:
    known = Expected(["a 1", "b 2"])
    assert not known.learn(["a 1", "b 2"])
    assert known.learn(["a 1", "b 3"])
    assert not known.learn(["a 1", "b 4"])
    assert known.learn(["a 1", "c"])
    assert not known.varying_numbers or known.stable == 1


def test_much_text_with_lines_missing_does_not_take_long() -> None:
    many = [f"line {i % 7} {i}.5" for i in range(20_000)]
    known = Expected(many)
    known.learn(many[:5000] + many[9000:])
    assert known.compare(many)[0] is None
