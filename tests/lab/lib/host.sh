# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Hosts. Layout of $STATE: $MARKER, hosts (their names), shared/ (on all hosts /shared), HOST/upper and HOST/work (the host's own layer over the cached root),
# HOST/console.log, *.pid, owner (see may_replace()). A host is an `unshare` whose child, host-init, is PID 1 of its pid namespace: killing that ends every process of the host.

lab_hosts() { cat "$STATE/hosts" 2>/dev/null || true; }

host_number() {
    local number=1 host
    for host in $(lab_hosts); do
        [ "$host" = "$1" ] && { echo $number; return; }
        number=$((number + 1))
    done
    [ -n "$(lab_hosts)" ] || die "lab '$LAB_NAME' is down"
    die "no host '$1' in lab '$LAB_NAME'; its hosts: $(lab_hosts | xargs)"
}

# Hosts take the CPUs that we may use in turn.
host_cpu() {
    local -a cpus
    mapfile -t cpus < <(allowed_cpus)
    echo "${cpus[$((($(host_number "$1") - 1) % ${#cpus[@]}))]}"
}

host_address() { echo "$SUBNET.$(host_number "$1")"; }
host_hostname() { echo "host-${1,,}"; }

# enter_host HOST CMD...: in all of its namespaces, and its root.
enter_host() (
    local pid host=$1
    host_number "$host" >/dev/null
    pid=$(recall_process "$host") || die "host $host is down; start it by: gantry-lab --name $LAB_NAME start-host $host"
    shift
    # In the host's cgroup, too: what runs here is load of that host.
    cgroup_enter "$host"
    nsenter --target "$pid" --mount --uts --ipc --net --pid --cgroup --root --wdns=/ -- env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 "$@"
)

