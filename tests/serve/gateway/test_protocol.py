"""Tests of `serve.gateway.protocol`."""

import pickle
from inspect import signature

import pytest

from cdcore.errors import OverloadedError
from serve.engine.request import Failed
from serve.gateway.host import EngineHost
from serve.gateway.protocol import Accepted, Gateway, KeptMerge
from serve.gateway.ray_gateway import RayGateway


def test_what_engines_answer_crosses_processes() -> None:
    kept = KeptMerge(data=b"1", report={"drift": 0.1})
    assert pickle.loads(pickle.dumps((Accepted(), kept))) == (Accepted(), kept)
    failed = pickle.loads(pickle.dumps(Failed(OverloadedError("full", 7.0))))
    assert failed.error.retry_after_s == 7.0


@pytest.mark.parametrize("kind", [EngineHost, RayGateway])
def test_a_host_and_the_way_through_ray_are_gateways(kind: type[Gateway]) -> None:
    methods = {name for name in vars(Gateway) if not name.startswith("_")}
    assert methods == {"facts", "draw", "merge", "export", "figures"}
    for name in methods:
        assert signature(vars(kind)[name]) == signature(vars(Gateway)[name])
