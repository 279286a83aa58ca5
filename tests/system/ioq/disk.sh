# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For the tests of this folder with a guest g1 that reads back what it wrote, on its disk vdb.

# Counted between two of the guest's reports that both come after now: what it did before now is in the first.
disk_goes_on() {
    local before first rounds bad failed
    before=$(guest verified g1 | awk '{print $1}')
    wait_for "30" "a report of the guest" verified_more_than "$before" || return 1
    first=$(guest verified g1 | awk '{print $1}')
    wait_for "30" "each of the guest's threads to go on" verified_more_than $((first + 3)) || { diag "$(guest verified g1)"; return 1; }
    read -r rounds bad failed < <(guest verified g1)
    expect "wrong blocks ($rounds rounds)" "$bad" 0 && expect "failed requests" "$failed" 0
}
verified_more_than() { [ "$(guest verified g1 | awk '{print $1}')" -gt "$1" ]; }

# vdb_has BYTES: as the guest sees it.
vdb_has() { [ "$(guest disk g1 vdb)" = "$1" ]; }
