"""Checks of the trail itself: what it records, whether it delivers, and who hears when it is stopped."""

from __future__ import annotations

from typing import Final

from cloudtrail_validate.doctor.trail.alarm import ALARM
from cloudtrail_validate.doctor.trail.delivery import DELIVERY
from cloudtrail_validate.doctor.trail.events import EVENTS
from cloudtrail_validate.doctor.trail.settings import SETTINGS

CHECKS: Final = (*SETTINGS, *EVENTS, *DELIVERY, *ALARM)
