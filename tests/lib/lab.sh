# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For system tests: sources tap.sh, and has the lab in short. A test script is run by meson with GANTRY_BUILD, the build folder. It calls lab_begin first; the lab ends with the script.

TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$TESTS_DIR/lib/tap.sh"

# lab_begin NAME [up's OPTION...]
lab_begin() {
    LAB=$1
    shift
    if [ "$(id -u)" != 0 ]; then
        echo "1..0 # SKIP the lab takes root"
        exit 0
    fi
    trap lab_end EXIT
    trap 'exit 130' INT TERM
    lab up "$@" || { echo "Bail out! the lab did not come up"; exit 1; }
}

lab_end() { "$TESTS_DIR/lab/gantry-lab" --name "$LAB" down 2>/dev/null; }

# What the lab says on stderr is told as a diagnostic.
lab() { "$TESTS_DIR/lab/gantry-lab" --name "$LAB" "$@" 2> >(sed 's/^/# /' >&2); }

virsh_on() { lab virsh "$@"; }
on() { lab shell "$@"; }
guest() { lab guest "$@"; }
gantry_controller() { lab controller "$GANTRY_BUILD/src/cli/gantry" "$@"; }

# domain_state HOST NAME: "running", ..., or "absent".
domain_state() { virsh_on "$1" domstate "$2" 2>/dev/null | head -n 1 | grep . || echo absent; }

# wait_for SECONDS WHAT COMMAND...
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt "$deadline" ] || { diag "timed out waiting for $what"; return 1; }
        sleep 0.1 # between two looks at the condition
    done
}

# A guest goes on: it makes ticks, and has neither booted again nor missed one.
guest_goes_on() {
    guest wait "$1" 10 || { diag "guest $1 does not tick"; return 1; }
    expect_match "report of $1" "$(guest report "$1")" '^booted 1 time\(s\), [0-9]+ ticks, 0 missing$'
}
