from cdcore.evaluation.published_results import PUBLISHED, published


def test_every_table_has_single_concepts_and_pairs_and_names_our_method_once() -> None:
    protocols = dict.fromkeys(line.protocol for line in PUBLISHED)
    assert list(protocols) == ["paper", "200 steps", "50 steps"]
    assert sum((published(protocol) for protocol in protocols), ()) == PUBLISHED
    for protocol in protocols:
        ours = [line.method for line in published(protocol) if line.method is not None]
        assert ours == ["single", "joint", "constrained"]


def test_the_figures_are_on_their_scales() -> None:
    for line in PUBLISHED:
        # 2.5 times a cosine of CLIP, which is about 0.3 for a picture and its own text.
        assert 0.5 < line.text < 0.85
        assert 0.6 < line.image_clip < 0.85
        assert line.image_dino is None or 0.3 < line.image_dino < 0.6
        assert line.kid is None or 15 < line.kid < 40


def test_few_steps_cost_little_as_the_authors_found() -> None:
    many, few = (
        {(line.section, line.name): line for line in published(p)}
        for p in ("200 steps", "50 steps")
    )
    assert many.keys() == few.keys()
    for key, line in many.items():
        assert abs(line.text - few[key].text) < 0.0035
        assert abs(line.image_clip - few[key].image_clip) < 0.003
