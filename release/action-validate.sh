#!/usr/bin/env bash
# Second step of the action: validate, keep three reports, write the summary, and fail the step as fail-on says.
# Inputs come as INPUT_… variables, never as parts of a command.
set -euo pipefail

case ${INPUT_FAIL_ON:=problem} in
change | problem | never) ;;
*)
    echo "::error title=ctvalidate::fail-on: expected change, problem or never"
    exit 2
    ;;
esac

arguments=()
option() { # NAME VALUE: one that was given
    if [ -n "$2" ]; then arguments+=("$1=$2"); fi
}
options() { # NAME VALUES: separated by blanks
    local values value
    read -r -d '' -a values <<<"$2" || true
    for value in ${values[@]+"${values[@]}"}; do arguments+=("$1=$value"); done
}
option --trail-arn "${INPUT_TRAIL_ARN:-}"
option --s3-bucket "${INPUT_S3_BUCKET:-}"
option --s3-prefix "${INPUT_S3_PREFIX:-}"
option --source "${INPUT_SOURCE:-}"
option --public-keys "${INPUT_PUBLIC_KEYS:-}"
option --last "${INPUT_LAST:-}"
option --start-time "${INPUT_START_TIME:-}"
option --end-time "${INPUT_END_TIME:-}"
option --role-arn "${INPUT_ROLE_ARN:-}"
option --state "${INPUT_STATE:-}"
options --account-id "${INPUT_ACCOUNT_ID:-}"
options --region "${INPUT_REGION:-}"
options --tolerate "${INPUT_TOLERATE:-}"
while IFS= read -r line; do
    line=${line%$'\r'}
    if [ -n "$line" ]; then arguments+=("$line"); fi
done <<<"${INPUT_ARGUMENTS:-}"

reports=${INPUT_REPORTS:-ctvalidate-reports}
mkdir -p -- "$reports"
rm -f -- "$reports/report.json" "$reports/report.html" "$reports/report.sarif" # an earlier run's are not this one's
for kind in json html sarif; do arguments+=("--output=$reports/report.$kind"); done

code=0
ctvalidate validate --no-progress "${arguments[@]}" || code=$?

verdict=
{
    echo "exit-code=$code"
    for kind in json html sarif; do
        [ -s "$reports/report.$kind" ] || continue
        case $kind in
        json)
            verdict=$(sed -n 's/^ *"verdict": "\([a-z]*\)",$/\1/p' "$reports/report.json" | head -n 1)
            echo "report=$reports/report.json"
            echo "verdict=$verdict"
            ;;
        *) echo "$kind=$reports/report.$kind" ;;
        esac
    done
} >>"$GITHUB_OUTPUT"

meaning=$(case $code in
    0) echo "every hour is covered by a proven digest, every log that they name is proven, nothing else lies there" ;;
    1) echo "evidence of change: something is altered, missing or extra" ;;
    2) echo "the command line or configuration is wrong; nothing was validated" ;;
    3) echo "no evidence of change, but not everything could be proven" ;;
    4) echo "nothing to validate was found" ;;
    *) echo "the run was ended from outside" ;;
    esac)
printf '## CloudTrail logs: %s\n\nExit code %s: %s.\n' "${verdict:-not validated}" "$code" "$meaning" >>"$GITHUB_STEP_SUMMARY"

case $code:$INPUT_FAIL_ON in
0:* | [134]:never | [34]:change) exit 0 ;;
esac
echo "::error title=ctvalidate::exit code $code: $meaning"
exit "$code"
