"""A checkpoint in one file, taken apart by diffusers' own loader with the published configuration.

Nothing is fetched for it: the configurations come with this package, and CLIP's words from
`cdcore.model.clip_words`.
"""

from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DDPMScheduler
from transformers import CLIPTokenizer

from cdcore.model.checkpoint_header import CheckpointHeader, lightning_checkpoints
from cdcore.model.clip_words import words_folder
from cdcore.model.parts import Parts

__all__ = ["checkpoint_scheduler", "checkpoint_tokenizers", "parts_of_file"]

_MAX_TOKENS = 77
_ENDS = {
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
}
_END, _EXCLAMATION = "<|endoftext|>", "!"
_PADS = {"sd1": (_END,), "sd2": (_EXCLAMATION,), "sdxl": (_END, _EXCLAMATION)}
"""What the tokenizers of each family fill a prompt up with: OpenAI's CLIP with its end, OpenCLIP
with its first word."""


def parts_of_file(path: Path, header: CheckpointHeader) -> Parts:
    """Read a checkpoint.

    Raises:
        OSError: CLIP's words are nowhere, or the file cannot be read.
        ValueError: It lacks a part, or a part has another shape than its family's.
    """
    tokenizers = checkpoint_tokenizers(path, header)
    scheduler = checkpoint_scheduler(header)
    configuration = header.configuration
    kind: Any = getattr(diffusers, str(configuration["pipeline"]["_class_name"]))
    named = dict(zip(("tokenizer", "tokenizer_2"), tokenizers, strict=False))
    with lightning_checkpoints():
        pipeline = kind.from_single_file(
            str(path),
            config=str(header.folder),
            scheduler=scheduler,
            torch_dtype=torch.float32,
            local_files_only=True,
            **named,
        )
    second = getattr(pipeline, "text_encoder_2", None)
    return Parts(
        configuration=configuration,
        tokenizers=tokenizers,
        text_models=(pipeline.text_encoder, *([second] if second is not None else [])),
        autoencoder=pipeline.vae,
        unet=pipeline.unet,
        scheduler=scheduler,
    )


def checkpoint_tokenizers(path: Path, header: CheckpointHeader) -> tuple[CLIPTokenizer, ...]:
    """Return the tokenizers of a checkpoint.

    Raises:
        FileNotFoundError: CLIP's words are nowhere.
    """
    words = words_folder(path)
    return tuple(
        CLIPTokenizer.from_pretrained(
            str(words), pad_token=pad, model_max_length=_MAX_TOKENS, **_ENDS
        )
        for pad in _PADS[header.family.name]
    )


def checkpoint_scheduler(header: CheckpointHeader) -> DDPMScheduler:
    """Return the noise levels that every Stable Diffusion was trained on, and what it predicts."""
    return DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        steps_offset=1,
        prediction_type="v_prediction" if header.is_v_prediction else "epsilon",
        rescale_betas_zero_snr=header.ends_in_noise,
    )
