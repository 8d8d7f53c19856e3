"""Tests of `cdcore.training.trainer`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from cdcore.errors import RunError
from cdcore.model.base import Base
from cdcore.training import trainer as training
from cdcore.training.config import SubjectConfig, TrainingConfig
from cdcore.training.engine import ConceptParameters, LocalEngine
from cdcore.training.row_schedule import RowDraw, rows_of_step
from cdcore.training.trainer import StepMetrics, Trainer, TrainingData, trained_concept
from tests.cdcore.stock_training import stock_step
from tests.cdcore.training_case import CAT, CHAIR, config, data, parameters
from tests.small_families import FamilyName
from tests.tiny import rescaled


class Recorder:
    """An engine that keeps the gradients and updates nothing."""

    def __init__(self, driven: ConceptParameters) -> None:
        self.driven = driven

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self) -> None:
        pass


@pytest.fixture(scope="module")
def latents(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return data(tiny_base, tmp_path_factory.mktemp("latents"))


@pytest.fixture(scope="module")
def other_latents(tiny_base: Base, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Of another subject."""
    folder = tmp_path_factory.mktemp("other")
    return data(tiny_base, folder, target_seed=5, regularization_seed=6)


def run(
    base: Base, settings: TrainingConfig, latents: TrainingData, driven: ConceptParameters
) -> list[StepMetrics]:
    metrics: list[StepMetrics] = []
    engine = LocalEngine(driven, settings.learning_rate)
    Trainer(base, settings, [latents], driven, engine).run(0, metrics.append)
    return metrics


def gradients(
    base: Base, settings: TrainingConfig, latents: Sequence[TrainingData]
) -> tuple[ConceptParameters, list[StepMetrics]]:
    driven = parameters(base, settings=settings)
    metrics: list[StepMetrics] = []
    Trainer(base, settings, latents, driven, Recorder(driven)).run(0, metrics.append)
    return driven, metrics


