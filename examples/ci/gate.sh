#!/bin/sh
# Compares a change with what it is based on, and writes what a pipeline shows.
#
#   BASE      the command of the base (default: ./bench/base/app)
#   CHANGE    the command of the change (default: ./bench/change/app); it is split at spaces
#   BASELINE  a profile that record.sh has written, instead of BASE
#   OPTIONS   more options of `alumet check`, as in "--gate energy=2%,time=5% --adaptive"
#   REPORTS   where to write to (default: reports)
#   ALUMET    the binary (default: alumet)
#
# Exit status: that of `alumet check`. 0 passed, 3 regression, 4 inconclusive, 125 nothing valid to compare.
set -euf
ALUMET=${ALUMET:-alumet}
BASE=${BASE:-./bench/base/app}
CHANGE=${CHANGE:-./bench/change/app}
REPORTS=${REPORTS:-reports}

mkdir -p "$REPORTS"
# What an earlier job has left here is not about this change.
rm -f "$REPORTS/comment.md" "$REPORTS/alumet.xml" "$REPORTS/metrics.txt" "$REPORTS/alumet.json"
if [ -n "${BASELINE:-}" ]; then
    set -- --baseline "$BASELINE"
else
    set -- --baseline-cmd "$BASE"
fi
# shellcheck disable=SC2086 # both are lists of words
exec "$ALUMET" check "$@" ${OPTIONS:-} \
    --markdown "$REPORTS/comment.md" \
    --junit "$REPORTS/alumet.xml" \
    --openmetrics "$REPORTS/metrics.txt" \
    --json "$REPORTS/alumet.json" \
    -- $CHANGE
