from cdcore.evaluation.scores import MethodScores
from cdcore.evaluation.table import HEADER, markdown, published_rows, table_rows

SCORES = (
    MethodScores(
        section="single",
        method="single",
        entries=22,
        clip_score=0.71234,
        text_cosine=0.28,
        image_clip=0.8,
        image_dino=0.9,
        drift=0.0123,
        present=None,
        kid=0.0209,
        errors={"clip_score": 0.01, "kid": 0.002},
    ),
    MethodScores(
        section="pair",
        method="ridge",
        entries=12,
        clip_score=0.7,
        text_cosine=0.27,
        image_clip=0.6,
        image_dino=0.5,
        drift=None,
        present=0.25,
        kid=None,
    ),
)


def test_a_row_has_a_figure_under_each_heading_and_nothing_where_nothing_was_measured() -> None:
    single, pair = (dict(zip(HEADER, row, strict=True)) for row in table_rows(SCORES))
    assert single["method"] == "concept, K/V"
    assert single["text, CLIPScore"] == "0.7123"
    assert single["text, cosine"] == "0.2800"
    assert single["KID x 1000"] == "20.90"
    assert single["both present"] == ""
    assert (pair["set"], pair["both present"], pair["drift"]) == ("pairs", "0.2500", "")


def test_an_error_stands_beside_its_mean_where_it_is_asked_for_and_known() -> None:
    single = dict(zip(HEADER, table_rows(SCORES, errors=True)[0], strict=True))
    assert single["text, CLIPScore"] == "0.7123 ± 0.0100"
    assert single["KID x 1000"] == "20.90 ± 2.00"
    assert single["image, CLIP"] == "0.8000"


def test_published_figures_stand_in_the_same_columns() -> None:
    rows = [dict(zip(HEADER, row, strict=True)) for row in published_rows("200 steps")]
    ours = next(row for row in rows if row["method"] == "Custom Diffusion [published]")
    assert ours["text, CLIPScore"] == "0.7602"
    assert ours["image, DINO"] == "0.5311"
    assert ours["entries"] == "101"
    paper = [dict(zip(HEADER, row, strict=True)) for row in published_rows("paper")]
    assert [row["KID x 1000"] for row in paper if row["set"] == "concepts"] == [
        "22.27",
        "32.53",
        "20.96",
    ]
    assert {row["entries"] for row in paper if row["set"] == "pairs"} == {"5"}


def test_the_page_has_every_line_once_concepts_before_pairs_and_says_what_it_was_made_with() -> (
    None
):
    text = markdown(SCORES, "50 steps", ["base pocket (1234)"])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 1 + 3 + 1 + 3
    assert {line.count("|") for line in lines} == {len(HEADER) + 1}
    kinds = [line.split("|")[1].strip() for line in lines[2:]]
    assert kinds == ["concepts"] * 4 + ["pairs"] * 4
    assert "- base pocket (1234)" in text
    assert "50 steps of DDPM" in text
