"""`python -m unslow` is the command `unslow`."""

import sys

from unslow.cli import main

if __name__ == "__main__":
    sys.exit(main())
