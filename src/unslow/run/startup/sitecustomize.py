"""Starts the recorder in the program's process before the program's first line.

Python imports `sitecustomize` at its start. The parent puts this folder in front
of `PYTHONPATH`; here that is undone before anything else, so that the program
and its children find the environment and the module search path they would have
had, and the `sitecustomize` that would have run.
"""


def _start() -> None:
    import os
    import sys
    from pathlib import Path

    task = os.environ.pop("UNSLOW_CHILD", None)
    folder = str(Path(__file__).resolve().parent)
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if folder in path:
        path.remove(folder)
    if path and path != [""]:
        os.environ["PYTHONPATH"] = os.pathsep.join(path)
    else:
        os.environ.pop("PYTHONPATH", None)
    sys.path[:] = [entry for entry in sys.path if entry != folder]
    if task is not None:
        from unslow.run.child import begin

        begin(task)
    own = sys.modules.pop("sitecustomize")
    try:
        __import__("sitecustomize")
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        sys.modules["sitecustomize"] = own


_start()
