import pytest

from cdcore.concepts.foreign_kinds import foreign_kind, no_concept

KINDS = {
    "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": "a LoRA",
    "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_mid.weight": "a LoRA",
    "unet.down_blocks.0.attentions.0.to_k.lora_A.weight": "a LoRA",
    "base_model.model.mid_block.attentions.0.to_q.lora_B.default.weight": "a LoRA",
    "down_blocks.0.attn1.processor.to_q_lora.up.weight": "a LoRA",
    "text_encoder.layers.0.to_k.lora_linear_layer.down.weight": "a LoRA",
    "unet.mid_block.to_k.lora.up.weight": "a LoRA",
    "lora_unet_mid_block_attentions_0_to_k.diff": "a LyCORIS file",
    "lora_unet_mid_block_resnets_0_conv1.hada_w1_a": "a LyCORIS file",
    "lora_unet_mid_block_resnets_0_conv1.lokr_w2": "a LyCORIS file",
    "lora_unet_mid_block_resnets_0_conv1.oft_blocks": "a LyCORIS file",
    "emb_params": "an embedding (a textual inversion)",
    "clip_g": "an embedding (a textual inversion)",
    "string_to_param": "an embedding (a textual inversion)",
    "<cat-toy>": "an embedding (a textual inversion)",
    "model.diffusion_model.input_blocks.0.0.weight": "a whole model or its U-Net",
    "cond_stage_model.transformer.text_model.embeddings.position_ids": "a whole model or its U-Net",
    "down_blocks.0.resnets.0.conv1.weight": "a whole model or its U-Net",
    "mid_block.resnets.0.conv1.weight": "a whole model or its U-Net",
    "a.attn2.processor.to_k_custom_diffusion.weight": "diffusers' Custom Diffusion weights",
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_called_what_it_is_in_one_line(name):
    said = foreign_kind([name])
    assert said is not None
    assert said.startswith(KINDS[name])
    assert "\n" not in said
    assert no_concept([name]) == said


@pytest.mark.parametrize(
    "names", [[], ["soul"], ["update.weight", "token.0"], ["a.attn2.to_k.weight"], ["unet"]]
)
def test_of_anything_else_nothing_is_said(names):
    assert foreign_kind(names) is None
    assert no_concept(names) == "a safetensors file, but not a concept file of this project"
