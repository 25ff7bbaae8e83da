"""Results of CloudTrail Lake queries, in S3 or in a folder: found, read and verified.

`core.lake` knows the sign file and `core.lake_verdict` judges; here objects are listed and read, keys are asked for, and
the report is written.
"""

from cloudtrail_validate.lake.question import LakeQuestion, Place
from cloudtrail_validate.lake.run import verify, verify_again

__all__ = ["LakeQuestion", "Place", "verify", "verify_again"]
