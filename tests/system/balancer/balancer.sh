# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For the tests of this folder: gantry balance on two hosts, its answers, guests that burn, and how long they paused.

BALANCER_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/lib/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lib/lab.sh"

A=qemu+tcp://host-a/system
B=qemu+tcp://host-b/system

# balancer_begin NAME: hosts A and B with Gantry; $scratch is a folder for the test's files.
balancer_begin() {
    scratch=$(mktemp -d)
    lab_begin "balancer-$1" --hosts "A B" --build "$GANTRY_BUILD"
    trap 'lab_end; rm -rf "$scratch"' EXIT
}

# balance EXPECTED_STATUS OPTION...: output goes to $scratch/out and $scratch/err.
balance() {
    local wanted=$1 status=0
    shift
    gantry_controller balance --once --hosts "$A,$B" "$@" >"$scratch/out" 2>"$scratch/err" || status=$?
    expect_balance "$wanted" "$status" "$*"
}

expect_balance() { # WANTED STATUS OPTIONS
    [ "$2" = "$1" ] && return 0
    diag "gantry balance $3: exit status $2, wanted $1"
    diag_file "$scratch/out"
    diag_file "$scratch/err"
    return 1
}

# json EXPRESSION: in Python, of the document d that balance --json printed.
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$scratch/out" "$1"; }

vms_on() { virsh_on "$1" list --name | sort | xargs; }

# How much CPU the guests' work takes hangs on what else this machine does, so the threshold is set by what is measured: three guests that burn alike are over 0.83 of their
# load, two of them (0.67) are not, nor is one. That holds while the host is not saturated (its VMs would take more with one of them gone), so they leave a quarter of it idle.
threshold() { # FACTOR
    balance 0 --json --dry-run --interval 4s >&2 || return 1
    json "round(d['hosts'][0]['load'] * 100 * $1, 1)"
}

start_burning() { # HOST NAME...
    local host=$1 name
    shift
    for name in "$@"; do
        guest start "$host" "$name" --burn 25 --metadata "<balance xmlns='urn:gantry:balance:1' max-downtime='500'/>" || return 1
    done
    for name in "$@"; do
        guest wait "$name" 5 || return 1
    done
}

set_balance() { virsh_on "$1" metadata "$2" --uri urn:gantry:balance:1 --key b --set "$3"; }

# gap_begin NAME...: begins to time the guests' ticks as they come.
gap_begin() {
    local name
    local -a logs=()
    for name in "$@"; do logs+=("$(guest log "$name")"); done
    exec {gap_fd}> >(exec "$BALANCER_DIR/tick-gaps" "${logs[@]}" >"$scratch/gaps")
    gap_pid=$!
}

# Tells the longest time between two ticks of each guest (100 ms without a pause). A number for the reader: what is fast depends on the machine.
gap_end() {
    exec {gap_fd}>&-
    wait "$gap_pid"
    diag_file "$scratch/gaps"
}

vms_on_both() { { virsh_on A list --name; virsh_on B list --name; } | sort | xargs; }
