# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Guests. Each writes ticks to /shared/NAME.log ("B ..." at boot, "T COUNT UPTIME" ten times a second) and takes commands on its second serial port, a unix
# socket on the host where it runs.

GUEST_BOOT_SECONDS=${GANTRY_LAB_BOOT_SECONDS:-60}

guest_command() {
    local what=$1
    shift
    case $what in
    xml | start | wait | count | burn | dirty | disk | host | report | log | verified) "guest_$what" "$@" ;;
    *) die "guest: no command '$what'; see --help" ;;
    esac
}

guest_log() { echo "$STATE/shared/$1.log"; }

# The same name gives the same uuid, in every lab.
guest_uuid() { sha256sum <<<"$1" | sed -E 's/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*/\1-\2-4\3-8\4-\5/'; }

guest_xml() {
    local name=${1:?guest xml takes a name} vcpus=1 memory=256 burn=0 dirty=0 verify=0 metadata="" devices="" shared=""
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --vcpus) vcpus=${2:?} ;;
        --memory) memory=${2:?} ;;
        --burn) burn=${2:?} ;;
        --dirty) dirty=${2:?} ;;
        --verify) verify=${2:?} ;;
        --metadata) metadata=${2?} ;;
        # More devices, as vhost-user ones: those take memory that is shared.
        --devices) devices=${2?} shared="<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>" ;;
        *) die "guest: unknown option '$1'" ;;
        esac
        shift 2
    done
    cat <<-XML
	<domain type='qemu'>
	  <name>$name</name>
	  <uuid>$(guest_uuid "$name")</uuid>
	  <metadata>$metadata</metadata>
	  <memory unit='MiB'>$memory</memory>
	  $shared
	  <vcpu>$vcpus</vcpu>
	  <os>
	    <type arch='x86_64' machine='q35'>hvm</type>
	    <kernel>/shared/boot/vmlinuz</kernel>
	    <initrd>/shared/boot/initrd.gz</initrd>
	    <cmdline>console=ttyS0 quiet mitigations=off lab.burn=$burn lab.dirty=$dirty lab.verify=$verify</cmdline>
	  </os>
	  <features><acpi/></features>
	  <cpu mode='custom' match='exact' check='none'><model>Nehalem</model></cpu>
	  <devices>
	    <emulator>/usr/bin/qemu-system-x86_64</emulator>
	    <controller type='usb' model='none'/>
	    <disk type='file' device='disk'>
	      <driver name='qemu' type='raw' cache='none'/>
	      <source file='/shared/$name.img'/>
	      <target dev='vda' bus='virtio'/>
	    </disk>
	    <interface type='bridge'><source bridge='br0'/><model type='virtio'/></interface>
	    <serial type='file'><source path='/shared/$name.log' append='on'/></serial>
	    <serial type='unix'><source mode='bind' path='/run/gantry-lab-$name.sock'/></serial>
	    $devices
	    <memballoon model='virtio'/>
	  </devices>
	</domain>
	XML
}

guest_start() {
    local host=${1:?guest start takes a host} name=${2:?guest start takes a name} persistent=no option
    local -a options=()
    shift 2
    for option in "$@"; do
        if [ "$option" = --persistent ]; then persistent=yes; else options+=("$option"); fi
    done
    [ -e "$STATE/shared/$name.img" ] || truncate -s 16M "$STATE/shared/$name.img"
    : >"$(guest_log "$name")"
    guest_xml "$name" "${options[@]}" >"$STATE/shared/$name.xml"
    if [ $persistent = yes ]; then
        host_virsh "$host" define "/shared/$name.xml" >/dev/null
        host_virsh "$host" start "$name" >/dev/null
    else
        host_virsh "$host" create "/shared/$name.xml" >/dev/null
    fi
}

# Of the last lines only: logs grow long, and whoever waits looks often. Among them is a tick, unless the guest has just booted.
guest_count() { tail -n 100 "$(guest_log "$1")" | awk '/^B / {count = 0} /^T [0-9]+ [0-9]+\r?$/ {count = $2} END {print count + 0}'; }

