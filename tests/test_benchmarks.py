"""What all benchmarks have in common: nothing that cannot be measured is begun."""

from typing import Any

import pytest

from benchmarks.merging.cost import MergingBenchmark
from benchmarks.merging.precision import PrecisionBenchmark
from benchmarks.merging.quality import MergeQuality
from benchmarks.merging.quality_cases import CASES
from benchmarks.serving.compare import ServingBenchmark
from benchmarks.training.compare import TrainingBenchmark
from benchmarks.training.gpu import GPUBenchmark
from cdcore.errors import ConfigError

IMPOSSIBLE: dict[type[Any], tuple[dict[str, Any], ...]] = {
    MergingBenchmark: ({"shapes": ()}, {"concepts": (0,)}, {"repeats": 0}),
    PrecisionBenchmark: ({"dtypes": ()},),
    MergeQuality: ({"methods": ()}, {"seeds": ()}, {"cases": (len(CASES),)}),
    ServingBenchmark: ({"orders": 0}, {"live": ()}, {"live": (0,)}, {"load": 0.0}, {"slots": 0}),
    TrainingBenchmark: ({"seeds": ()}, {"parts": ()}, {"threads": 0}),
    GPUBenchmark: ({"steps": 0}, {"stock_steps": 0}, {"parts": ()}),
}


@pytest.mark.parametrize(
    ("benchmark", "settings"),
    [(kind, settings) for kind, some in IMPOSSIBLE.items() for settings in some],
)
def test_what_cannot_be_measured_is_refused(benchmark: type[Any], settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        benchmark(**settings)
