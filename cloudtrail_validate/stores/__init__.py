"""Stores of objects: the protocol, S3, local copies, key files."""
