"""Says why a TensorFlow program is slow.

The public names load their rooms when they are first used, so that
`import unslow` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unslow.catalogue import diagnose, pages

    # A module of that package is called page as well.
    from unslow.catalogue import page as page  # type: ignore[no-redef]
    from unslow.catalogue.page import Page
    from unslow.finding import Alternative, Claim, Cost, Edit, Finding, Gain, Proof, Site
    from unslow.native.function import native, numpy_function
    from unslow.native.untranslatable import Untranslatable
    from unslow.recording.data import Recording
    from unslow.report.document import document

__version__ = "0.1.0"

__all__ = [
    "Alternative",
    "Claim",
    "Cost",
    "Edit",
    "Finding",
    "Gain",
    "Page",
    "Proof",
    "Recording",
    "Site",
    "Untranslatable",
    "__version__",
    "diagnose",
    "document",
    "native",
    "numpy_function",
    "page",
    "pages",
]

_HOMES = {
    "Alternative": "unslow.finding",
    "Claim": "unslow.finding",
    "Cost": "unslow.finding",
    "Edit": "unslow.finding",
    "Finding": "unslow.finding",
    "Gain": "unslow.finding",
    "Page": "unslow.catalogue.page",
    "Proof": "unslow.finding",
    "Recording": "unslow.recording.data",
    "Site": "unslow.finding",
    "Untranslatable": "unslow.native.untranslatable",
    "diagnose": "unslow.catalogue",
    "document": "unslow.report.document",
    "native": "unslow.native",
    "numpy_function": "unslow.native.function",
    "page": "unslow.catalogue",
    "pages": "unslow.catalogue",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
