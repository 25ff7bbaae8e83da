"""The examination as JSON, and its JSON Schema."""

from __future__ import annotations

from typing import Any

import msgspec

from cloudtrail_validate.doctor.report import SCHEMA, DoctorReport
from cloudtrail_validate.report.references import to_json


def render(report: DoctorReport) -> str:
    """Return the report, indented, as one ASCII document with a closing newline."""
    return msgspec.json.format(to_json(report), indent=2) + "\n"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the report, derived from the types that write it."""
    (root,), components = msgspec.json.schema_components((DoctorReport,), ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": SCHEMA,
        **root,
        "$defs": components,
    }
