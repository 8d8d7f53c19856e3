"""Tests of `benchmarks.recipes.first_step`."""

from pathlib import Path

import torch

from benchmarks.common.random_bases import random_base
from benchmarks.recipes.case import random_data, training_config
from benchmarks.recipes.first_step import FirstStep
from cdcore.training.engine import ConceptParameters, LocalEngine
from cdcore.training.trainer import StepMetrics, Trainer


def test_it_is_the_first_step_of_a_run_without_its_end(tmp_path: Path) -> None:
    base = random_base("tiny", device="cpu")
    config = training_config(base, steps=1)
    data = random_data(base, tmp_path, rows=4)
    parameters = ConceptParameters.initial(base, config)
    before = parameters.update.detach().clone()
    step = FirstStep(base, config, data, parameters)
    step.run()
    assert parameters.update.grad is not None
    assert torch.equal(parameters.update, before)
    seen: list[StepMetrics] = []
    engine = LocalEngine(parameters, config.learning_rate)
    Trainer(base, config, [data], parameters, engine).run(0, seen.append)
    assert step.loss is not None
    assert float(step.loss) == seen[0].loss
