# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For the tests of this folder: other hooks next to Gantry's, what they and Gantry were called with, and daemons that behave as a test wants.

# shellcheck source=tests/lib/lab.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../lib/lab.sh"

HOOKS=/etc/libvirt/hooks/qemu.d
HOOK_LOG=/var/log/gantry/hook.log
CALLS=/var/log/hook-calls

# What makes a domain Gantry's concern, and asks nothing of any daemon.
BALANCE="<b:balance xmlns:b='urn:gantry:balance:1' priority='7'/>"
# What does not work without gantry-ioqd.
IOQ_REQUIRED="<i:tuning xmlns:i='urn:gantry:ioq:1' required='yes'/>"
IOQ="<i:tuning xmlns:i='urn:gantry:ioq:1'/>"

# hooks_begin NAME: hosts A and B with Gantry, and a hook on each that writes down how it was called.
hooks_begin() {
    local host
    lab_begin "hooks-$1" --hosts "A B" --build "$GANTRY_BUILD"
    for host in A B; do
        install_hook "$host" 90-record <<-HOOK
		cat >/dev/null
		echo "\$*" >>$CALLS
		HOOK
    done
}

# install_hook HOST NAME: a shell script from stdin. libvirt reads the folder anew for each call.
install_hook() { { echo "#!/bin/sh"; cat; } | put "$1" "$HOOKS/$2" 755; }
remove_hook() { on "$1" rm -f "$HOOKS/$2"; }

# A hook that fails in one operation: what Gantry's must not do.
install_failing_hook() { install_hook "$1" 95-control <<<"[ \$2 != $2 ]"; }
remove_failing_hook() { remove_hook "$1" 95-control; }

forget_calls() { on "$1" sh -c "rm -f $CALLS $HOOK_LOG"; }

# expect_calls HOST GUEST CALL...: since forget_calls, libvirt has made these calls in this order, and Gantry has seen the same.
expect_calls() {
    local host=$1 guest=$2
    shift 2
    expect "what libvirt called on $host" "$(on "$host" sh -c "grep '^$guest ' $CALLS 2>/dev/null")" "$(printf "$guest %s\n" "$@")" &&
        expect "what Gantry saw on $host" "$(gantry_saw "$host" "$guest")" "$(printf '%s\n' "${@%% *}")"
}

expect_no_calls() { expect "what libvirt called on $1" "$(on "$1" sh -c "grep '^$2 ' $CALLS 2>/dev/null")" ""; }

# The operations in Gantry's log, which has a line for each domain that concerned it.
gantry_saw() { on "$1" sh -c "sed -n 's/^[^ ]* gantry-hook\[[0-9]*\]: \([a-z]*\) $2 (.*/\1/p' $HOOK_LOG 2>/dev/null"; }

# Something lets a domain vanish on its own time.
is_absent() { [ "$(domain_state "$1" "$2")" = absent ]; }

# daemon_start HOST NAME MODE [ANSWER]: see tests/lib/fake-daemon-main.c. Requests are written to /tmp/NAME.calls.
daemon_start() {
    local host=$1 name=$2 mode=$3
    shift 3
    put "$host" /tmp/fake-daemon 755 <"$GANTRY_BUILD/tests/lib/fake-daemon"
    # shellcheck disable=SC2016 # for the inner shell
    on "$host" sh -c 'name=$1; shift; setsid /tmp/fake-daemon "/run/gantry/$name.sock" "$@" >"/tmp/$name.calls" 2>&1 & echo $! >"/tmp/$name.pid"' sh "$name" "$mode" "$@"
    wait_for 10 "fake daemon $name on $host" on "$host" grep -qx ready "/tmp/$name.calls"
}

daemon_stop() {
    # shellcheck disable=SC2016
    on "$1" sh -c 'kill "$(cat "/tmp/$1.pid")"' sh "$2"
    wait_for 10 "fake daemon $2 on $1 to end" daemon_is_gone "$1" "$2"
}
daemon_is_gone() { ! on "$1" test -S "/run/gantry/$2.sock"; }

# The methods that a daemon was called with, a line each.
daemon_methods() { on "$1" sed -n 's/.*"method":"\([^"]*\)".*/\1/p' "/tmp/$2.calls"; }
daemon_was_called() { [ -n "$(daemon_methods "$1" "$2")" ]; }
