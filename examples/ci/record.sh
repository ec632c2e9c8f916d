#!/bin/sh
# Records what a version costs, for later comparisons on the same machine.
#
#   CHANGE    the command (default: ./bench/change/app); it is split at spaces
#   BASELINE  the profile to write (default: baseline.json)
#   RUNS      how many (default: 10)
#   ALUMET    the binary (default: alumet)
set -euf
# shellcheck disable=SC2086 # the command is a list of words
exec "${ALUMET:-alumet}" exec -r "${RUNS:-10}" -w 1 --json "${BASELINE:-baseline.json}" -- ${CHANGE:-./bench/change/app}
