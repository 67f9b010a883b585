"""Runs a whole program once, other text laid over some of its files, and observes it.

The program gets a process of its own, with an empty standard input, its output in files,
and a fixed hash seed unless there is one: so that sets of strings have the same order each
time, and two runs can be compared.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from unslow.experiment.whole.child import Task
from unslow.experiment.whole.observation import Observation
from unslow.experiment.whole.observer import ENDED, OBSERVED
from unslow.experiment.whole.written import Before, read_all

GRACE = 10.0
"""Seconds that a program may take to leave after its end was observed, or after the limit."""

OBSERVING = 60.0
"""Seconds that reading its values may take after its end."""

OUTPUT_LIMIT = 32 * 2**20
"""Bytes that are kept of each of its two output streams."""

_ROOT = str(Path(__file__).resolve().parents[3])

_BEGIN = (
    "import sys, time; began = time.monotonic(); sys.path.insert(0, {root!r}); "
    "from unslow.experiment.whole.child import main; {also}"
    "del sys.path[0]; main(began{notebook})"
)


def run_program_once(
    target: Sequence[str],
    contents: Mapping[str, bytes],
    functions: Collection[tuple[str, str]] = (),
    *,
    limit: float | None = None,
    include: Collection[str] = (),
    looked_at: Collection[str] | None = (),
) -> Observation:
    """Run a program in a process of its own and return what it came to.

    `target`: the script, `-m` and module, or notebook, then arguments. `contents`: by absolute
    path, the bytes that stand for a file; the file itself is not touched. For a notebook these
    are the bytes of the whole `.ipynb`. A file that is named here is always compiled anew: to
    compare times, name the same files for each run. `functions`: absolute path and qualified
    name (`Class.method`; `outer.inner`) of the functions whose returned values are wanted;
    generators, coroutines and what AutoGraph converts are not seen. `limit`: seconds after
    which the program is interrupted and, if that does not end it, killed. `include`:
    installed packages that count as the program's own code. `looked_at`: paths of files that
    the program may write, beside those below the working directory; `None` to find them, for
    which it is slowed down a little.

    Raises:
        OSError: a file in `functions` cannot be read, or no process be started.
    """
    laid = {path: Path(path).read_bytes() for path, _ in functions if path not in contents}
    laid.update(contents)
    own = [*include, *([target[1].partition(".")[0]] if target[:1] == ["-m"] else [])]
    with tempfile.TemporaryDirectory(prefix="unslow-") as name:
        folder = Path(name)
        flags: Any = vars(subprocess)["_args_from_interpreter_flags"]
        python = [sys.executable, *flags()]
        task = Task(
            folder=name,
            command=tuple(python),
            target=tuple(target),
            contents=laid,
            functions=tuple(functions),
            include=tuple(own),
            watch_files=looked_at is None,
        )
        (folder / "task").write_bytes(pickle.dumps(task))
        command = [*python, "-c", _beginning(target[0]), str(folder / "task")]
        before = Before(looked_at or ())
        ended = _run(command, folder, limit)
        return _observation(folder, ended, [*laid], before)


def _beginning(program: str) -> str:
    if not program.endswith(".ipynb"):
        return _BEGIN.format(root=_ROOT, also="", notebook="")
    # A room above this one has it: the program's process brings the two together.
    also = "from unslow.run.notebook import main as run_notebook; "
    return _BEGIN.format(root=_ROOT, also=also, notebook=", run_notebook")


@dataclass
class _Ended:
    """How the process ended, as seen from outside; moments of `time.monotonic`."""

    started: float
    ended: float = 0.0
    status: int = 0
    timed_out: bool = False
    hung: bool = False


def _run(command: list[str], folder: Path, limit: float | None) -> _Ended:
    environment = {"PYTHONHASHSEED": "0", **os.environ}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        ended = _Ended(time.monotonic())
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            # A group of its own, so that it can be ended with all that it has started.
            start_new_session=True,
        )
        with _ended_with_us(process):
            ended.status = _wait(process, folder, limit, ended)
        ended.ended = time.monotonic()
    return ended


def _wait(
    process: subprocess.Popen[bytes], folder: Path, limit: float | None, ended: _Ended
) -> int:
    kill_at: float | None = None
    at_end = observed = False
    while True:
        try:
            return process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            pass
        moment = time.monotonic()
        if not at_end and (folder / ENDED).exists():
            at_end = True
            kill_at = moment + OBSERVING
        if at_end and not observed and (folder / OBSERVED).exists():
            observed = True
            kill_at = moment + GRACE
        over = limit is not None and moment >= ended.started + limit
        if over and not at_end and not ended.timed_out:
            ended.timed_out = True
            kill_at = moment + GRACE
            process.send_signal(signal.SIGINT)
        if kill_at is not None and moment >= kill_at:
            ended.hung = at_end
            _kill(process)
            return process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


@contextlib.contextmanager
def _ended_with_us(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let nothing of the program go on when waiting for it is given up, or we are ended."""

    def end(number: int, frame: FrameType | None) -> None:
        _kill(process)
        signal.signal(number, before[number])
        os.kill(os.getpid(), number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for ending in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(ending) is signal.SIG_DFL:
                before[ending] = signal.signal(ending, end)
    try:
        yield
    except BaseException:
        _kill(process)
        process.wait()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _observation(folder: Path, ended: _Ended, paths: list[str], before: Before) -> Observation:
    notes: list[str] = []
    status = ended.status if ended.status >= 0 else 128 - ended.status
    out, err = (_text(folder / name, notes) for name in ("out", "err"))
    told: dict[str, Any] = _read(folder / ENDED)
    seen: dict[str, Any] = _read(folder / OBSERVED)
    wall, startup = ended.ended - ended.started, 0.0
    if told:
        wall = told["end"] - ended.started - told["ours"]
        startup = sum(told["startup"].values()) - ended.started
        if ended.hung:
            status = told["status"]
            notes.append(
                f"The program had ended but its process still hung after {GRACE:g} s: killed."
                if seen
                else f"The values at the program's end were not read within {OBSERVING:g} s."
            )
    else:
        notes.append(
            "The program's process ended without its exit handlers: what it computed is not known."
        )
    if ended.timed_out:
        notes.append("The program was ended, since it took longer than it was given.")
    ours = f"{folder}{os.sep}"
    written = before.written([path for path in seen.get("opened", ()) if not path.startswith(ours)])
    named = {os.path.realpath(path): path for path in paths}

    def as_named(path: str) -> str:
        return named.get(os.path.realpath(path), path)

    return Observation(
        exit_status=status,
        wall=wall,
        startup=startup,
        out=out,
        err=err,
        files=tuple(as_named(path) for path in seen.get("files", ())),
        values={
            (as_named(path), name): pickle.loads(taken)
            for (path, name), taken in seen.get("values", {}).items()
        },
        returned={
            key: tuple(pickle.loads(taken) for taken in each)
            for key, each in seen.get("returned", {}).items()
        },
        histories=tuple(pickle.loads(taken) for taken in seen.get("histories", ())),
        weights=tuple(pickle.loads(taken) for taken in seen.get("weights", ())),
        written={} if ended.timed_out else read_all(written, notes),
        paths=tuple(written),
        timed_out=ended.timed_out,
        notes=(*notes, *seen.get("notes", ())),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = pickle.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    return content


def _text(path: Path, notes: list[str]) -> str:
    with path.open("rb") as file:
        data = file.read(OUTPUT_LIMIT)
        if file.read(1):
            notes.append(f"Only the first {OUTPUT_LIMIT // 2**20} MB of its output were kept.")
    return data.decode("utf-8", errors="replace")
