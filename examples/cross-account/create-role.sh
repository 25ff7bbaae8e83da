#!/bin/sh
# In the log archive account, with rights to administer IAM: make the role that auditors of another account assume.
# Put your accounts, bucket and key into trust-policy.json and ../iam/policy.json first.
set -eu
here=$(dirname "$0")
role=${ROLE_NAME:-ctvalidate}

aws iam create-role --role-name "$role" --description 'Reads CloudTrail files to validate them' \
    --assume-role-policy-document "file://$here/trust-policy.json"
aws iam put-role-policy --role-name "$role" --policy-name read-cloudtrail-files \
    --policy-document "file://$here/../iam/policy.json"
