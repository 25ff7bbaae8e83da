"""Examines how a trail is set up: whether tampering would be noticed, could be undone, is prevented.

A check is data (`model.Check`) and one small pure function from gathered facts to an answer; the folders hold the checks
by subject. `gather` is the only part that talks to AWS, and it only reads. `examine` runs the checks, `report` holds the
published result, `render` writes it, `plan` and `template` print what would mend it, `grants` the least privileges that a
command line needs.
"""
