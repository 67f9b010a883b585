"""Runs programs in one process, so that they share the import of TensorFlow.

    python one_after_the_other.py PROGRAM ...

What each prints follows a line with a record separator and its name.
"""

import runpy
import sys

for name in sys.argv[1:]:
    print(f"\x1e{name}", flush=True)
    runpy.run_path(name, run_name="__main__")
