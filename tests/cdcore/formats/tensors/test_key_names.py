import random
import re
from typing import Any

from cdcore.formats.tensors.key_names import (
    in_stack_order,
    lora_modules,
    module_of,
    processor_names,
    sgm_names,
)
from cdcore.model.base import Base
from cdcore.model.families import PUBLISHED_FAMILIES, Family

SD1, _, SDXL = PUBLISHED_FAMILIES
TAIL = "transformer_blocks.0.attn2.to_k.weight"


def test_any_order_of_names_is_put_into_stack_order(family: Family, tiny_base: Base) -> None:
    for layout in (family.layout, tiny_base.seam.layout):
        mixed = [*layout.names, "conv_in.weight", "down_blocks.0.attentions.0.norm.weight"]
        random.Random(1).shuffle(mixed)
        assert in_stack_order(mixed) == list(layout.names)


def test_blocks_are_numbered_through_as_compvis_does() -> None:
    names = sgm_names(SD1.layout)
    places = {name.partition(".transformer")[0]: sgm for name, sgm in names.items()}
    numbers = sorted(
        {
            int(found[1])
            for sgm in names.values()
            if (found := re.match(r"input_blocks\.(\d+)", sgm))
        }
    )
    assert numbers == [1, 2, 4, 5, 7, 8]
    assert names[f"down_blocks.2.attentions.1.{TAIL}"] == f"input_blocks.8.1.{TAIL}"
    assert names[f"up_blocks.1.attentions.0.{TAIL}"] == f"output_blocks.3.1.{TAIL}"
    assert names[f"up_blocks.3.attentions.2.{TAIL}"] == f"output_blocks.11.1.{TAIL}"
    assert names[f"mid_block.attentions.0.{TAIL}"] == f"middle_block.1.{TAIL}"
    assert len(places) == 16


def test_the_first_level_of_sdxl_has_no_text_attention() -> None:
    names = sgm_names(SDXL.layout)
    assert names[f"down_blocks.1.attentions.0.{TAIL}"] == f"input_blocks.4.1.{TAIL}"
    assert names[f"up_blocks.0.attentions.0.{TAIL}"] == f"output_blocks.0.1.{TAIL}"
    deep = "transformer_blocks.9.attn2.to_v.weight"
    assert names[f"mid_block.attentions.0.{deep}"] == f"middle_block.1.{deep}"


def test_every_map_names_every_matrix_once(family: Family) -> None:
    for names in (sgm_names, processor_names, lora_modules):
        made = names(family.layout)
        assert tuple(made) == family.layout.names
        assert len(set(made.values())) == len(made)


def test_lora_files_use_plain_names_but_sgm_names_for_sdxl() -> None:
    plain = lora_modules(SD1.layout)[f"down_blocks.0.attentions.1.{TAIL}"]
    assert plain == "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn2_to_k"
    sgm = lora_modules(SDXL.layout)[f"down_blocks.1.attentions.0.{TAIL}"]
    assert sgm == "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"


def test_processors_and_modules_are_parts_of_the_plain_name() -> None:
    name = f"mid_block.attentions.0.{TAIL}"
    assert module_of(name) == name.removesuffix(".weight")
    made = processor_names(SD1.layout)[name]
    assert made.endswith("attn2.processor.to_k_custom_diffusion.weight")


def test_processor_names_are_those_of_diffusers(tiny_base: Base) -> None:
    unet: Any = tiny_base.seam.unet
    known = set(unet.attn_processors)
    made = {name.partition(".to_")[0] for name in processor_names(tiny_base.seam.layout).values()}
    assert made == {name for name in known if ".attn2." in name}
