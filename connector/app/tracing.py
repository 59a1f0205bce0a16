"""Traces by OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT is set; else nothing of it is even loaded.

A collector that is away costs memory for a few spans and one line in the log: it never slows or stops the work.
Attributes are numbers, names of our own and routes; no personal data, no token, no text of an error.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import structlog

from connector.app.settings import mounted
from connector.errors import FixConfig
from connector.transport import remember_secrets

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer

log = structlog.get_logger("connector.traces")

ENDPOINT, HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"
TIMEOUT = "OTEL_EXPORTER_OTLP_TIMEOUT"
LAST_WORDS = 1.0  # seconds that the end of the process waits for spans to leave

_WORD = re.compile(r"[A-Za-z][A-Za-z_-]*|v?\d{1,2}(\.\d)?|\d{4}-\d{2}|\w+__[cre]")

Note = Callable[..., None]
"""Adds attributes to a span, `__` for a dot: `note(http__route="/api")`; `name` renames it."""

_tracer: Tracer | None = None


def begin(environ: Mapping[str, str] | None = None) -> Callable[[], None]:
    """Trace from now on, where an endpoint is set. Returns what ends it, within a second. FixConfig as `mounted`."""
    global _tracer
    environ = os.environ if environ is None else environ
    found = mounted([ENDPOINT, HEADERS], environ)
    if ENDPOINT not in found or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return lambda: None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    headers = dict(pair.split("=", 1) for pair in found.get(HEADERS, "").split(",") if "=" in pair)
    remember_secrets(headers.values())
    exporter = OTLPSpanExporter(
        endpoint=f"{found[ENDPOINT].rstrip('/')}/v1/traces", headers=headers, timeout=_seconds(environ)
    )
    resource = Resource.create(
        {
            "service.name": environ.get("OTEL_SERVICE_NAME", "connector"),
            "service.version": version("mql-connector"),
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_telling(exporter)))
    _tracer = provider.get_tracer("connector")

    def end() -> None:
        global _tracer
        _tracer = None
        leaving = threading.Thread(target=provider.shutdown, daemon=True)
        leaving.start()
        leaving.join(LAST_WORDS)

    return end


def _seconds(environ: Mapping[str, str]) -> float:
    """How long a batch of spans may take to leave, its retries included; it costs the work nothing."""
    try:
        return float(environ.get(TIMEOUT) or 5)
    except ValueError as error:
        raise FixConfig(
            "It is no number of seconds.", next_step="See docs/reference/settings.md.", where=TIMEOUT
        ) from error


def _telling(exporter: Any) -> Any:
    """The exporter, which says once that nobody takes the traces and once that somebody does again."""
    import logging

    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would say so at every try

    class Telling(SpanExporter):
        away = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            try:
                result: SpanExportResult = exporter.export(spans)
            except Exception:  # whatever it is, the work goes on
                result = SpanExportResult.FAILURE
            away = result is not SpanExportResult.SUCCESS
            if away and not self.away:
                log.warning("traces are not taken", next_step=f"See that the collector of {ENDPOINT} is up.")
            elif self.away and not away:
                log.info("traces are taken again")
            self.away = away
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 1_000) -> bool:
            return bool(exporter.force_flush(timeout_millis))

    return Telling()


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Any] | None = None,
    *,
    server: bool = False,
    client: bool = False,
    parent: Mapping[str, str] | None = None,
) -> Iterator[Note]:
    """A span around what is done within, below the one that is open. `parent`: headers that may name the caller's.

    An error marks it with the error's class alone.
    """
    if _tracer is None:
        yield lambda **more: None
        return
    from opentelemetry import propagate, trace

    kind = trace.SpanKind.SERVER if server else trace.SpanKind.CLIENT if client else trace.SpanKind.INTERNAL
    context = propagate.extract(dict(parent)) if parent else None
    with _tracer.start_as_current_span(
        name, context=context, kind=kind, record_exception=False, set_status_on_exception=False
    ) as each:

        def note(**more: Any) -> None:
            for key, value in more.items():
                if key == "name":
                    each.update_name(value)
                elif value is not None:
                    each.set_attribute(key.replace("__", "."), value)

        note(**(attributes or {}))
        try:
            yield note
        except BaseException as error:
            each.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise


def route_of(path: str) -> str:
    """A vendor's path with what names single records left out: `/crm/v3/objects/contacts/{id}`."""
    return "/".join(part if not part or _WORD.fullmatch(part) else "{id}" for part in path.split("/"))
