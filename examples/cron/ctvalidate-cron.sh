#!/bin/sh
# Validate a trail from cron or a systemd timer and keep what was found.
#
#   ctvalidate-cron.sh FOLDER OPTION...
#
# FOLDER receives TIME.json (the report), TIME.txt (the same as a table), TIME.log (messages) and one line a run in
# runs.log. OPTIONs go to ctvalidate as they are. Nothing is printed when all is proven, so cron sends no mail;
# otherwise the table is printed, and cron mails it to MAILTO. Exits with ctvalidate's code, or 75 where the last run
# is still going on.
#
# From the environment: CTVALIDATE names the program where it is not on cron's short PATH. CTVALIDATE_ENV names a file of
# settings, one NAME=VALUE a line, that only its owner may read: credentials (AWS_PROFILE), where alerts go
# (CTVALIDATE_NOTIFY) and the heartbeat (CTVALIDATE_HEARTBEAT), which hold secrets. KEEP_DAYS is how long reports are kept.
set -u
umask 077

folder=${1:?usage: ctvalidate-cron.sh FOLDER OPTION...}
shift
mkdir -p "$folder" || exit 73
exec 9>"$folder/lock"
if ! flock -n 9; then
    echo "ctvalidate-cron: the last run is still going on" >&2
    exit 75
fi

if [ -n "${CTVALIDATE_ENV:-}" ]; then
    set -a
    # shellcheck source=/dev/null
    . "$CTVALIDATE_ENV" || exit 78
    set +a
fi

time=$(date -u +%Y%m%dT%H%M%SZ)
"${CTVALIDATE:-ctvalidate}" --no-progress --output "$folder/$time.json" "$@" \
    >"$folder/$time.txt" 2>"$folder/$time.log" 9>&-
code=$?

case $code in
0) level=info text='all proven' ;;
1) level=alert text='EVIDENCE OF CHANGE' ;;
2) level=err text='wrong command line or configuration, nothing was validated' ;;
3) level=warning text='no evidence of change, but not everything could be proven' ;;
4) level=alert text='no digest at all was found' ;;
*) level=err text='did not come to its end' ;;
esac

# Only what this script writes, and nothing of a run that found evidence: that is kept until somebody decides.
find "$folder" -maxdepth 1 -type f -name '[0-9]*T[0-9]*Z.*' -mtime "+${KEEP_DAYS:-90}" | while IFS= read -r old; do
    grep -q "^$(basename "${old%.*}") 1 " "$folder/runs.log" 2>/dev/null || rm -f "$old"
done

echo "$time $code $text" >>"$folder/runs.log"
logger -t ctvalidate -p "user.$level" "$text (exit code $code, $folder/$time.json)" 2>/dev/null || :
if [ "$code" -ne 0 ]; then
    echo "ctvalidate: $text (exit code $code)"
    cat "$folder/$time.log" "$folder/$time.txt"
fi
exit "$code"
