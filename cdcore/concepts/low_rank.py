"""Compression of an update: low-rank factors, and what they lose in each matrix.

Either each matrix of the stack gets factors of its own (scope ``matrix``), or the whole stack gets
one pair (scope ``stack``). The nearest matrix of rank r to Delta (h, d) in the Frobenius norm
(Eckart and Young 1936) is its projection on the leading singular vectors:

    Delta_r = U_r (U_r^T Delta) = (Delta V_r) V_r^T
    ||Delta - Delta_r||^2 = sum over i > r of sigma_i^2

U, or V, whichever is shorter, are the eigenvectors of the Gram matrix, in float64. How far to go is
a rule; none ever gives rank 0, which would erase a matrix:

    rank r      the leading r
    energy e    the fewest that keep the share e of the sum of sigma_i^2 of each matrix
    mass m      all before the first that takes the sum of sigma_i past the share m: the rule of the
                original implementation (m = 0.6; Kumari et al. 2023, section 4.2)
    size b      at most b bytes in all: by sigma_i^2 for each byte that component i takes
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cdcore.concepts.rank_rule import Rule, Scope
from cdcore.errors import ConfigError
from cdcore.model.kv_layout import KVLayout
from cdcore.model.update import Block, FactoredUpdate, Update

__all__ = ["BYTES_PER_VALUE", "Compressed", "MatrixError", "choose_ranks", "compress"]


BYTES_PER_VALUE = 2
"""Concept files hold half precision."""

_ROUNDING = 1e-7
"""Singular values below this share of the first are rounding of the Gram matrix."""
_EXACT = 1e-12
"""A share that is met but for the rounding of its sum counts as met."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixError:
    """What compression did to one matrix of the stack.

    Attributes:
        name: The parameter's name.
        rank: Kept; in scope ``stack`` that of the stack.
        error: ``||Delta - Delta_r|| / ||Delta||`` as stored; 0 where there is nothing to lose.
    """

    name: str
    rank: int
    error: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Compressed:
    """A compressed update and what it lost.

    Attributes:
        update: In float16, as it is stored.
        matrices: One line for each matrix, in stack order.
        error: ``||Delta - Delta_r|| / ||Delta||`` over the whole stack.
        size: Bytes of the factors.
    """

    update: Update
    matrices: tuple[MatrixError, ...]
    error: float
    size: int


def compress(
    update: Update, layout: KVLayout, rule: Rule, *, scope: Scope = "matrix"
) -> Compressed:
    """Compress an update.

    Args:
        update: In any form, on the CPU.
        layout: The layout of the base's stack.
        rule: How far.
        scope: Whether each matrix or the whole stack gets factors.

    Returns:
        The update and its errors, measured on the half-precision factors.

    Raises:
        UpdateShapeError: The update does not fit the layout.
        ConfigError: The size is below what rank 1 takes.
    """
    layout.check(update)
    stack = _Stack(update, layout)
    count = len(layout.names)
    groups = [range(count)] if scope == "stack" else [range(n, n + 1) for n in range(count)]
    spectra = [_Spectrum.of(stack, group) for group in groups]
    ranks = choose_ranks(
        [spectrum.values for spectrum in spectra], [spectrum.cost for spectrum in spectra], rule
    )
    blocks = []
    for spectrum, rank in zip(spectra, ranks, strict=True):
        left, right = spectrum.truncated(stack, rank)
        blocks.append((left.half(), right.half()))
    shared = count if scope == "stack" else 1
    return _measured(FactoredUpdate(tuple(blocks)), stack, ranks * shared)


def choose_ranks(values: Sequence[Tensor], costs: Sequence[int], rule: Rule) -> list[int]:
    """Decide the rank of each matrix, at least 1 and at most the number of its values.

    Args:
        values: Singular values of each matrix, falling.
        costs: Bytes that one component of each matrix takes.
        rule: How far.

    Raises:
        ConfigError: The size is below what rank 1 takes.
    """
    if rule.name == "rank":
        return [min(int(rule.value), len(own)) for own in values]
    if rule.name == "size":
        return _ranks_by_size(values, costs, rule.value)
    if rule.name == "mass":
        return [_before_share(own, rule.value) for own in values]
    return [_up_to_share(own.square(), rule.value) for own in values]


def _up_to_share(terms: Tensor, share: float) -> int:
    """Return the fewest leading terms that make up the share of their sum."""
    if share == 1:
        return len(terms)
    reached = terms.cumsum(0) >= share * terms.sum()
    return 1 + int((~reached[:-1]).sum())


