"""A gRPC server that answers the one question that a head is asked."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc

__all__ = ["answering"]


@contextmanager
def answering(method: str = "CheckAlive", code: grpc.StatusCode | None = None) -> Iterator[str]:
    """Serve that method, with an empty answer or a status; the address is the block's."""

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        if code is not None:
            context.abort(code, "refused")
        return b""

    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(answer)
    service = grpc.method_handlers_generic_handler("ray.rpc.NodeInfoGcsService", {method: handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
