"""The SHA-256 of each proven object's stored bytes, in a file, to be compared with checksums that S3 itself computes."""
