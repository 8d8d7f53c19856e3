import pytest
import torch

from cdcore.errors import ConfigError
from cdcore.model.device import chosen_device, compute_dtype, exact_float32


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [chosen_device(name) for name in ("auto", "cpu", "cuda")] == ["cuda", "cpu", "cuda"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert [chosen_device(name) for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(ConfigError, match="--device cpu"):
        chosen_device("cuda")


def test_a_gpu_computes_in_half_the_bits() -> None:
    assert [compute_dtype(name) for name in ("cpu", "cuda", torch.device("cuda", 1))] == [
        torch.float32,
        torch.bfloat16,
        torch.bfloat16,
    ]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_asked_for_holds_on_every_device(device: str) -> None:
    assert compute_dtype(device, "bf16") == torch.bfloat16
    assert compute_dtype(device, "fp16") == torch.float16
    assert compute_dtype(device, "fp32") == torch.float32
    assert compute_dtype(device, "auto") == compute_dtype(device)


def test_inside_exact_float32_a_gpu_may_not_round_and_afterwards_it_may_again() -> None:
    before = torch.backends.cudnn.allow_tf32

    @exact_float32()
    def fail() -> None:
        assert not torch.backends.cudnn.allow_tf32
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert torch.backends.cudnn.allow_tf32 == before
