"""Tests of `serve.gateway.protocol`."""

import pickle

from cdcore.errors import OverloadedError
from serve.engine.request import Failed
from serve.gateway.host import EngineHost
from serve.gateway.protocol import Accepted, Gateway, KeptMerge


def test_what_is_told_crosses_processes() -> None:
    kept = KeptMerge(data=b"1", report={"drift": 0.1})
    assert pickle.loads(pickle.dumps((Accepted(), kept))) == (Accepted(), kept)
    failed = pickle.loads(pickle.dumps(Failed(OverloadedError("full", 7.0))))
    assert failed.error.retry_after_s == 7.0


def test_a_host_is_a_gateway() -> None:
    methods = {name for name in vars(Gateway) if not name.startswith("_")}
    assert methods == {"facts", "draw", "merge", "export", "figures"}
    assert methods <= set(vars(EngineHost))
