from hypothesis import given
from hypothesis import strategies as st

from rayjobs.cluster.capacity import Capacity


@given(cpus=st.lists(st.integers(0, 8), max_size=4).map(tuple), workers=st.integers(1, 12))
def test_each_worker_lies_on_one_node_and_no_more_fits(cpus: tuple[int, ...], workers: int) -> None:
    def fitting(each: int) -> int:
        return sum(node // each for node in cpus)

    each = Capacity(gpus=(), cpus=cpus).cpus_each(workers)
    if each:
        assert fitting(each) >= workers
    assert fitting(each + 1) < workers
