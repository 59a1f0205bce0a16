"""A collector of traces on loopback that speaks OTLP over HTTP, as little of it as a story needs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Span:
    """One span as it arrived."""

    name: str
    kind: int
    id: bytes
    parent: bytes
    trace: bytes
    failed: bool
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What arrived so far."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def below(self, parent: Span) -> list[Span]:
        """Its children."""
        return [span for span in self.spans if span.parent == parent.id]

    def named(self, name: str) -> list[Span]:
        """Those of this name."""
        return [span for span in self.spans if span.name == name]


@contextmanager
def collector() -> Iterator[Collector]:
    """One that is up."""
    found = Collector()

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            found.bodies.append(body)
            found.headers.append(dict(self.headers.items()))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found.spans.extend(_span(each) for each in scope.spans)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _span(each: Any) -> Span:
    values = {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in each.attributes
    }  # fmt: skip
    return Span(
        each.name, each.kind, each.span_id, each.parent_span_id, each.trace_id, each.status.code == 2, values
    )
