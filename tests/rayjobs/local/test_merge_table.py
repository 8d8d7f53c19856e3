"""Tests of `rayjobs.local.merge_table`."""

import io
from dataclasses import replace

from rich.console import Console

from cdcore.merging.report import ConceptError, MergeReport
from rayjobs.local.merge_table import print_report

ERROR = ConceptError(
    name="mycat",
    weight=0.8,
    phrases=("<mycat> cat",),
    constraint=0.0004,
    held_out=0.25,
    drift_alone=None,
)


def printed(report: MergeReport, *remarks: str) -> str:
    text = io.StringIO()
    console = Console(file=text, width=120, highlight=False, markup=False, emoji=False)
    print_report(console, report, remarks)
    return text.getvalue()


def test_a_report_has_a_row_for_each_concept_and_all_figures() -> None:
    text = printed(
        MergeReport(
            method="constrained",
            concepts=(ERROR,),
            captions=1000,
            caption_condition=2.5e6,
            drift=0.05,
            rank=6,
            amplification=1.25,
            target_condition=30.0,
            dropped=2,
        ),
        "mycat: <a> is now <a-2>",
    )
    row = next(line for line in text.splitlines() if "<mycat> cat" in line)
    for cell in ("mycat", "0.8", "0.04%", "25.00%", "-"):
        assert cell in row
    assert "held-out captions change by 5.00%; 1.25 x the concepts alone; rank 6" in text
    assert "captions 2.5e+06, targets 30 (2 weak directions left out)" in text
    assert "note: mycat: <a> is now <a-2>" in text


def test_a_ridge_merge_is_not_measured_by_targets_that_it_was_not_fitted_to() -> None:
    text = printed(MergeReport(method="ridge", concepts=(ERROR,), drift=0.0, penalty=3.0))
    assert "25.00%" in text
    assert "0.04%" not in text
    assert "target prompts" not in text


def test_what_a_method_does_not_know_is_not_said() -> None:
    text = printed(MergeReport(method="masked", concepts=(ERROR,), drift=0.0))
    assert "held-out captions change by 0.00%\n" in text
    assert "condition" not in text
    assert "rank" not in text


def test_targets_are_shown_as_the_base_sees_them_where_it_was_at_hand() -> None:
    report = MergeReport(method="constrained", concepts=(replace(ERROR, exact=0.28),), drift=0.0)
    text = printed(report)
    assert "28.00%" in text
    assert "0.04%" not in text
