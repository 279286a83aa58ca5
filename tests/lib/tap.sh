# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# TAP for tests in bash. Source this, define functions test_NAME, end with run_tests. A test fails by returning non-zero; it says why by diag. Inside a test, `skip REASON; return` skips it.

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }
diag_file() { sed 's/^/# /' "$1"; }

TAP_SKIP=""
skip() { TAP_SKIP=$1; }

# expect WHAT ACTUAL WANTED
expect() {
    [ "$2" = "$3" ] && return 0
    diag "$1 is '$2', wanted '$3'"
    return 1
}

# expect_match WHAT TEXT EXTENDED_REGEX
expect_match() {
    grep -qE -- "$3" <<<"$2" && return 0
    diag "$1 does not match '$3':"
    diag "$2"
    return 1
}

# expect_status N COMMAND...: stdout and stderr go to $scratch/out and $scratch/err; the script has made that folder.
# shellcheck disable=SC2154
expect_status() {
    local expected=$1 status=0
    shift
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
    [ "$status" = "$expected" ] && return 0
    diag "exit status $status instead of $expected: $*"
    diag_file "$scratch/err"
    return 1
}

# run_tests [NAME...]: the functions test_NAME, or all, in the order of their definition.
run_tests() {
    local name number=0 failed=0 status
    local -a names
    shopt -s extdebug
    mapfile -t names < <(declare -F | awk '{print $3}' | grep '^test_' | while read -r name; do declare -F "$name"; done | sort -k2n | awk '{print $1}')
    shopt -u extdebug
    [ $# = 0 ] || names=("${@/#/test_}")
    echo "1..${#names[@]}"
    for name in "${names[@]}"; do
        number=$((number + 1))
        TAP_SKIP=""
        status=0
        "$name" || status=$?
        name=${name#test_}
        if [ "$status" != 0 ]; then
            echo "not ok $number - ${name//_/ }"
            failed=1
        elif [ -n "$TAP_SKIP" ]; then
            echo "ok $number - ${name//_/ } # SKIP $TAP_SKIP"
        else
            echo "ok $number - ${name//_/ }"
        fi
    done
    return $failed
}
