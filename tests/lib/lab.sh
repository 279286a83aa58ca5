# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For system tests: sources tap.sh, and has the lab in short. A test script is run by meson with GANTRY_BUILD, the build folder; by hand it takes that of ./check. It calls lab_begin first; the lab ends with the script.

TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$TESTS_DIR/lib/tap.sh"
: "${GANTRY_BUILD:=$(cd "$TESTS_DIR/.." && pwd)/_build/gcc}"

# lab_begin NAME [up's OPTION...]
lab_begin() {
    LAB=${GANTRY_LAB_PREFIX:-}$1 # a prefix lets a test run beside another run of itself
    shift
    if [ "$(id -u)" != 0 ]; then
        echo "1..0 # SKIP the lab takes root"
        exit 0
    fi
    # The lab is this script's: what an earlier run has left when it was killed is swept away, and another run's is not.
    export GANTRY_LAB_OWNER=$$
    trap lab_end EXIT
    trap 'exit 130' INT TERM
    lab up "$@" || { echo "Bail out! the lab did not come up"; exit 1; }
}

# GANTRY_LAB_KEEP=1 leaves the lab up, to look around in.
lab_end() {
    local status=$? file owner=""
    # Another's lab, for which ours did not come up, is let be.
    read -r owner _ 2>/dev/null <"${GANTRY_LAB_DIR:-/var/lib/gantry-lab}/$LAB/owner"
    [ "$owner" = $$ ] || return 0
    if [ $status != 0 ]; then
        for file in "${GANTRY_LAB_DIR:-/var/lib/gantry-lab}/$LAB"/*/{console.log,upper/var/log/libvirt/libvirtd.log}; do
            # Without what libvirtd always says in a place like this.
            [ -s "$file" ] && diag "$file ends with:" && grep -vE '/dev/kvm|dmidecode|udevGetDMIData|^$' "$file" | tail -n 20 | cut -c1-1000 | sed 's/^/# /'
        done
    fi
    [ -n "${GANTRY_LAB_KEEP:-}" ] || "$TESTS_DIR/lab/gantry-lab" --name "$LAB" down 2>/dev/null
}

# What the lab says on stderr is told as a diagnostic. A plain pipe, not a process substitution: hosts would inherit that one's descriptor, and keep it open.
lab() {
    { "$TESTS_DIR/lab/gantry-lab" --name "$LAB" "$@" 2>&1 >&3 3>&- | sed 's/^/# /' >&2; } 3>&1
    return "${PIPESTATUS[0]}"
}

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
    expect_match "report of $1" "$(guest report "$1")" '^booted 1 time\(s\), [0-9]+ ticks, 0 missing(;|$)'
}

# virsh_refuses HOST ARGUMENT...: prints what virsh says; it is a failure if it succeeds.
virsh_refuses() {
    local text
    text=$("$TESTS_DIR/lab/gantry-lab" --name "$LAB" virsh "$@" 2>&1) || { echo "$text"; return 0; }
    diag "virsh $* succeeded: $text" >&2
    return 1
}

# put HOST FILE [MODE]: stdin becomes a file on the host. A program that is running from the old one keeps that.
# shellcheck disable=SC2016 # for the inner shell
put() { on "$1" sh -c 'mkdir -p "$(dirname "$1")" && cat >"$1.new" && chmod "$2" "$1.new" && mv "$1.new" "$1"' sh "$2" "${3:-644}"; }

# The folder that is /shared on all hosts.
lab_shared() { echo "${GANTRY_LAB_DIR:-/var/lib/gantry-lab}/$LAB/shared"; }
