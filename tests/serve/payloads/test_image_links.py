"""Tests of `serve.payloads.image_links`."""

from serve.payloads.image_links import PictureLinks


def test_a_picture_is_kept_for_its_time_and_within_the_budget() -> None:
    now = [0.0]
    links = PictureLinks(keep_s=10, budget_bytes=10, clock=lambda: now[0])
    first = links.put(b"1234", "image/png")
    now[0] = 5
    second = links.put(b"5678", "image/webp")
    assert first != second
    found = links.get(first)
    assert found is not None
    assert (found.data, found.media_type) == (b"1234", "image/png")
    third = links.put(b"90ab", "image/png")
    assert links.get(first) is None
    assert links.get(second) is not None
    now[0] = 15
    assert links.get(second) is None
    assert links.get(third) is None
    assert links.get("") is None
    assert links.get(links.put(b"x" * 11, "image/png")) is None
    assert links.get(links.put(b"x" * 10, "image/png")) is not None
