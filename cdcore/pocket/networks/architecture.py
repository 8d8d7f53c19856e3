"""The untrained parts of the pocket base: ordinary diffusers and transformers classes, made small.

Pictures are 64 x 64; a latent is 16 x 16 with 8 channels; a prompt is `MAX_TOKENS` rows of
`TEXT_WIDTH`.
"""

from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from cdcore.pocket.drawing.render import PICTURE_SIZE
from cdcore.pocket.networks.tokenizer import MAX_TOKENS

__all__ = [
    "LATENT_CHANNELS",
    "TEXT_WIDTH",
    "build_autoencoder",
    "build_noise_scheduler",
    "build_towers",
    "build_unet",
    "text_settings",
]


LATENT_CHANNELS = 8
TEXT_WIDTH = 128
"""Width of a text feature, the d of the K/V stack."""

_AUTOENCODER_CHANNELS = (16, 48, 96)
_UNET_CHANNELS = (32, 64, 96)


def build_autoencoder() -> AutoencoderKL:
    """Build the variational autoencoder, (B, 3, 64, 64) to (B, 8, 16, 16), weights random."""
    levels = len(_AUTOENCODER_CHANNELS)
    autoencoder = AutoencoderKL(
        block_out_channels=_AUTOENCODER_CHANNELS,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=4,
        mid_block_add_attention=False,
        sample_size=PICTURE_SIZE,
    )
    # With little posterior noise the first steps learn pictures instead of silencing noise.
    with torch.no_grad():
        autoencoder.quant_conv.bias[LATENT_CHANNELS:] -= 5
    return autoencoder


def build_unet() -> UNet2DConditionModel:
    """Build the velocity predictor with text cross-attention at 8 x 8 and 4 x 4, weights random."""
    levels = len(_UNET_CHANNELS)
    unet = UNet2DConditionModel(
        sample_size=PICTURE_SIZE // 4,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=_UNET_CHANNELS,
        layers_per_block=1,
        # At the full latent resolution convolutions do; text acts on the two below.
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * (levels - 1)),
        up_block_types=(*("CrossAttnUpBlock2D",) * (levels - 1), "UpBlock2D"),
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
    )
    _silence_residual_branches(unet)
    _pass_input_through(unet)
    return unet


def build_towers(tokenizer: CLIPTokenizer, *, layers: int = 3) -> CLIPModel:
    """Build a contrastive pair of text and picture towers, weights random.

    Args:
        tokenizer: Gives the vocabulary and the special tokens.
        layers: Transformer layers of each tower.
    """
    picture = {
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 4 * TEXT_WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "image_size": PICTURE_SIZE,
        "patch_size": 8,
        "projection_dim": TEXT_WIDTH,
    }
    return CLIPModel(
        CLIPConfig(
            text_config=text_settings(tokenizer, layers),
            vision_config=picture,
            projection_dim=TEXT_WIDTH,
        )
    )


def text_settings(tokenizer: CLIPTokenizer, layers: int) -> dict[str, Any]:
    """Return the settings of a text tower of ``layers`` transformer layers."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 4 * TEXT_WIDTH,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "max_position_embeddings": MAX_TOKENS,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "projection_dim": TEXT_WIDTH,
    }


def build_noise_scheduler() -> DDPMScheduler:
    """Build Stable Diffusion 1's noise schedule, for a network that predicts velocity.

    Where a latent is mostly noise its scene is decided, and there the error of a predicted noise
    hardly counts: predicting noise, the network saw 0.16 of the scene's variance at timestep 950
    after 200 s of training, predicting velocity 0.56.
    """
    return DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        clip_sample=False,
        steps_offset=1,
    )


def _silence_residual_branches(module: torch.nn.Module) -> None:
    """Start every residual block as its shortcut: the first steps train a shallow network."""
    for part in module.modules():
        if isinstance(part, ResnetBlock2D):
            torch.nn.init.zeros_(part.conv2.weight)
            torch.nn.init.zeros_(part.conv2.bias)


@torch.no_grad()
def _pass_input_through(unet: UNet2DConditionModel) -> None:
    """Let the untrained network return its input.

    What is to be predicted is partly the input itself, and to rebuild it through a normalisation
    and a SiLU takes thousands of steps. Since SiLU(x) - SiLU(-x) = x, two channels for each one of
    the latent carry it to the end.
    """
    last = unet.up_blocks[-1].resnets[-1]
    width = unet.conv_in.out_channels
    unet.conv_out.weight.zero_()
    unet.conv_out.bias.zero_()
    for channel in range(unet.config.in_channels):
        for carrier, sign in ((2 * channel, 1.0), (2 * channel + 1, -1.0)):
            unet.conv_in.weight[carrier] = 0
            unet.conv_in.weight[carrier, channel, 1, 1] = sign
            unet.conv_in.bias[carrier] = 0
            # The last block sees what comes from below first, then the first convolution's output.
            last.conv_shortcut.weight[carrier] = 0
            last.conv_shortcut.weight[carrier, width + carrier] = 1
            last.conv_shortcut.bias[carrier] = 0
            unet.conv_out.weight[channel, carrier, 1, 1] = sign
