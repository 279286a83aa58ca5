# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A cgroup for each host, with one CPU. Where the machine has cgroup v1 controllers, there is a group in each hierarchy, as libvirt expects them; else one
# group of v2. A host sees its group as "/", by its cgroup namespace.

V1_CONTROLLERS=(cpu cpuacct cpuset memory devices freezer blkio pids)

cgroup_is_v1() { [ -d /sys/fs/cgroup/cpuset ]; }

# The group of this process, below which ours are made, so that limits set on us hold for the hosts, too.
cgroup_v1_parent() {
    local line
    while read -r line; do
        [[ $line =~ ^[0-9]+:$1:(.*)$ ]] && echo "/sys/fs/cgroup/$1${BASH_REMATCH[1]}"
    done </proc/self/cgroup
    return 0
}

cgroup_name() { echo "gantry-lab-$LAB_NAME-$1"; }

# Prints the folders of a host's groups, one a line; those that there are, for '*'.
cgroup_folders() {
    local controller
    if cgroup_is_v1; then
        for controller in "${V1_CONTROLLERS[@]}"; do
            [ -d "/sys/fs/cgroup/$controller" ] && echo "$(cgroup_v1_parent "$controller")/$(cgroup_name "$1")"
        done
    else
        echo "/sys/fs/cgroup/$(cgroup_name "$1")"
    fi
}

# With v2, the root must hand its controllers down; on systemd's machines it mostly does. What we had to add is written down, for cgroup_give_back().
cgroup_prepare() {
    local control=/sys/fs/cgroup/cgroup.subtree_control controller
    ! cgroup_is_v1 || return 0
    for controller in cpuset cpu io memory pids; do
        ! grep -qw "$controller" $control || continue
        echo "+$controller" >$control || die "cgroup v2 of this machine has no controller '$controller' to give to the hosts"
        echo "$controller" >>"$STATE/controllers"
    done
}

# A controller that somebody else has come to use meanwhile cannot be taken back, and stays.
cgroup_give_back() {
    local controller
    [ -f "$STATE/controllers" ] || return 0
    while read -r controller; do
        echo "-$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
    done <"$STATE/controllers"
} 2>/dev/null

# cgroup_make HOST CPU
cgroup_make() {
    local folder
    for folder in $(cgroup_folders "$1"); do
        mkdir -p "$folder"
        # A host is a machine of its own: what else runs on this one should take little of its CPU.
        [ ! -f "$folder/cpu.shares" ] || echo 65536 >"$folder/cpu.shares"
        [ ! -f "$folder/cpu.weight" ] || echo 10000 >"$folder/cpu.weight"
        if [ -f "$folder/cpuset.cpus" ]; then
            echo "$2" >"$folder/cpuset.cpus"
            cat "$(dirname "$folder")/cpuset.mems.effective" 2>/dev/null >"$folder/cpuset.mems" ||
                cat "$(dirname "$folder")/cpuset.mems" >"$folder/cpuset.mems"
        fi
    done
}

# cgroup_settle HOST: once the host has its cgroup namespace. With v2, a group that has processes cannot hand controllers down, so they move to a leaf, and libvirt
# finds a "/" in which it can make groups for its guests.
cgroup_settle() {
    local folder
    ! cgroup_is_v1 || return 0
    folder=$(cgroup_folders "$1")
    mkdir "$folder/init"
    wait_until 10 "host $1 to move into the leaf of its cgroup" cgroup_move_to_leaf "$folder"
}

# It may fail while the host's first process starts others.
cgroup_move_to_leaf() {
    local pid controller
    local -a controllers
    for pid in $(cat "$1/cgroup.procs"); do
        echo "$pid" >"$1/init/cgroup.procs"
    done
    read -ra controllers <"$1/cgroup.controllers"
    for controller in "${controllers[@]}"; do
        echo "+$controller" >"$1/cgroup.subtree_control" || return 1
    done
} 2>/dev/null

# Moves this shell in; what it starts is in there, too.
cgroup_enter() {
    local folder
    for folder in $(cgroup_folders "$1"); do
        [ ! -d "$folder/init" ] || folder+=/init
        echo $BASHPID >"$folder/cgroup.procs"
    done
}

# Ends whatever is still in the host's groups, and removes them and those that libvirt made below, from the leaves up.
cgroup_remove() {
    local folder
    for folder in $(cgroup_folders "$1"); do
        wait_until 10 "cgroup $folder to be empty" cgroup_remove_tree "$folder"
    done
}

cgroup_remove_tree() {
    local pid
    [ -d "$1" ] || return 0
    for pid in $(find "$1" -name cgroup.procs -exec cat {} + 2>/dev/null); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    find "$1" -depth -type d -exec rmdir {} \; 2>/dev/null
    [ ! -d "$1" ]
}

# Hosts that have groups, by the groups' names: also those of a lab whose files have gone.
cgroup_hosts() {
    local folder name
    for folder in $(cgroup_folders '*'); do
        name=${folder##*/gantry-lab-"$LAB_NAME"-}
        [[ -d $folder && $name =~ ^[A-Za-z0-9]+$ ]] && echo "$name"
    done | sort -u
}
