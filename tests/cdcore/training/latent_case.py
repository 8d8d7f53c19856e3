"""Rows of a latent cache that no autoencoder has seen."""

import torch

from cdcore.training.latent_rows import LatentRow

SHAPE = (4, 3, 5)


def rows_of(count, shape=SHAPE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        LatentRow(
            picture=number // 3,
            prefix=("", "very small ", "close up ", "größer ")[number % 4],
            mean=torch.randn(shape, generator=generator),
            std=torch.rand(shape, generator=generator),
            valid_mask=torch.randint(0, 2, shape[1:], generator=generator, dtype=torch.uint8),
        )
        for number in range(count)
    ]


def holds(cache, rows):
    return len(cache) == len(rows) and all(
        torch.equal(cache[number].mean, row.mean.half().float())
        and torch.equal(cache[number].std, row.std.half().float())
        and torch.equal(cache[number].valid_mask, row.valid_mask.float())
        and cache[number].prefix == row.prefix
        and cache[number].picture == row.picture
        for number, row in enumerate(rows)
    )