lab_up() {
    local hosts="A B" build="" host root
    while [ $# -gt 0 ]; do
        case $1 in
        --hosts) hosts=${2:?--hosts takes names} && shift 2 ;;
        --build) build=$(cd "${2:?--build takes a folder}" && pwd) && shift 2 ;;
        *) die "up: unknown option '$1'" ;;
        esac
    done
    check_host_names $hosts
    ! lab_is_up || may_replace || die "lab '$LAB_NAME' is up; end it by: gantry-lab --name $LAB_NAME down"
    lab_down quietly
    claim_folder
    # A lab that did not come up is of no use to anybody.
    trap 'status=$?; lab_down quietly; exit $status' EXIT
    root=$(image_root)
    image_guest >/dev/null
    mkdir -p "$STATE/shared/boot"
    cp "$(image_guest)"/{vmlinuz,initrd.gz} "$STATE/shared/boot/"
    printf '%s\n' $hosts >"$STATE/hosts"
    {
        echo "127.0.0.1 localhost"
        echo "$CONTROLLER_IP controller"
        for host in $hosts; do echo "$(host_address "$host") $(host_hostname "$host")"; done
    } >"$STATE/etc-hosts"
    gcc -O2 -Wall -Wextra "$LAB_DIR/tools/mount-push.c" -o "$STATE/mount-push"

    start_switch
    cgroup_prepare # lxcfs looks what there is when it starts
    start_lxcfs "$root"
    for host in $hosts; do
        configure_host "$host" "$root" "$build"
        boot_host "$host" "$root"
    done
    for host in $hosts; do
        wait_until 60 "libvirtd on host $host" libvirtd_answers "$host" || { tail -n 5 "$STATE/$host"/upper/var/log/libvirt/* >&2; die "host $host did not come up"; }
    done
    rm -f "$STATE/up.pid"
    trap - EXIT
}

# Whoever names another folder by mistake (GANTRY_LAB_DIR=/home, a lab "alice") must not lose it.
check_folder() {
    [ -e "$STATE" ] || [ -L "$STATE" ] || return 0
    if [ -d "$STATE" ] && [ ! -L "$STATE" ]; then
        [ ! -O "$STATE/$MARKER" ] || return 0
        [ -n "$(ls -A "$STATE")" ] || return 0
    fi
    die "$STATE is not the folder of a lab (it has no $MARKER), so it is left alone; move it away, or name another place by GANTRY_LAB_DIR"
}

# It gets its name with all that tells whose it is in it, so of two 'up' at once one is refused.
claim_folder() {
    local folder=$STATE.new.$$
    mkdir -p "$(dirname "$STATE")"
    mkdir "$folder"
    : >"$folder/$MARKER"
    echo "$$ $(process_start_time $$)" >"$folder/up.pid"
    [ -z "${GANTRY_LAB_OWNER:-}" ] || echo "$GANTRY_LAB_OWNER $(process_start_time "$GANTRY_LAB_OWNER")" >"$folder/owner"
    mv -T "$folder" "$STATE" 2>/dev/null || {
        rm -rf "$folder"
        die "another 'up' of lab '$LAB_NAME' was faster"
    }
}

# Does any of its processes live? Also one that is still on its way up.
lab_is_up() {
    local file folder
    for file in "$STATE"/*.pid; do
        ! living_process "$file" >/dev/null || return 0
    done
    [ -z "$(lab_strays)" ] || return 0
    for folder in $(cgroup_folders '*'); do
        [ ! -d "$folder" ] || [ -z "$(find "$folder" -name cgroup.procs -exec cat {} + 2>/dev/null)" ] || return 0
    done
    return 1
}

# GANTRY_LAB_OWNER is the pid of the test that the lab is for. What a killed test has left is in nobody's use.
may_replace() {
    local pid
    [ -f "$STATE/owner" ] || return 1
    read -r pid _ <"$STATE/owner"
    [ "$pid" = "${GANTRY_LAB_OWNER:-}" ] || ! living_process "$STATE/owner" >/dev/null
}

# Prints the pids of the switch and of lxcfs, also where the lab's files have gone. That a command line begins like theirs is not enough: it must be all of the program's
# name, and the process one of our user in a namespace that is not ours.
lab_strays() {
    local part namespace pid name
    for part in switch:net lxcfs:mnt; do
        namespace=${part#*:}
        part=gantry-lab-$LAB_NAME-${part%:*}
        for pid in $(pgrep -u "$(id -u)" -f "^$part "); do
            IFS= read -r -d '' name <"/proc/$pid/cmdline" || continue
            [ "$name" = "$part" ] && in_other_namespace "$namespace" "$pid" "$(readlink "/proc/self/ns/$namespace")" || continue
            echo "$pid"
        done
    done 2>/dev/null
}

check_host_names() {
    local host names=" "
    [ $# -gt 0 ] || die "--hosts takes at least one name"
    for host; do
        [[ $host =~ ^[A-Za-z][A-Za-z0-9]*$ ]] || die "'$host' is no name for a host: letters and digits"
        # They are folders of $STATE, and DNS names.
        case ${host,,} in
        shared | lxcfs | switch | init | up) die "'$host' is no name for a host: the lab itself uses it" ;;
        esac
        [[ $names != *" ${host,,} "* ]] || die "two hosts have the name '$host' (capitals are not told apart)"
        names+="${host,,} "
    done
}

# The network that joins the hosts: a bridge in a namespace of its own, which a sleeping process holds.
start_switch() {
    local pid own
    own=$(readlink /proc/self/ns/net)
    setsid unshare --net bash -c 'exec -a "$0" sleep infinity' "gantry-lab-$LAB_NAME-switch" </dev/null >/dev/null 2>&1 &
    pid=$!
    remember_process switch $pid
    wait_until 5 "the switch's network namespace" in_other_namespace net "$pid" "$own"
    nsenter --target "$pid" --net sh -e -c "
        ip link set lo up
        ip link add switch type bridge
        ip link set switch up
        ip address add $CONTROLLER_IP/24 dev switch"
}

# in_other_namespace TYPE PID OWN
in_other_namespace() {
    local namespace
    namespace=$(readlink "/proc/$2/ns/$1") && [ "$namespace" != "$3" ]
}

# One lxcfs for all hosts, outside of them: inside one it would see the host's cgroup as "/", and show the whole machine. It needs a root of its own, since
# lxcfs and its libraries are in the cached root only.
start_lxcfs() {
    local root=$1
    mkdir -p "$STATE/lxcfs"/{upper,work,root}
    setsid unshare --mount bash -e -c '
        mount --make-rprivate /
        mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$2/root"
        mount --rbind /dev "$2/root/dev"
        mount -t proc proc "$2/root/proc"
        mount -t sysfs sysfs "$2/root/sys"
        mount --rbind /sys/fs/cgroup "$2/root/sys/fs/cgroup"
        mount -t tmpfs tmpfs "$2/root/run"
        cd "$2/root"
        pivot_root . old
        umount -l /old
        exec -a "$0" lxcfs -f -l /var/lib/lxcfs' "gantry-lab-$LAB_NAME-lxcfs" "$root" "$STATE/lxcfs" </dev/null >"$STATE/lxcfs/log" 2>&1 &
    remember_process lxcfs $!
    wait_until 10 "lxcfs" lxcfs_answers || { cat "$STATE/lxcfs/log" >&2; die "lxcfs did not start"; }
}

lxcfs_answers() {
    local pid
    pid=$(recall_process lxcfs) && [ -s "/proc/$pid/root/var/lib/lxcfs/proc/stat" ]
}

# configure_host HOST ROOT BUILD: fills the host's own layer.
configure_host() {
    local host=$1 build=$3 upper=$STATE/$1/upper number
    number=$(host_number "$host")
    mkdir -p "$upper/srv/vms" "$upper/etc/libvirt" "$upper/etc/gantry/policy.d" "$upper/var/log/gantry" "$STATE/$host/work" "$STATE/$host/root"
    cp "$STATE/etc-hosts" "$upper/etc/hosts"
    host_hostname "$host" >"$upper/etc/hostname"
    cat >"$upper/etc/libvirt/libvirtd.conf" <<-CONF
	listen_tls = 0
	listen_tcp = 1
	auth_tcp = "none"
	auth_unix_ro = "none"
	auth_unix_rw = "none"
	unix_sock_group = "root"
	host_uuid = "$(printf '6a6e7472-7900-4000-8000-%012x' "$number")"
	log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
	CONF
    cat >"$upper/etc/libvirt/qemu.conf" <<-CONF
	security_driver = "none"
	user = "root"
	group = "root"
	dynamic_ownership = 0
	remember_owner = 0
	namespaces = []
	stdio_handler = "file"
	shared_filesystems = [ "/shared", "/srv/vms" ]
	migration_host = "$(host_address "$host")"
	migration_address = "$(host_address "$host")"
	CONF
    printf '[log]\nlevel=info\nfile=/var/log/gantry/hook.log\n' >"$upper/etc/gantry/hook.conf"
    if [ -n "$build" ]; then
        DESTDIR=$upper meson install -C "$build" --no-rebuild --quiet
    fi
}

# boot_host HOST ROOT
boot_host() {
    local host=$1 root=$2 pid switch name
    cgroup_remove "$host" # what a crash has left
    cgroup_make "$host" "$(host_cpu "$host")"
    (
        cgroup_enter "$host"
        exec setsid unshare --net --mount --uts --ipc --cgroup --pid --fork --kill-child \
            "$LAB_DIR/host-init" "$STATE/$host" "$root" "$STATE/shared" "$(host_address "$host")" "$(cgroup_is_v1 && echo v1 || echo v2)"
    ) </dev/null >>"$STATE/$host/console.log" 2>&1 &
    name=$!
    remember_process "$host-unshare" "$name"
    wait_until 10 "host $host's first process" has_child_in_namespace "$name"
    pid=$(child_of "$name")
    remember_process "$host" "$pid"
    switch=$(recall_process switch) || die "the switch is not running; run 'up' again"
    nsenter --target "$switch" --net ip link delete "port-$host" 2>/dev/null || true
    # Always the same MAC, as a machine's: others still know that of the host which lost power.
    nsenter --target "$switch" --net ip link add "port-$host" type veth peer name eth0 address "$(printf '52:54:00:77:00:%02x' "$(host_number "$host")")" netns "$pid"
    nsenter --target "$switch" --net ip link set "port-$host" master switch up
    wait_until 10 "host $host to move into its root" host_is_in_root "$pid"
    push_load_view "$host"
    cgroup_settle "$host"
    touch "/proc/$pid/root/run/gantry-lab-go"
}

child_of() { awk '{print $1}' "/proc/$1/task/$1/children" 2>/dev/null; }

# Before unshare has forked, the child may be a helper of the shell's.
has_child_in_namespace() {
    local child namespace
    child=$(child_of "$1") && [ -n "$child" ] && namespace=$(readlink "/proc/$child/ns/pid") &&
        [ "$namespace" != "$(readlink /proc/self/ns/pid)" ]
}
host_is_in_root() { [ -e "/proc/$1/root/run/gantry-lab-in-root" ]; }

# The host's own /proc/stat and kin, and its own CPUs in sysfs. Bind mounts do not cross mount namespaces; move_mount(2) does.
push_load_view() {
    local view=/var/lib/lxcfs lxcfs pid
    lxcfs=$(recall_process lxcfs) || die "lxcfs is not running"
    pid=$(recall_process "$1")
    "$STATE/mount-push" "$lxcfs" "$pid" $view/proc/{stat:/proc/stat,cpuinfo:/proc/cpuinfo,meminfo:/proc/meminfo,loadavg:/proc/loadavg} \
        $view/sys/devices/system/cpu:/sys/devices/system/cpu
}

libvirtd_answers() { enter_host "$1" virsh -q -c qemu:///system version >/dev/null 2>&1; }

lab_down() {
    local host process pid
    # Else it would go on and fail. If it is us, we are at its end.
    [ "$(recall_process up)" = $$ ] || end_process up
    for host in $(lab_hosts); do
        # The pid namespace's PID 1 takes all others with it.
        end_process "$host"
        end_process "$host-unshare"
    done
    for process in lxcfs switch; do
        end_process $process
    done
    for pid in $(lab_strays); do
        kill -KILL "$pid" 2>/dev/null || true
    done
    for host in $(lab_hosts) $(cgroup_hosts); do
        cgroup_remove "$host"
    done
    cgroup_give_back
    if [ -f "$STATE/$MARKER" ]; then
        # The marker goes last: a 'down' that is killed can be repeated.
        find "$STATE" -mindepth 1 -maxdepth 1 ! -name "$MARKER" -exec rm -rf {} +
        rm -rf "$STATE"
    fi
    [ -n "${GANTRY_LAB_DIR:-}" ] || rmdir "$(dirname "$STATE")" 2>/dev/null || true
    [ "${1:-}" = quietly ] || say "lab '$LAB_NAME' is down"
}

lab_status() {
    local host
    [ -n "$(lab_hosts)" ] || { echo "Lab '$LAB_NAME' is down."; return; }
    for host in $(lab_hosts); do
        if recall_process "$host" >/dev/null; then
            echo "host $host: up, $(host_address "$host") ($(host_hostname "$host")), domains: $(host_virsh "$host" list --name | xargs)"
        else
            echo "host $host: down"
        fi
    done
}

lab_uris() {
    local host uris=""
    for host in $(lab_hosts); do uris+=,qemu+tcp://$(host_hostname "$host")/system; done
    echo "${uris#,}"
}

# A command of this machine in the lab's network, where the hosts' names are known.
lab_controller() {
    local switch
    switch=$(recall_process switch) || die "lab '$LAB_NAME' is down"
    [ $# -ge 1 ] || die "controller takes a command"
    # shellcheck disable=SC2016 # for the inner shell
    nsenter --target "$switch" --net unshare --mount sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$STATE/etc-hosts" "$@"
}

host_virsh() {
    local host=$1
    shift
    # Without a controlling terminal virsh does not look for a polkit agent, which is not there.
    enter_host "$host" setsid --wait virsh -q -c qemu:///system "$@"
}

host_shell() {
    local host=$1
    shift
    [ $# -gt 0 ] || set -- bash --norc
    enter_host "$host" "$@"
}

host_crash() {
    host_number "$1" >/dev/null
    end_process "$1"
    end_process "$1-unshare"
}

host_start_host() {
    host_number "$1" >/dev/null
    ! recall_process "$1" >/dev/null || die "host $1 is up"
    boot_host "$1" "$(image_root)"
    wait_until 60 "libvirtd on host $1" libvirtd_answers "$1"
}

host_restart_libvirtd() {
    local host=$1 signal=TERM before
    [ "${2:-}" = -9 ] && signal=KILL
    before=$(enter_host "$host" cat /run/libvirtd.pid)
    enter_host "$host" kill -s $signal "$before"
    wait_until 60 "libvirtd on host $host to come back" libvirtd_is_another "$host" "$before"
}

libvirtd_is_another() {
    [ "$(enter_host "$1" cat /run/libvirtd.pid 2>/dev/null)" != "$2" ] && libvirtd_answers "$1"
}

host_partition() {
    local switch state
    host_number "$1" >/dev/null
    case ${2:-} in
    on) state=down ;;
    off) state=up ;;
    *) die "partition takes a host, and on or off" ;;
    esac
    switch=$(recall_process switch) || die "lab '$LAB_NAME' is down"
    nsenter --target "$switch" --net ip link set "port-$1" $state
}
