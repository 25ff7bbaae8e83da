"""docs/search.md says what the code says. `python -m tests.search.test_document` writes its generated part anew."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from cloudtrail_validate.cli.search import command
from cloudtrail_validate.search.uses import USES

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "search.md"
PART: Final = re.compile("(<!-- uses -->\n)(.*?)(<!-- end of uses -->\n)", re.DOTALL)


def uses() -> str:
    rows = [f"| `{name}` | {use.title} | {use.cis} |" for name, use in USES.items()]
    return "\n".join(["", "| name | finds | CIS |", "|---|---|---|", *rows, "", ""])


def test_the_document_has_all_questions() -> None:
    found = PART.search(DOCUMENT.read_text("utf-8"))
    assert found is not None
    assert found[2] == uses()


def test_the_document_names_every_option_of_its_own() -> None:
    text = DOCUMENT.read_text("utf-8")
    shared = {"--tolerate", "--quiet", "--format"}
    for param in command.params:
        if param.name not in ("help", "config", "debug"):
            option = max(param.opts, key=len)
            assert option in text or option in shared or param.name in SCOPE, option


SCOPE: Final = frozenset(
    ("trail_arn", "start_time", "end_time", "last", "bucket", "prefix", "also_buckets", "accounts", "regions", "expect")
) | {"source", "copy_of", "follow_links", "public_keys", "profile", "endpoint_url", "role_arn", "external_id"}

if __name__ == "__main__":
    DOCUMENT.write_text(PART.sub(lambda part: part[1] + uses() + part[3], DOCUMENT.read_text("utf-8")), "utf-8")
