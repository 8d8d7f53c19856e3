import pytest

from cdcore.concepts.concept import Concept
from cdcore.concepts.rank_rule import Rule
from cdcore.formats.exports.factored import DEFAULT_RULE, factored
from cdcore.formats.tensors.kv_base import KVBase
from tests.tiny import factors_of


@pytest.mark.parametrize("which", ["low_rank", "blocks"])
def test_factors_are_left_alone_unless_a_rule_is_given(
    which: str, kv_base: KVBase, request: pytest.FixtureRequest
) -> None:
    concept: Concept = request.getfixturevalue(which)
    assert factored(concept, kv_base.layout) == (concept, None)
    made, lost = factored(concept, kv_base.layout, Rule(name="rank", value=1))
    assert lost is not None
    assert {len(right) for _, right in factors_of(made.update)} == {1}


def test_a_dense_update_is_compressed(dense: Concept, kv_base: KVBase) -> None:
    made, lost = factored(dense, kv_base.layout)
    assert lost is not None
    assert made.update is lost.update
    assert made.tokens is dense.tokens
    assert 0 < lost.error < (1 - DEFAULT_RULE.value) ** 0.5 + 1e-3
