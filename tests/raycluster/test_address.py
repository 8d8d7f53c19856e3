import pytest

from cdcore.errors import ConfigError
from raycluster.address import HERE, VARIABLE, cluster_address


@pytest.mark.parametrize("given", ["", "local", None])
def test_without_an_address_there_is_no_cluster_to_join(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(VARIABLE, given)
    assert cluster_address() is None


@pytest.mark.parametrize(
    "given", [HERE, "10.0.0.1:6379", "head:1", "my_head.internal:65535", "[::1]:6379"]
)
@pytest.mark.parametrize("around", ["{}", " {}", "{}\n"])
def test_what_ray_can_join_is_taken_without_the_space_around_it(
    given: str, around: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, around.format(given))
    assert cluster_address() == given


@pytest.mark.parametrize(
    ("given", "remedies"),
    [
        ("http://head:8265", ["ray job submit --address http://head:8265 --", "head:6379"]),
        ("https://head.example/ray", ["ray job submit --address https://head.example/ray", "head"]),
        ("http://", ["ray job submit", "10.0.0.1:6379"]),
        ("ray://head:10001", ["ray job submit --address http://head:8265 --", "head:6379"]),
        ("grpc://head:6379", ["expected the HOST:PORT of a Ray head, such as head:6379"]),
        ("anyscale://cluster", ["such as cluster:6379", "auto", "unset it"]),
        ("10.0.0.7", ["such as 10.0.0.7:6379", "auto", "unset it"]),
        ("head:", ["such as head:6379"]),
        (":6379", ["such as 10.0.0.1:6379"]),
        ("::1", ["such as 10.0.0.1:6379"]),
        ("head:port", ["such as head:6379"]),
        ("head:0", ["such as head:6379"]),
        ("head:65536", ["such as head:6379"]),
        ("head:6379:1", ["such as"]),
        ("a head:6379", ["such as 10.0.0.1:6379"]),
        ("user@head:6379", ["such as head:6379"]),
        ("head:٦٣٧٩", ["such as head:6379"]),
        ("none", ["such as none:6379", "unset it"]),
        (" ", ["such as 10.0.0.1:6379", "unset it"]),
        ("\n", ["unset it"]),
        ("[", ["such as 10.0.0.1:6379"]),
    ],
)
def test_what_no_program_can_join_by_is_refused_with_what_was_given_and_what_to_do(
    given: str, remedies: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(ConfigError) as caught:
        cluster_address()
    message = str(caught.value)
    assert message.startswith(f"{VARIABLE} is {given!r}, ")
    assert all(remedy in message for remedy in remedies), message
    assert "\n" not in message
