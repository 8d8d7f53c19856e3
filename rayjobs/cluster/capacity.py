"""How many workers some nodes can hold. Plain Python: no Ray."""

from dataclasses import dataclass

__all__ = ["Capacity"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """Whole GPUs and whole CPUs of each node."""

    gpus: tuple[int, ...]
    cpus: tuple[int, ...]

    def slots(self, *, use_gpu: bool) -> int:
        """Return how many workers fit: one for each GPU, or for each CPU."""
        return sum(self.gpus if use_gpu else self.cpus)

    def cpus_each(self, workers: int) -> int:
        """Return the most CPUs that each of so many workers can have; 0 where they do not fit.

        A worker lies on one node.
        """
        for each in range(max(self.cpus, default=0), 0, -1):
            if sum(cpus // each for cpus in self.cpus) >= workers:
                return each
        return 0
