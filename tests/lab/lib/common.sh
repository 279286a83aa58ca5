# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What all parts of the lab use: messages, waiting, and processes that are remembered by pid and start time.

CACHE=${GANTRY_LAB_CACHE:-/var/cache/gantry-lab}
SUBNET=10.77.0 # hosts are .1, .2, ...; labs have networks of their own, so all use the same
CONTROLLER_IP=$SUBNET.254
MARKER=.gantry-lab # in each lab's folder; what has none is not ours to remove

say() { echo "gantry-lab: $*" >&2; }

die() {
    say "$*"
    exit 1
}

need_root() {
    [ "$(id -u)" = 0 ] || die "namespaces, mounts and cgroups take root: run it by sudo"
}

# wait_until SECONDS WHAT COMMAND...: until COMMAND succeeds, looking 20 times a second.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        if [ $SECONDS -ge $deadline ]; then
            say "timed out waiting for $what"
            return 1
        fi
        sleep 0.05 # between two looks; what is waited for is the condition
    done
}

# The CPUs that this process may use, one a line.
allowed_cpus() { awk '/^Cpus_allowed_list:/ {n = split($2, part, ","); for (i = 1; i <= n; i++) {split(part[i], end, "-"); for (c = end[1]; c <= (end[2] == "" ? end[1] : end[2]); c++) print c}}' /proc/self/status; }

# A pid may be given to somebody else after our process has gone, so the time of its start is kept with it.
process_start_time() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null; }

remember_process() { echo "$2 $(process_start_time "$2")" >"$STATE/$1.pid"; }

# Prints the pid if the process lives that was remembered by this name.
recall_process() { living_process "$STATE/$1.pid"; }

living_process() {
    local pid start
    [ -f "$1" ] || return 1
    read -r pid start <"$1"
    [ -n "$start" ] && [ "$(process_start_time "$pid")" = "$start" ] && ! process_is_gone "$pid" || return 1
    echo "$pid"
}

end_process() {
    local pid
    if pid=$(recall_process "$1"); then
        kill -KILL "$pid" 2>/dev/null || true
        wait_until 10 "process $pid ($1) to end" process_is_gone "$pid"
    fi
    rm -f "$STATE/$1.pid"
}

process_is_gone() {
    local state
    state=$(awk '{ sub(/.*\) /, ""); print $1 }' "/proc/$1/stat" 2>/dev/null) || return 0
    [ -z "$state" ] || [ "$state" = Z ]
}
