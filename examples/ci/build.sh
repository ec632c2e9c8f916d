#!/bin/sh
# Builds the commit that a change is based on, and the change, by the same command.
#
#   BASE_COMMIT  what to compare with (default: where the change left origin/main)
#   BUILD        how to build, run by sh in each of the two trees (default: make)
#   BUILT        what that makes: a file or a directory, relative to the tree (default: app)
#   OUT          where to: $OUT/base and $OUT/change (default: bench)
set -eu
BASE_COMMIT=${BASE_COMMIT:-$(git merge-base HEAD origin/main)}
BUILD=${BUILD:-make}
BUILT=${BUILT:-app}
OUT=${OUT:-bench}

# Both in new trees in places of the same length: nothing is left of earlier builds, and the paths that compilers put
# into programs make no difference.
trees=$(mktemp -d)
trap 'git worktree remove --force "$trees/1" || :; git worktree remove --force "$trees/2" || :; rm -rf "$trees"' EXIT

build() { # commit, tree, name
    git worktree add --quiet --detach "$2" "$1"
    (cd "$2" && sh -ec "$BUILD")
    rm -rf "${OUT:?}/$3"
    mkdir -p "$OUT/$3"
    cp -R "$2/$BUILT" "$OUT/$3/"
}

build "$BASE_COMMIT" "$trees/1" base
build HEAD "$trees/2" change
