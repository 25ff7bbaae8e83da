"""`python -m cloudtrail_validate` is `ctvalidate`."""

from cloudtrail_validate.cli import entry

entry()
