#!/bin/sh
# In the auditors' account: validate an organization's trail by way of the role in the log archive account.
# Arguments go to ctvalidate: --last 24h, --format json, …
set -eu
: "${TRAIL_ARN:=arn:aws:cloudtrail:us-east-1:111122223333:trail/management-events}"
: "${BUCKET:=DOC-EXAMPLE-BUCKET}"
: "${ROLE_ARN:=arn:aws:iam::999999999999:role/ctvalidate}"
: "${EXTERNAL_ID:=ctvalidate-example}"

# The role's account need not own the trail: with the bucket named, nothing is asked of the trail that it may not know.
exec ctvalidate --role-arn "$ROLE_ARN" --external-id "$EXTERNAL_ID" \
    --trail-arn "$TRAIL_ARN" --s3-bucket "$BUCKET" "$@"
