"""Writes `docs/causes.md` from the pages of the catalogue.

    python docs/make.py [--check]

With `--check` nothing is written; the exit status is 1 where the file is not
what the pages say.
"""

from __future__ import annotations

import sys
from pathlib import Path

from unslow.catalogue import pages
from unslow.catalogue.page import Page

TARGET = Path(__file__).parent / "causes.md"


def document() -> str:
    """The whole file."""
    known = pages()
    rows = [f"| [{p.code}](#{p.code.lower()}-{p.name}) | {p.name} | {opening(p)} |" for p in known]
    return "\n".join(
        [
            "# The causes",
            "",
            "Written by `make docs` from the pages in `src/unslow/catalogue/`; "
            "`unslow explain CODE` prints one.",
            "",
            "| code | name | what it is |",
            "|---|---|---|",
            *rows,
            "",
            *(section(page) for page in known),
        ]
    )


def opening(page: Page) -> str:
    """The page's first sentence, on one line."""
    return " ".join(page.sections()[""].split())


def section(page: Page) -> str:
    """One page as Markdown."""
    text = page.text().replace("\n## ", "\n### ")
    return (
        f"## {page.code} {page.name}\n\n{text}\n\n"
        f"### Slow\n\n```python\n{page.slow.strip()}\n```\n\n"
        f"### Fast\n\n```python\n{page.fast.strip()}\n```\n"
    )


def main() -> int:
    """Write the file, or check it."""
    text = document()
    if "--check" in sys.argv[1:]:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            print(f"{TARGET} is not what the pages say; run make docs", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
