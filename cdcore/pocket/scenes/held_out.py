"""The held-out things: looks that the sampled world never contains."""

from cdcore.pocket.scenes.thing import Thing

HELD_OUT: dict[str, Thing] = {
    "mycat": Thing(
        kind="cat",
        color="orange",
        pattern="striped",
        pattern_color="blue",
        hat="green",
        collar="red",
        details=("one white ear",),
    ),
    "mydog": Thing(
        kind="dog",
        color="white",
        pattern="spotted",
        pattern_color="purple",
        scarf="red",
        details=("eye patch",),
    ),
    "mychair": Thing(
        kind="chair",
        color="yellow",
        pattern="striped",
        pattern_color="purple",
        details=("checkered legs",),
    ),
    "mytable": Thing(
        kind="table",
        color="blue",
        pattern="spotted",
        pattern_color="orange",
        details=("checkered legs",),
    ),
    "mypot": Thing(
        kind="wooden pot",
        color="green",
        pattern="striped",
        pattern_color="red",
        details=("star emblem",),
    ),
    "myflower": Thing(
        kind="flower",
        color="purple",
        pattern="spotted",
        pattern_color="yellow",
        details=("smiling face",),
    ),
    "mytortoise": Thing(
        kind="tortoise",
        color="purple",
        pattern="striped",
        pattern_color="white",
        hat="orange",
        details=("heart patch",),
    ),
    "myteddy": Thing(
        kind="teddy bear",
        color="blue",
        pattern="spotted",
        pattern_color="yellow",
        hat="red",
        details=("heart patch",),
    ),
    "mybarn": Thing(
        kind="barn",
        color="orange",
        pattern="striped",
        pattern_color="green",
        details=("star emblem",),
    ),
    "mymoongate": Thing(
        kind="moon gate",
        color="white",
        pattern="spotted",
        pattern_color="red",
        details=("lanterns",),
    ),
    "myperson": Thing(
        kind="person",
        color="green",
        pattern="striped",
        pattern_color="orange",
        hat="purple",
        scarf="yellow",
        details=("round glasses",),
    ),
}
"""The held-out things by the name of their individual."""

HELD_OUT_LOOKS = frozenset(thing.look() for thing in HELD_OUT.values())
"""The looks `sample_scene` must never draw, whatever the accessories."""
