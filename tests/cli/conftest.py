"""A trail on moto for the command to validate, and a proxy in front of it."""

from __future__ import annotations

from tests.faults.fixtures import proxy, trail

__all__ = ["proxy", "trail"]
