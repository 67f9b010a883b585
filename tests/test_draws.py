"""Whether two ways draw random numbers of one distribution."""

from __future__ import annotations

from typing import Any

import pytest

from unslow.experiment.values.draws import compare_draws

np = pytest.importorskip("numpy")

COUNT = 64


def image(kind: str, generator: Any) -> Any:
    """A made-up photo, changed by chance in one way or another."""
    photo = np.tile(np.linspace(0.2, 0.8, 8)[:, None], (8, 1, 3))
    turned = kind != "never turned" and generator.random() < 0.5
    photo = photo[:, ::-1] if turned else photo
    noise = generator.normal(scale=0.1, size=photo.shape)
    if kind == "one number for each row":
        noise = np.broadcast_to(noise[:, :1], photo.shape)
    noise = noise * (2 if kind == "louder" else 1)
    photo = np.clip(photo + noise, 0, 1).astype(np.float32)
    if kind == "not a number":
        photo[0, 0] = np.nan
    return photo


def draws(kind: str, seed: int, count: int = COUNT) -> Any:
    generator = np.random.default_rng(seed)
    return np.stack([image(kind, generator) for _ in range(2 * count)])


def test_draws_of_one_distribution_are_equal() -> None:
    for seed in range(20):
        found = compare_draws([draws("plain", seed, 2 * COUNT)], [draws("plain", 1000 + seed)], 2)
        assert found.equal == "distribution", found.where


@pytest.mark.parametrize(
    "kind", ["never turned", "one number for each row", "louder", "not a number"]
)
def test_other_draws_are_told(kind: str) -> None:
    found = compare_draws([draws("plain", 1, 2 * COUNT)], [draws(kind, 2)], 2)
    assert found.equal is False
    assert "another distribution" in found.where


def test_dtype_and_shape_must_be_the_same() -> None:
    present = draws("plain", 1)
    assert "float64" in compare_draws([present], [present.astype("float64")], 2).where
    assert "shape" in compare_draws([present], [present[:, :4]], 2).where
    several = compare_draws([present, present], [present, present[..., 0]], 2)
    assert several.where.startswith("[1]: ")


def test_numbers_within_the_tolerance_are_the_same() -> None:
    sides = np.random.default_rng(0).integers(0, 2, size=4 * COUNT)
    present = np.where(sides, 0.25, 0.75).astype(np.float32)
    near, far = present * np.float32(1 + 1e-6), present + np.float32(0.01)
    assert compare_draws([present], [near[: 2 * COUNT]], 1).equal == "distribution"
    assert compare_draws([present], [far[: 2 * COUNT]], 1).equal is False


def test_a_way_that_always_draws_the_same_is_told() -> None:
    present = draws("plain", 1)
    frozen = np.concatenate([np.repeat(half[:1], COUNT, 0) for half in np.split(present, 2)])
    assert "another distribution" in compare_draws([present], [frozen], 2).where
    assert "same numbers in each call" in compare_draws([frozen], [present], 2).where


def test_rare_events_may_be_missed() -> None:
    generator = np.random.default_rng(3)
    present, other = (np.where(generator.random((n, 40)) < 0.01, 1.0, 0.0) for n in (128, 64))
    other[:] = 0.0
    other[0, 0] = 1.0
    assert compare_draws([present], [other], 1).equal == "distribution"
