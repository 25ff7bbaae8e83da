"""Finish a bill of materials: hashes and package URLs of the wheels, nothing of this computer, valid by its own schema.

    python release/bill_of_materials.py RAW.json OUT.cdx.json WHEEL…

RAW is what `cyclonedx-py environment` writes of an environment that was installed from the wheels. It names the folders that
they lay in, which nobody else has, and not what they are; this takes the folders out and puts hash and package URL in.
"""

from __future__ import annotations

import email.parser
import hashlib
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator


def main(raw: Path, out: Path, wheels: list[Path]) -> None:
    """Write OUT, or end with what is wrong."""
    bill = json.loads(raw.read_text(encoding="utf-8"))
    known = {name_of(wheel): wheel for wheel in wheels}
    for part in [bill["metadata"]["component"], *bill["components"]]:
        wheel = known.pop(normalized(part["name"]), None)
        if wheel is None:
            raise SystemExit(f"{part['name']} is in the bill, and no wheel of it was given")
        part["hashes"] = [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}]
        part["purl"] = f"pkg:pypi/{normalized(part['name'])}@{part['version']}"
        references = [one for one in part.pop("externalReferences", []) if not one["url"].startswith("file:")]
        part.update({"externalReferences": references} if references else {})
    if known:
        raise SystemExit(f"{', '.join(sorted(known))}: given, and not in the bill")
    text = json.dumps(bill, indent=1, sort_keys=True) + "\n"
    check(bill, text)
    out.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {len(bill['components'])} components, CycloneDX {bill['specVersion']}")


def check(bill: dict[str, Any], text: str) -> None:
    """End where a bill is not what CycloneDX's schema of its version wants."""
    error = JsonStrictValidator(SchemaVersion.from_version(bill["specVersion"])).validate_str(text)
    if error is not None:
        raise SystemExit(f"the bill of materials is invalid: {error}")


def name_of(wheel: Path) -> str:
    """The name in a wheel's metadata, normalized."""
    with zipfile.ZipFile(wheel) as archive:
        (head,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return normalized(email.parser.BytesParser().parsebytes(archive.read(head))["Name"])


def normalized(name: str) -> str:
    """A project's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