guest_has_reached() { [ "$(guest_count "$1")" -ge "$2" ]; }

guest_wait() {
    local name=${1:?guest wait takes a name} more=${2:-1} target
    [ -f "$(guest_log "$name")" ] || die "no guest '$name' in lab '$LAB_NAME'"
    target=$(($(guest_count "$name") + more))
    wait_until $((GUEST_BOOT_SECONDS + more / 10)) "tick $target of guest $name" guest_has_reached "$name" "$target" && return
    say "its console ends with:"
    tail -n 20 "$(guest_log "$name")" >&2
    guest_boot_again "$name" || return 1
    wait_until $((GUEST_BOOT_SECONDS + more / 10)) "tick $more of guest $name after a reset" guest_has_reached "$name" "$more"
}

# Under emulation a guest has been seen, rarely, not to get past its kernel's start. It is reset once; its log, and so its report, keep that it was.
guest_boot_again() {
    local name=$1 host
    ! grep -q '^[BW] ' "$(guest_log "$name")" || return 1 # it has booted, or was reset already
    host=$(guest_host "$name") || return 1
    say "guest $name has not booted; it is reset, once"
    echo "W reset" >>"$(guest_log "$name")"
    host_virsh "$host" reset "$name" >/dev/null
}

# Prints the host on which it runs; while it migrates, that of its source.
guest_host() {
    local host
    for host in $(lab_hosts); do
        if recall_process "$host" >/dev/null && [ "$(host_virsh "$host" domstate "$1" 2>/dev/null)" = running ]; then
            echo "$host"
            return
        fi
    done
    say "guest '$1' runs on no host of lab '$LAB_NAME'"
    return 1
}

guest_tell() {
    local name=$1 line=$2 host log before
    log=$(guest_log "$name")
    host=$(guest_host "$name") || exit 1
    before=$(grep -c "^C $line" "$log" || true)
    # nc ends at the end of its input; -N closes the socket then.
    echo "$line" | enter_host "$host" nc -N -U "/run/gantry-lab-$name.sock" >/dev/null
    wait_until 20 "guest $name to take '$line'" guest_has_taken "$log" "$line" "$before"
}

guest_has_taken() { [ "$(grep -c "^C $2" "$1")" -gt "$3" ]; }

# "LEAST BAD FAILED" of what the guest has written and read back (--verify): rounds of its slowest thread, wrong blocks, failed requests.
guest_verified() { tail -n 400 "$(guest_log "${1:?guest verified takes a name}")" | awk '/^V [0-9]+ [0-9]+ [0-9]+\r?$/ {last = $2 " " $3 " " $4} END {sub(/\r/, "", last); print last ? last : "0 0 0"}'; }

guest_burn() { guest_tell "${1:?guest burn takes a name}" "burn ${2:?guest burn takes a percentage}"; }
guest_dirty() { guest_tell "${1:?guest dirty takes a name}" "dirty ${2:?guest dirty takes MiB a second}"; }

# Bytes of a disk as the guest sees it; -1: it has none of that name.
guest_disk() {
    local name=${1:?guest disk takes a name} disk=${2:?guest disk takes a disk, as vdb}
    guest_tell "$name" "disk $disk"
    awk -v disk="$disk" '$1 == "D" && $2 == disk {last = $3} END {sub(/\r/, "", last); print last}' "$(guest_log "$name")"
}

# Whether the guest has gone on as if nothing had happened.
guest_report() {
    awk '
        /^B / { boots++; last = 0 }
        /^W / { lost++ }
        /^T [0-9]+ [0-9]+\r?$/ { if (last && $2 != last + 1) missing += $2 - last - 1; last = $2; ticks++ }
        END { printf "booted %d time(s), %d ticks, %d missing%s\n", boots, ticks, missing, lost ? "; reset as it did not boot at first" : "" }' "$(guest_log "$1")"
}
