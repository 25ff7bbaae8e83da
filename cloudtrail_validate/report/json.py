"""The report as JSON, and its JSON Schema."""

from __future__ import annotations

from typing import Any

import msgspec

from cloudtrail_validate.report import SCHEMA, Report
from cloudtrail_validate.report.references import to_json


def render(report: Report) -> str:
    """The report, indented, one ASCII document with a closing newline. Times are `2026-01-01T00:00:00Z`."""
    return msgspec.json.format(to_json(report), indent=2) + "\n"


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the report, derived from the types that write it."""
    (root,), components = msgspec.json.schema_components((Report,), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": SCHEMA,
        **root,
        "$defs": components,
    }