class Reference:
    """The same step written from the paper: absolute weights, a longer token table, plain autograd.

    It shares the model's weights and the drawn rows with what it checks, and nothing else.
    """

    def __init__(self, folder: Path, base: Base, start: ConceptParameters) -> None:
        self.base = base
        self.unet: Any = UNet2DConditionModel.from_pretrained(folder, subfolder="unet")
        self.unet.eval().requires_grad_(False)
        weights = dict(self.unet.named_parameters())
        self.tuned = [weights[name] for name in base.seam.layout.names]
        differences = base.seam.layout.split(start.update.detach()).values()
        for weight, difference in zip(self.tuned, differences, strict=True):
            weight += difference
            weight.requires_grad_()
        self.text: Any = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder")
        self.text.eval().requires_grad_(False)
        table = self.text.get_input_embeddings().weight.detach()
        self.known = len(table)
        longer = nn.Embedding(len(table) + len(start.tokens), table.shape[1])
        longer.weight = nn.Parameter(torch.cat([table, start.tokens.detach()]))
        self.text.set_input_embeddings(longer)
        self.table = longer.weight

    def cut_first_token(self) -> None:
        """Let the first token use the weights but give them no gradient."""

        def cut(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            return torch.cat([output[:, :1].detach(), output[:, 1:]], dim=1)

        for name, module in self.unet.named_modules():
            if name.endswith(("attn2.to_k", "attn2.to_v")):
                module.register_forward_hook(cut)

    def row_loss(
        self, row: RowDraw, settings: TrainingConfig, latents: Sequence[TrainingData]
    ) -> Tensor:
        subject, of_subject = settings.subjects[row.subject], latents[row.subject]
        cache = of_subject.target if row.is_target else of_subject.regularization
        assert cache is not None
        sample = cache[row.sample]
        drawn = torch.randn(
            2, *sample.mean.shape, generator=torch.Generator().manual_seed(row.noise_seed)
        )
        scaling = self.base.autoencoder.config.scaling_factor
        alpha = self.base.noise_schedule.alphas_cumprod[row.timestep].float()
        z = scaling * (sample.mean + sample.std * drawn[0])
        noisy = alpha.sqrt() * z + (1 - alpha).sqrt() * drawn[1]
        named = f"{subject.token} {subject.class_noun}" if row.is_target else subject.class_noun
        prompt = f"{sample.prefix}photo of a {named}"
        if not row.is_target and of_subject.captions:
            prompt = of_subject.captions[sample.picture]
        tokens = [str(one.token) for one in settings.subjects]
        encoded = self.base.text_encoder.tokenize([prompt], tokens)
        ids = torch.where(encoded.modifiers >= 0, self.known + encoded.modifiers, encoded.ids)
        features = self.text(input_ids=ids).last_hidden_state
        prediction = self.unet(noisy[None], torch.tensor([row.timestep]), features).sample[0]
        error: Tensor = (prediction - drawn[1]).square()[:, sample.valid_mask.bool()]
        return error.mean()

    def loss(self, settings: TrainingConfig, latents: Sequence[TrainingData]) -> Tensor:
        rows = rows_of_step(settings, 0, samples=[(6, 4)] * len(latents), timesteps=1000)
        targets = [self.row_loss(row, settings, latents) for row in rows if row.is_target]
        priors = [self.row_loss(row, settings, latents) for row in rows if not row.is_target]
        weighted = sum(targets, torch.zeros(())) + settings.prior_weight * sum(
            priors, torch.zeros(())
        )
        return weighted / settings.rows_per_step

    def gradients(self) -> tuple[Tensor, Tensor]:
        assert self.table.grad is not None
        return torch.cat([weight.grad for weight in self.tuned]), self.table.grad[self.known :]


@pytest.mark.parametrize(
    ("subjects", "prior_weight"), [((CAT,), 0.7), ((CAT,), 0.0), ((CAT, CHAIR), 0.7)]
)
def test_a_step_s_gradient_is_the_reference_s(
    tiny_base: Base,
    tiny_folder: Path,
    latents: TrainingData,
    other_latents: TrainingData,
    subjects: tuple[SubjectConfig, ...],
    prior_weight: float,
) -> None:
    settings = config(steps=1, prior_weight=prior_weight, subjects=subjects)
    data_of_each = (latents, other_latents)[: len(subjects)]
    driven, (metrics,) = gradients(tiny_base, settings, data_of_each)
    reference = Reference(tiny_folder, tiny_base, parameters(tiny_base, settings=settings))
    reference.cut_first_token()
    loss = reference.loss(settings, data_of_each)
    loss.backward()
    update, tokens = reference.gradients()
    assert metrics.loss == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(driven.update.grad, update, rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(driven.tokens.grad, tokens, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("subjects", [(CAT,), (CAT, CHAIR)])
def test_a_regularization_picture_with_a_caption_is_shown_with_it(
    tiny_base: Base,
    tiny_folder: Path,
    latents: TrainingData,
    other_latents: TrainingData,
    subjects: tuple[SubjectConfig, ...],
) -> None:
    """Of two subjects the first has captions and the second the class prompt alone."""
    captions = ("a red cat", "a cat on the beach", "a photo of a dog", "a red cat")
    settings = config(steps=1, rows_per_step=9, subjects=subjects)
    data_of_each = (replace(latents, captions=captions), other_latents)[: len(subjects)]
    driven, (metrics,) = gradients(tiny_base, settings, data_of_each)
    reference = Reference(tiny_folder, tiny_base, parameters(tiny_base, settings=settings))
    reference.cut_first_token()
    loss = reference.loss(settings, data_of_each)
    loss.backward()
    assert metrics.loss == pytest.approx(loss.item(), rel=1e-5)
    torch.testing.assert_close(driven.update.grad, reference.gradients()[0], rtol=1e-3, atol=1e-7)
    _, (generated,) = gradients(tiny_base, settings, (latents, other_latents)[: len(subjects)])
    assert metrics.target_loss == generated.target_loss
    assert metrics.prior_loss != pytest.approx(generated.prior_loss, rel=1e-4)


def test_captions_that_all_say_the_class_prompt_are_as_good_as_none(
    tiny_base: Base, latents: TrainingData
) -> None:
    named = replace(latents, captions=(CAT.class_prompt,) * 4)
    trained = [parameters(tiny_base) for _ in range(2)]
    for one, driven in zip((latents, named), trained, strict=True):
        run(tiny_base, config(), one, driven)
    torch.testing.assert_close(trained[0].update, trained[1].update, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(trained[0].tokens, trained[1].tokens, rtol=1e-4, atol=1e-6)


def test_latents_are_scaled_by_the_autoencoder_s_own_factor(
    tiny_base: Base, tiny_folder: Path, latents: TrainingData
) -> None:
    base, settings = rescaled(tiny_base, 0.5), config(steps=1)
    reference = Reference(tiny_folder, base, parameters(base))
    _, (metrics,) = gradients(base, settings, [latents])
    _, (usual,) = gradients(tiny_base, settings, [latents])
    assert metrics.loss == pytest.approx(reference.loss(settings, [latents]).item(), rel=1e-5)
    assert metrics.loss != pytest.approx(usual.loss, rel=1e-3)


def test_no_gradient_comes_through_the_first_token(
    tiny_base: Base, tiny_folder: Path, latents: TrainingData
) -> None:
    driven, _ = gradients(tiny_base, config(steps=1), [latents])
    reference = Reference(tiny_folder, tiny_base, parameters(tiny_base))
    reference.loss(config(steps=1), [latents]).backward()
    with_first, _ = reference.gradients()
    assert driven.update.grad is not None
    difference = with_first - driven.update.grad
    # What is missing is of rank one per layer: the first token's features are always the same.
    first = tiny_base.text_encoder.encode(["anything"])[0, 0]
    along = torch.outer(difference @ first / first.square().sum(), first)
    assert difference.norm() > 1e-3 * driven.update.grad.norm()
    torch.testing.assert_close(difference, along, rtol=0, atol=1e-4 * float(difference.norm()))


@pytest.fixture
def _same_rows_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(settings: TrainingConfig, _: int, **kwargs: Any) -> list[RowDraw]:
        return rows_of_step(settings, 0, **kwargs)

    monkeypatch.setattr(training, "rows_of_step", first)


@pytest.mark.usefixtures("_same_rows_every_step")
def test_training_lowers_the_loss_of_a_fixed_batch(tiny_base: Base, latents: TrainingData) -> None:
    settings = config(steps=12)
    driven = ConceptParameters.initial(tiny_base, settings)
    metrics = run(tiny_base, settings, latents, driven)
    assert [line.step for line in metrics] == list(range(1, 13))
    assert metrics[-1].loss < 0.97 * metrics[0].loss
    assert metrics[-1].target_loss < metrics[0].target_loss


def test_the_figures_of_a_step_make_up_its_loss(tiny_base: Base, latents: TrainingData) -> None:
    started = time.monotonic()
    for line in run(tiny_base, config(), latents, parameters(tiny_base)):
        assert line.prior_loss is not None
        together = 3 * line.target_loss + 2 * 0.7 * line.prior_loss
        assert line.loss == pytest.approx(together / 5, rel=1e-5)
        assert 0 < line.seconds < time.monotonic() - started


def test_without_regularization_there_is_no_prior_loss(
    tiny_base: Base, latents: TrainingData
) -> None:
    settings = config(steps=1, regularization_ratio=0, regularization_images=0)
    alone = TrainingData(target=latents.target, regularization=None)
    (line,) = run(tiny_base, settings, alone, parameters(tiny_base))
    assert line.prior_loss is None
    assert line.loss == pytest.approx(line.target_loss)


def test_a_prior_weight_of_zero_ignores_the_prior_rows(
    tiny_base: Base, latents: TrainingData, tmp_path: Path
) -> None:
    settings, other = config(prior_weight=0.0), data(tiny_base, tmp_path, regularization_seed=7)
    trained = [parameters(tiny_base) for _ in range(2)]
    lines = [
        run(tiny_base, settings, rows, driven)
        for rows, driven in zip((latents, other), trained, strict=True)
    ]
    assert torch.equal(trained[0].update, trained[1].update)
    assert torch.equal(trained[0].tokens, trained[1].tokens)
    assert lines[0][0].prior_loss != lines[1][0].prior_loss


def test_training_in_two_sessions_is_training_in_one(
    tiny_base: Base, latents: TrainingData
) -> None:
    whole, halves = parameters(tiny_base), parameters(tiny_base)
    run(tiny_base, config(steps=4), latents, whole)
    engine = LocalEngine(halves, config().learning_rate)
    for start, steps in ((0, 2), (2, 4)):
        trainer = Trainer(tiny_base, config(steps=steps), [latents], halves, engine)
        trainer.run(start, lambda _: None)
    assert torch.equal(whole.update, halves.update)
    assert torch.equal(whole.tokens, halves.tokens)


def test_the_base_is_as_it_was(tiny_base: Base, latents: TrainingData) -> None:
    modules = (tiny_base.seam.unet, tiny_base.text_encoder.model, tiny_base.autoencoder)
    before = [value.clone() for module in modules for value in module.state_dict().values()]
    run(tiny_base, config(steps=2), latents, parameters(tiny_base))
    after = [value for module in modules for value in module.state_dict().values()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_without_a_modifier_token_only_the_update_trains(
    tiny_base: Base, latents: TrainingData
) -> None:
    settings = config(subjects=(replace(CAT, token=None),))
    driven = ConceptParameters.initial(tiny_base, settings)
    run(tiny_base, settings, latents, driven)
    concept = trained_concept(tiny_base, settings, driven)
    assert driven.tokens.shape == (0, tiny_base.seam.layout.text_width)
    assert driven.update.any()
    assert not concept.tokens
    assert concept.phrases == ("cat",)


def test_training_that_diverges_says_so(tiny_base: Base, latents: TrainingData) -> None:
    driven = parameters(tiny_base)
    with torch.no_grad():
        driven.update[0, 0] = torch.inf
    with pytest.raises(RunError, match=r"step 1 is nan.*learning_rate below 0\.01"):
        run(tiny_base, config(), latents, driven)


def test_a_trained_concept_is_the_parameters_under_their_names(tiny_base: Base) -> None:
    driven = parameters(tiny_base)
    concept = trained_concept(tiny_base, config(), driven)
    concept.check_base(tiny_base)
    assert torch.equal(concept.update.dense(), driven.update)
    assert not concept.update.dense().requires_grad
    assert list(concept.tokens) == ["<mycat>"]
    assert torch.equal(concept.tokens["<mycat>"], driven.tokens[0])
    assert (concept.name, concept.phrases) == ("mycat", ("<mycat> cat",))


def test_a_joint_concept_has_the_row_of_each_token_and_none_for_a_bare_noun(
    tiny_base: Base,
) -> None:
    bare = replace(CAT, class_noun="dog", token=None)
    settings = config(subjects=(CAT, bare, CHAIR))
    driven = ConceptParameters.initial(tiny_base, settings)
    concept = trained_concept(tiny_base, settings, driven)
    assert concept.phrases == ("<mycat> cat", "dog", "<mychair> chair")
    expected = {"<mycat>": "cat", "<mychair>": "table"}
    assert list(concept.tokens) == list(expected)
    for token, word in expected.items():
        assert torch.equal(
            concept.tokens[token], tiny_base.text_encoder.initial_embedding(word).cpu()
        )


def test_a_subject_without_a_row_in_any_step_keeps_its_token_row(
    tiny_base: Base, latents: TrainingData, other_latents: TrainingData
) -> None:
    settings = config(steps=1, rows_per_step=1, regularization_ratio=0, subjects=(CAT, CHAIR))
    driven, _ = gradients(tiny_base, settings, (latents, other_latents))
    assert driven.tokens.grad is not None
    assert driven.tokens.grad[0].any()
    assert not driven.tokens.grad[1].any()


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_a_step_on_each_family_is_that_of_its_stock_pipeline(
    small_base: Callable[[FamilyName], Base],
    small_folder: Callable[[FamilyName], Path],
    tmp_path: Path,
    family: FamilyName,
) -> None:
    base, settings = small_base(family), config(steps=1)
    latents = data(base, tmp_path)
    metrics: list[StepMetrics] = []
    driven = ConceptParameters.initial(base, settings)
    Trainer(base, settings, [latents], driven, Recorder(driven)).run(0, metrics.append)
    loss, expected = stock_step(small_folder(family), base, settings, latents)
    assert metrics[0].loss == pytest.approx(loss.item(), rel=1e-5)
    assert driven.update.grad is not None
    torch.testing.assert_close(driven.update.grad, expected, rtol=1e-3, atol=1e-6)
    assert driven.tokens.grad is not None
    halves = driven.tokens.grad.split(base.text_encoder.widths, dim=1)
    assert all(half.any() for half in halves), "each text encoder has a row of its own"
