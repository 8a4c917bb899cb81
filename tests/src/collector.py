"""What OpenTelemetry's own messages (opentelemetry-proto) read in the bodies of OTLP requests: one JSON object for each span,
its ids as hexadecimal digits, attributes as members, and the resource's beside them.

    python collector.py BODY...
"""

import json
import sys
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def read(body):
    for of in ExportTraceServiceRequest.FromString(body).resource_spans:
        for span in (span for scope in of.scope_spans for span in scope.spans):
            yield {
                "trace": span.trace_id.hex(),
                "span": span.span_id.hex(),
                "parent": span.parent_span_id.hex(),
                "name": span.name,
                "kind": Span.SpanKind.Name(span.kind),
                "status": Status.StatusCode.Name(span.status.code),
                "start": span.start_time_unix_nano,
                "end": span.end_time_unix_nano,
                "attributes": attributes(span.attributes),
                "resource": attributes(of.resource.attributes),
            }


print(json.dumps([span for path in sys.argv[1:] for span in read(Path(path).read_bytes())]))
