"""Alerts: what a run found, told where people already look.

`event` makes one value of a report and of what was open before; every other module delivers that value to one kind of
target. `deliver.notify` is the entry.
"""