def _before_share(terms: Tensor, share: float) -> int:
    """Return how many leading terms stay within the share of their sum, at least 1."""
    within = terms.cumsum(0) <= share * terms.sum() * (1 + _EXACT)
    return max(1, int(within.sum()))


def _ranks_by_size(values: Sequence[Tensor], costs: Sequence[int], budget: float) -> list[int]:
    least = sum(costs)
    if budget < least:
        raise ConfigError(
            f"{budget / 1e6:.3g} MB is too little: rank 1 everywhere takes {least / 1e6:.3g} MB; "
            "give more, or let the whole stack share one pair of factors"
        )
    ranks, left = [1] * len(values), budget - least
    # A matrix offers its next component; the best per byte of all offers is taken.
    offers = [
        (-(float(own[1]) ** 2) / cost, number)
        for number, (own, cost) in enumerate(zip(values, costs, strict=True))
        if len(own) > 1
    ]
    heapq.heapify(offers)
    while offers:
        _, number = heapq.heappop(offers)
        if costs[number] > left:
            continue
        left -= costs[number]
        ranks[number] += 1
        if ranks[number] < len(values[number]):
            gain = float(values[number][ranks[number]]) ** 2
            heapq.heappush(offers, (-gain / costs[number], number))
    return ranks


class _Stack:
    """An update, read one matrix after the other: none is ever dense as a whole."""

    def __init__(self, update: Update, layout: KVLayout) -> None:
        self.layout = layout
        self._parts = update.by_matrix(layout.widths)

    def matrix(self, number: int) -> Tensor:
        """Return matrix ``number`` of the update, (D_n, d) float64."""
        left, right = self._parts[number]
        return left.double() if right is None else left.double() @ right.double()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Spectrum:
    """Some matrices of the stack, one below the other, along their singular vectors.

    Attributes:
        numbers: Which.
        vectors: The right singular vectors as columns (d, k), leading first; or the left ones,
            (h, k), where one matrix is wider than high. float64.
        values: Singular values, (k,) float64, falling.
        cost: Bytes of one component.
    """

    numbers: range
    vectors: Tensor
    values: Tensor
    cost: int

    @classmethod
    def of(cls, stack: _Stack, numbers: range) -> "_Spectrum":
        height = sum(stack.layout.widths[number] for number in numbers)
        width = stack.layout.text_width
        if len(numbers) == 1 and height < width:
            matrix = stack.matrix(numbers[0])
            gram = matrix @ matrix.T
        else:
            gram = torch.zeros(width, width, dtype=torch.float64)
            for number in numbers:
                matrix = stack.matrix(number)
                gram.addmm_(matrix.T, matrix)
        squares, vectors = torch.linalg.eigh(gram)
        values = squares.clamp(min=0).sqrt().flip(0)
        known = max(1, int((values > _ROUNDING * values[0]).sum()))
        return cls(
            numbers=numbers,
            vectors=vectors.flip(1)[:, :known],
            values=values[:known],
            cost=BYTES_PER_VALUE * (height + width),
        )

    def truncated(self, stack: _Stack, rank: int) -> Block:
        """Return the factors (h, rank) and (rank, d) of the nearest matrix of that rank.

        Both factors of a component get the same length: so both stay far from the ends of what
        half precision can hold.
        """
        basis = self.vectors[:, :rank]
        if len(basis) < stack.layout.text_width:
            left, right = basis, basis.T @ stack.matrix(self.numbers[0])
        else:
            left = torch.cat([stack.matrix(number) @ basis for number in self.numbers])
            right = basis.T
        ratio = right.norm(dim=1) / left.norm(dim=0)
        balance = torch.where(self.values[:rank] > 0, ratio, torch.ones_like(ratio)).sqrt()
        return left * balance, right / balance[:, None]


def _measured(update: Update, stack: _Stack, ranks: Sequence[int]) -> Compressed:
    stored = _Stack(update, stack.layout)
    lines = []
    lost, whole = 0.0, 0.0
    for number, (name, rank) in enumerate(zip(stack.layout.names, ranks, strict=True)):
        matrix = stack.matrix(number)
        loss = float((matrix - stored.matrix(number)).norm()) ** 2
        size = float(matrix.norm()) ** 2
        lines.append(MatrixError(name=name, rank=rank, error=_share(loss, size)))
        lost, whole = lost + loss, whole + size
    return Compressed(
        update=update,
        matrices=tuple(lines),
        error=_share(lost, whole),
        size=sum(part.numel() * BYTES_PER_VALUE for part in update.tensors().values()),
    )


def _share(lost: float, whole: float) -> float:
    return math.sqrt(lost / whole) if whole > 0 else 0.0
