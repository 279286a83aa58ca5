# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For the tests of this folder: a worker that is started again whenever it dies, and load on it. No VM, no root.

TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/lib/tap.sh
. "$TESTS_DIR/lib/tap.sh"
: "${GANTRY_BUILD:=$(cd "$TESTS_DIR/.." && pwd)/_build/gcc}"

WORKER=$GANTRY_BUILD/src/ioq_tuning/test-gantry-ioq-worker
LOAD=$GANTRY_BUILD/tests/lib/vhost/vhost-load

scratch=$(mktemp -d)
KEEPER=""
trap 'keeper_stop; rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

image() { truncate -s "$1" "$scratch/image"; }

# keeper_start [WORKER'S OPTION...]: KILL_POINT=NAME lets each worker die at that point, later and later for as long as CONTROL (see crash_point.h) is what it is.
keeper_start() {
    rm -f "$scratch/socket" "$scratch/stop" "$scratch/unwanted"
    : >"$scratch/deaths"
    keeper "$@" >"$scratch/worker.log" 2>&1 &
    KEEPER=$!
    until [ -S "$scratch/socket" ]; do
        kill -0 $KEEPER 2>/dev/null || { diag_file "$scratch/worker.log"; return 1; }
        sleep 0.02 # between two looks
    done
}

keeper() {
    local pid status n=0
    while [ ! -e "$scratch/stop" ]; do
        # A prime step: the deaths fall on all places of a batch and of the ring.
        n=$(((n + 389) % 2003))
        IOQ_CONTROL=${CONTROL:-} IOQ_CRASH_POINT=${KILL_POINT:+$KILL_POINT:$((n + 500))} "$WORKER" --socket "$scratch/socket" --file "$scratch/image" "$@" &
        pid=$!
        echo $pid >"$scratch/pid"
        wait $pid
        status=$?
        # 137: killed, as wanted.
        [ $status = 137 ] && echo $pid >>"$scratch/deaths"
        # 143: keeper_stop met one that had not come to its handler of SIGTERM.
        [ $status = 143 ] && [ -e "$scratch/stop" ] && status=0
        [ $status = 0 ] || [ $status = 137 ] || echo "the worker ended with status $status" >>"$scratch/unwanted"
    done
}

keeper_stop() {
    [ -n "$KEEPER" ] || return 0
    touch "$scratch/stop"
    kill "$(cat "$scratch/pid")" 2>/dev/null
    wait $KEEPER 2>/dev/null
    KEEPER=""
}

# load OPTION...: its report into $scratch/report.
load() { timeout -k 5 300 "$LOAD" --socket "$scratch/socket" --verify --reconnect "$@" >"$scratch/report" 2>"$scratch/load.err"; }

# reported NAME: a number of the last report.
reported() { sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p" "$scratch/report"; }

# No request was lost, done twice, refused or wrong.
all_is_well() {
    local what bad=0
    [ -s "$scratch/report" ] || { diag "the load gave no report: $(cat "$scratch/load.err")"; return 1; }
    for what in lost duplicated bad errors; do
        [ "$(reported $what)" = 0 ] || { diag "$what: $(reported $what)"; bad=1; }
    done
    [ ! -s "$scratch/unwanted" ] || { diag_file "$scratch/unwanted"; diag_file "$scratch/worker.log"; bad=1; }
    return $bad
}

deaths() { wc -l <"$scratch/deaths"; }
