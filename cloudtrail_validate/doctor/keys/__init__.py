"""Checks of keys: the KMS key that files are encrypted with, and the public keys that digests are proven with."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.doctor.keys.kms import KMS
from cloudtrail_validate.doctor.keys.reading import READING

CHECKS: Final = (*KMS, *READING)
