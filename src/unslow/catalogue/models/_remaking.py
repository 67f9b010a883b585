"""Models that are made again for an experiment, as the program made them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unslow.catalogue.models import _trials
from unslow.recording.samples import ModelCall, ModelLoad


class Remaking:
    """A model that is made again each time and then called, against one that is kept.

    `make` gives the model, `keep` the one to be kept. Where the program trains it, or makes
    it of random weights, the kept one is given its first values again, as a program would
    have to do. Without a `call` the results are the weights.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        keep: Callable[[], Any],
        call: ModelCall | None,
        put_back: bool,
    ) -> None:
        self._make = make
        self._keep = keep
        self.call = call
        self._put_back = put_back
        self.learns = call is not None and _learns(call)
        self._kept: Any = None
        self._first: list[tuple[Any, Any]] = []

    @classmethod
    def of_load(cls, load: ModelLoad, call: ModelCall | None) -> Remaking:
        """A model that is loaded from its file, or from a copy of what that held."""

        def make() -> Any:
            if load.content is None:
                return _load(load, load.path)
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder, load.path.name)
                copy.write_bytes(load.content)
                return _load(load, copy)

        learns = call is not None and _learns(call)
        return cls(make, make if learns else lambda: load.model, call, learns)

    @classmethod
    def of_model(cls, call: ModelCall) -> Remaking:
        """A model that is constructed, of the same configuration."""

        def make() -> Any:
            made = type(call.model).from_config(call.model.get_config())
            if call.model.compiled:
                made.compile_from_config(call.model.get_compile_config())
            return made

        return cls(make, make, call, True)

    @classmethod
    def of_compile(cls, call: ModelCall) -> Remaking:
        """One model that is compiled."""
        settings = call.model.get_compile_config()

        def make() -> Any:
            call.model.compile_from_config(settings)
            return call.model

        return cls(make, make, call, _learns(call))

    def again(self) -> Any:
        """The present way."""
        return self._used(self._make())

    def with_kept(self) -> Any:
        """The way with one model."""
        if self._kept is None:
            self._kept = self._keep()
            if self._put_back:
                self._first = [(each, each.numpy()) for each in _variables(self._kept)]
        for variable, value in self._first:
            variable.assign(value)
        return self._used(self._kept)

    def results(self, returned: Any) -> Any:
        """What is compared."""
        return returned.get_weights() if self.call is None else _trials.results(returned)

    def _used(self, model: Any) -> Any:
        if self.call is None:
            return model
        changes: dict[str, Any] = {}
        if self.call.method == "fit":
            # The order of the rows would depend on what else has drawn random numbers.
            changes["shuffle"] = False
        call = ModelCall(model, self.call.method, (), self.call.keywords, self.call.rows)
        return _trials.call_again(call, **changes)


def _load(load: ModelLoad, path: Path) -> Any:
    import keras

    return keras.models.load_model(path, *load.arguments, **load.keywords)


def _learns(call: ModelCall) -> bool:
    return call.method in ("fit", "train_on_batch")


def _variables(model: Any) -> list[Any]:
    optimizer = getattr(model, "optimizer", None)
    return [*model.variables, *getattr(optimizer, "variables", ())]
