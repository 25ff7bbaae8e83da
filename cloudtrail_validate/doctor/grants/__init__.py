"""The least privileges that a command line needs, and the policies that grant them.

`needs` says which actions on which resources, `documents` writes them as IAM, KMS key and bucket policies.
"""
