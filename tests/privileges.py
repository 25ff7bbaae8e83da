"""Lays down root's right to read and write everything, so that tests mean the same whoever runs them."""

from __future__ import annotations

import ctypes
import os
import sys

_DAC_OVERRIDE, _DAC_READ_SEARCH = 1, 2  # linux/capability.h
_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24  # linux/prctl.h: what a program started from here can have again


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def lay_down() -> None:
    """For this thread, all that it starts, and all processes that these start. Nothing to do for other users."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_VERSION_3, 0), (_Set * 2)()
    if libc.capget(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        for name in ("effective", "permitted", "inheritable"):
            setattr(sets[0], name, getattr(sets[0], name) & ~(1 << capability))
    if libc.capset(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
