#!/bin/sh
# Puts the table into a merge request of GitLab, if there is a token for that: a job's own may not write comments.
#
#   GITLAB_TOKEN  a project access token with the scope `api`, as a masked variable
#   REPORTS       where gate.sh has written to (default: reports)
set -eu
comment=${REPORTS:-reports}/comment.md
if [ -z "${GITLAB_TOKEN:-}" ] || [ ! -f "$comment" ]; then
    echo "no comment: there is no GITLAB_TOKEN, or no $comment"
    exit 0
fi
notes="$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes"
# The token is not among the arguments, which all users of the machine can see.
printf 'PRIVATE-TOKEN: %s\n' "$GITLAB_TOKEN" |
    curl --fail --silent --show-error --header @- --data-urlencode "body@$comment" --output /dev/null "$notes"
