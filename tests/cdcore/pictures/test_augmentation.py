import random
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cdcore.errors import ConfigError
from cdcore.pictures.augmentation import Variant, apply_variant, draw_variant, plain_variant

SIZES = [(64, 4), (64, 8), (128, 8), (512, 8), (8, 8), (16, 8), (24, 2)]


class Scripted(random.Random):
    """Gives the listed integers first (the branch, then the size) and random ones after that."""

    def __init__(self, *first):
        super().__init__(0)
        self.first = list(first)

    def randrange(self, start, stop=None, step=1):
        return self.first.pop(0) if self.first else super().randrange(start, stop, step)


def distribution(resolution):
    """Exact probability of every (kind, size) by enumeration of the two-stage draw."""
    shrunk = range(resolution // 3, resolution + 1)
    grown = range(resolution * 12 // 10, resolution * 14 // 10)
    found: dict[tuple[str, int], Fraction] = defaultdict(Fraction)
    for branch in range(3):
        sizes = shrunk if branch < 2 else grown
        for size in sizes:
            variant = draw_variant(resolution, Scripted(branch, size))
            found[variant.kind, variant.size_px] += Fraction(1, 3 * len(sizes))
    return found


def far(size_px, left, top):
    return Variant(
        kind="far", size_px=size_px, left=left, top=top, flip=False, prefix="very small "
    )


def halves(width, height):
    """Left half black, right half white."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, width // 2 :] = 255
    return Image.fromarray(pixels)


def shown_u8(pixels):
    """Undoes the scaling to [-1, 1]: (3, S, S) float -> (S, S, 3) uint8."""
    return ((pixels + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


@st.composite
def drawn(draw):
    resolution, factor = draw(st.sampled_from(SIZES))
    rng = random.Random(draw(st.integers(0, 2**32)))
    return draw_variant(resolution, rng), resolution, factor


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [(512, (0.2663, 0.4004, 0.3333)), (1024, (0.2671, 0.3996, 0.3333))],
)
def test_the_kinds_have_the_probabilities_of_the_original(resolution, expected):
    total: dict[str, Fraction] = defaultdict(Fraction)
    for (kind, _), share in distribution(resolution).items():
        total[kind] += share
    assert sum(total.values()) == 1
    assert [round(float(total[kind]), 4) for kind in ("far", "mid", "zoom")] == list(expected)


def test_sizes_at_512_are_those_of_the_original():
    sizes: dict[str, set[int]] = {kind: set() for kind in ("far", "mid", "zoom")}
    for kind, size in distribution(512):
        sizes[kind].add(size)
    assert sizes["far"] == set(range(170, 307, 2))
    assert sizes["mid"] == {512}
    assert sizes["zoom"] == set(range(614, 717, 2))


def test_random_draws_follow_the_enumeration():
    rng = random.Random(7)
    count = 6000
    kinds: Counter[str] = Counter(draw_variant(512, rng).kind for _ in range(count))
    for kind, share in (("far", 0.2663), ("mid", 0.4004), ("zoom", 0.3333)):
        assert abs(kinds[kind] / count - share) < 0.025


def test_prefixes_and_flips_are_fair_and_belong_to_their_kind():
    rng = random.Random(3)
    variants = [draw_variant(64, rng) for _ in range(4000)]
    prefixes: dict[str, Counter[str]] = {kind: Counter() for kind in ("far", "mid", "zoom")}
    for variant in variants:
        prefixes[variant.kind][variant.prefix] += 1
    assert set(prefixes["far"]) == {"a far away ", "very small "}
    assert set(prefixes["mid"]) == {""}
    assert set(prefixes["zoom"]) == {"zoomed in ", "close up "}
    for kind in ("far", "zoom"):
        few, many = sorted(prefixes[kind].values())
        assert few > 0.85 * many
    assert abs(sum(variant.flip for variant in variants) / len(variants) - 0.5) < 0.03


@given(drawn())
def test_a_drawn_picture_lies_on_the_image_or_covers_it(case):
    variant, resolution, _ = case
    for start in (variant.left, variant.top):
        end = start + variant.size_px
        if variant.kind == "far":
            assert start >= 0
            assert end <= resolution
        else:
            assert start <= 0
            assert end >= resolution


def test_every_place_is_reached():
    rng = random.Random(0)
    variants = [draw_variant(16, rng) for _ in range(4000)]
    seen = {(v.kind, v.size_px, v.left) for v in variants} & {
        (v.kind, v.size_px, v.top) for v in variants
    }
    for size in (6, 8):
        assert {left for kind, s, left in seen if s == size} == set(range(16 - size + 1))
    for size in (20, 22):
        assert {left for kind, s, left in seen if s == size} == set(range(16 - size, 1))


def test_the_same_seed_draws_the_same_variant():
    assert draw_variant(512, random.Random("a")) == draw_variant(512, random.Random("a"))


def test_without_augmentation_only_the_flip_varies():
    rng = random.Random(0)
    drawn_ones = {draw_variant(512, rng, augment=False) for _ in range(64)}
    assert drawn_ones == {plain_variant(512), plain_variant(512, flip=True)}


def test_without_flips_all_else_is_drawn_as_before():
    for seed in range(64):
        flipped = draw_variant(512, random.Random(seed))
        plain = draw_variant(512, random.Random(seed), flip=False)
        assert plain == replace(flipped, flip=False)
    assert draw_variant(512, random.Random(0), augment=False, flip=False) == plain_variant(512)


@given(drawn(), st.integers(1, 90), st.integers(1, 90))
@settings(max_examples=150)
def test_pixels_and_mask_keep_their_promises(case, width, height):
    variant, resolution, factor = case
    image = Image.new("RGB", (width, height), (255, 255, 255))
    pixels, mask = apply_variant(image, variant, resolution, factor)
    cells = resolution // factor
    assert pixels.shape == (3, resolution, resolution)
    assert pixels.dtype == torch.float32
    assert mask.shape == (1, cells, cells)
    assert mask.dtype == torch.uint8
    rows, columns = slice(variant.top, None), slice(variant.left, None)
    if variant.kind == "far":
        rows = slice(variant.top, variant.top + variant.size_px)
        columns = slice(variant.left, variant.left + variant.size_px)
        shown = pixels[:, rows, columns].clone()
        assert (shown == 1.0).all()
        pixels[:, rows, columns] = 0.0
        assert (pixels == 0.0).all()
        assert mask.any()
    else:
        assert (pixels == 1.0).all()
        assert mask.all()


@given(drawn())
@settings(max_examples=300)
def test_a_far_mask_is_a_rectangle_inside_the_picture(case):
    variant, resolution, factor = case
    if variant.kind != "far":
        return
    _, mask = apply_variant(Image.new("RGB", (9, 9)), variant, resolution, factor)
    for axis, start in ((2, variant.left), (1, variant.top)):
        cells = mask.amax(dim=(0, 3 - axis)).nonzero().flatten().tolist()
        assert cells == list(range(cells[0], cells[-1] + 1))
        end = start + variant.size_px
        covered = [
            c
            for c in range(resolution // factor)
            if start <= c * factor and (c + 1) * factor <= end
        ]
        original = list(range(start // factor + 1, end // factor - 1))
        centre = [(start + variant.size_px // 2) // factor]
        assert cells == (original or covered or centre)
    assert mask.sum() == mask.amax(dim=(0, 1)).sum() * mask.amax(dim=(0, 2)).sum()


def test_the_mask_at_512_is_the_original_rule():
    _, mask = apply_variant(Image.new("RGB", (9, 9)), far(200, 13, 312), 512, 8)
    expected = torch.zeros(1, 64, 64, dtype=torch.uint8)
    expected[:, 312 // 8 + 1 : (312 + 200) // 8 - 1, 13 // 8 + 1 : (13 + 200) // 8 - 1] = 1
    assert torch.equal(mask, expected)


def test_a_mid_variant_of_a_fitting_square_is_the_picture_itself():
    pixels_u8 = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    pixels, mask = apply_variant(Image.fromarray(pixels_u8), plain_variant(64), 64, 8)
    assert np.array_equal(shown_u8(pixels), pixels_u8)
    assert mask.all()
    assert pixels.min() == -1.0
    assert pixels.max() == 1.0


def test_a_flip_mirrors_the_picture_and_keeps_its_place():
    image = halves(40, 40)
    variant = far(20, 3, 30)
    flipped = Variant(kind="far", size_px=20, left=3, top=30, flip=True, prefix=variant.prefix)
    pixels, mask = apply_variant(image, variant, 64, 4)
    mirrored, mirrored_mask = apply_variant(image, flipped, 64, 4)
    assert torch.equal(mask, mirrored_mask)
    place = (slice(None), slice(30, 50), slice(3, 23))
    assert torch.equal(mirrored[place], pixels[place].flip(2))
    assert pixels[0, 40, 4] == -1.0
    assert mirrored[0, 40, 4] == 1.0


@pytest.mark.parametrize("size", [(192, 64), (64, 192), (127, 64)])
def test_a_picture_that_is_not_square_is_cropped_and_never_squashed(size):
    width, height = size
    pixels_u8 = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels, _ = apply_variant(Image.fromarray(pixels_u8), plain_variant(64), 64, 8)
    left, top = (width - 64) // 2, (height - 64) // 2
    assert np.array_equal(shown_u8(pixels), pixels_u8[top : top + 64, left : left + 64])


def test_a_zoomed_picture_shows_the_drawn_window():
    ramp = np.tile(np.arange(80, dtype=np.uint8), (80, 1))
    image = Image.fromarray(np.stack([ramp, ramp.T, ramp], axis=-1))
    variant = Variant(kind="zoom", size_px=80, left=-5, top=-11, flip=False, prefix="close up ")
    pixels, mask = apply_variant(image, variant, 64, 8)
    columns, rows = (pixels[0, 0] + 1) * 127.5, (pixels[1, :, 0] + 1) * 127.5
    assert torch.allclose(columns, torch.arange(5.0, 69.0), atol=1e-4)
    assert torch.allclose(rows, torch.arange(11.0, 75.0), atol=1e-4)
    assert mask.all()


@pytest.mark.parametrize("resolution", [0, -64, 6, 63, 513])
def test_odd_and_tiny_resolutions_are_refused(resolution):
    with pytest.raises(ConfigError, match=f"resolution {resolution}"):
        draw_variant(resolution, random.Random(0))
    with pytest.raises(ConfigError, match=f"resolution {resolution}"):
        plain_variant(resolution)


def test_a_resolution_between_latent_cells_is_refused_with_the_next_one_that_fits():
    with pytest.raises(ConfigError, match=r"516 is not a multiple of 8.*use 520"):
        apply_variant(Image.new("RGB", (9, 9)), plain_variant(516), 516, 8)
