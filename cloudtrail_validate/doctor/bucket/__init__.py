"""Checks of the bucket: what is kept, who reaches it, and what is written down of that."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.doctor.bucket.access import ACCESS
from cloudtrail_validate.doctor.bucket.keeping import KEEPING
from cloudtrail_validate.doctor.bucket.lifecycle import LIFECYCLE
from cloudtrail_validate.doctor.bucket.watching import WATCHING

CHECKS: Final = (*KEEPING, *LIFECYCLE, *ACCESS, *WATCHING)
