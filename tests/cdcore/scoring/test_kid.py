import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cdcore.errors import ConfigError
from cdcore.scoring.kid import EmbedderFeatures, kernel_distance


def rows(count: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed)) + shift


def by_definition(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """The unbiased estimate, pair by pair."""

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    m, n = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(m) for j in range(m) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(n) for j in range(n) if i != j)
    across = sum(kernel(a, b) for a in x for b in y)
    return within_x / (m * (m - 1)) + within_y / (n * (n - 1)) - 2 * across / (m * n)


def test_it_is_the_unbiased_estimate_of_its_definition() -> None:
    real, generated = rows(14, 0), rows(14, 1, shift=0.5)
    found = kernel_distance(generated, real, features=nn.Identity(), subsets=2)
    expected = by_definition(real.double().numpy(), generated.double().numpy())
    # A subset of all pictures is the same whatever its order.
    assert found.mean == pytest.approx(expected, rel=1e-4)
    assert found.spread == pytest.approx(0, abs=1e-5)


def test_pictures_of_one_source_are_near_nought_and_others_far() -> None:
    real = rows(200, 0)
    same = kernel_distance(rows(200, 1), real, features=nn.Identity(), subset_size=100)
    other = kernel_distance(rows(200, 2, shift=0.7), real, features=nn.Identity(), subset_size=100)
    assert abs(same.mean) < 0.1 * other.mean
    assert other.spread > 0


def test_the_subsets_depend_on_the_seed_alone_and_leave_the_global_generator() -> None:
    before = torch.get_rng_state()
    of_seed = [
        kernel_distance(
            rows(30, 1), rows(20, 0), features=nn.Identity(), subsets=5, subset_size=9, seed=seed
        )
        for seed in (3, 3, 4)
    ]
    assert of_seed[0] == of_seed[1] != of_seed[2]
    assert torch.equal(torch.get_rng_state(), before)


class Brightness:
    """Embeds a picture by the mean of each colour."""

    def embed_pictures(self, pixels: Tensor) -> Tensor:
        return functional.normalize(pixels.mean(dim=(2, 3)), dim=-1)


def test_any_embedder_is_a_feature_module_whose_kernel_is_of_the_cosine() -> None:
    pictures = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    others = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(1)) - 0.5
    found = kernel_distance(others, pictures, features=EmbedderFeatures(Brightness()), subsets=1)
    x, y = (Brightness().embed_pictures(part).double().numpy() for part in (pictures, others))
    # x . y / d of the definition is then the cosine itself.
    assert found.mean == pytest.approx(by_definition(x * 3**0.5, y * 3**0.5), rel=1e-4)


@pytest.mark.parametrize(("count", "size"), [(1, None), (5, 6), (5, 1)])
def test_too_few_pictures_are_refused(count: int, size: int | None) -> None:
    with pytest.raises(ConfigError, match=f"KID of {count} generated and 8 real"):
        kernel_distance(rows(count, 0), rows(8, 1), features=nn.Identity(), subset_size=size)
