"""The shell commands that bring a version back. Pure.

They are lines for people to read, check and paste, so a key that cannot be shown as it is, or that aws-cli would read
as something else, gets none: `ctvalidate recover` takes every key.
"""

from __future__ import annotations

from cloudtrail_validate.core.model import Locator
from cloudtrail_validate.core.shell import command_line


def restore_command(where: Locator, version_id: str, marker: str | None) -> str | None:
    """The command that makes a version current again, None where no command can name the key.

    With `marker`, the id of the delete marker that lies right on that version, the marker is removed. Otherwise the
    version is copied over what is there, metadata included: nothing is destroyed, and both remain as versions.
    """
    if marker is not None:
        return _command("delete-object", where, "--version-id", marker)
    source = f"{where.bucket}/{where.key}?versionId={version_id}"
    if "?versionId=" in where.key:  # aws-cli would end the key there
        return None
    return _command("copy-object", where, "--copy-source", source)


def read_again(where: Locator, version_id: str) -> str | None:
    """The command that makes an archived version readable for a week, None where no command can name the key."""
    return _command("restore-object", where, "--version-id", version_id, "--restore-request", "Days=7")


def _command(operation: str, where: Locator, *options: str) -> str | None:
    words = ("aws", "s3api", operation, "--bucket", where.bucket, "--key", where.key, *options)
    return command_line(*words, values=(where.bucket, where.key, *options[1::2]))
