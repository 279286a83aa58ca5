# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The root file system of the hosts, and the guest's kernel and initrd: made once, from Debian's packages, and kept in the cache under a hash of how they are made.

# The release that this machine runs, since what is built here runs on the hosts; on other systems, Debian 12.
RELEASE=${GANTRY_LAB_RELEASE:-$(. /etc/os-release && [ "${ID:-}" = debian ] && echo "${VERSION_CODENAME:-}" || true)}
RELEASE=${RELEASE:-bookworm}
# What of it is too old in the release, and is taken from its backports.
BACKPORTS=""
[ "$RELEASE" != bookworm ] || BACKPORTS="src:libvirt src:qemu src:seabios src:linux-signed-amd64"

# Installed in the hosts' root, with all that they depend on.
ROOT_PACKAGES=(
    libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients libvirt-daemon-log qemu-system-x86 qemu-utils
    lxcfs libjson-glib-1.0-0 libnbd0
    base-files base-passwd bash coreutils dash findutils gawk grep hostname iproute2 iptables libc-bin mount netcat-openbsd nftables
    procps sed strace util-linux python3-minimal libpython3-stdlib
)
# Modules that the guest needs, in the order of loading.
GUEST_MODULES=(virtio_blk failover net_failover virtio_net virtio_balloon)

# What the cache's names hang on: the release, this file, and the guest's program.
image_hash() { { echo "$RELEASE" && cat "$LAB_DIR/lib/image.sh" "$LAB_DIR/guest/init.c"; } | sha256sum | cut -c1-16; }

# The mirror of Debian's packages that this machine's apt uses.
mirror() {
    local site
    # shellcheck disable=SC2016 # $(SITE) is for apt
    site=$(apt-get indextargets --format '$(SITE)' "Codename: $RELEASE" | sort -u | head -n 1)
    # shellcheck disable=SC2016
    [ -n "$site" ] || site=$(apt-get indextargets --format '$(SITE)' "Origin: Debian" "Component: main" | sort -u | head -n 1)
    [ -n "$site" ] || die "apt has no Debian mirror in its sources; the lab's packages come from there"
    echo "$site"
}

# The folders in the cache; made if they are not there.
image_root() { cached root "making the hosts' root file system (once, about a minute)" make_root; }
image_guest() { cached guest "making the guest (once)" make_guest; }

# cached KIND TEXT COMMAND: COMMAND fills the folder that it is given. It appears in the cache when it is whole, and labs that start at once make it once.
cached() {
    local folder
    folder=$CACHE/$1-$(image_hash)
    mkdir -p "$CACHE"
    (
        flock 9
        [ ! -d "$folder" ] || exit 0
        say "$2: $folder"
        rm -rf "$CACHE/$1".new # of one that was interrupted
        mkdir "$CACHE/$1".new
        if ! "$3" "$CACHE/$1.new" >"$CACHE/$1.log" 2>&1 9>&-; then
            tail -n 20 "$CACHE/$1.log" >&2
            rm -rf "$CACHE/$1".new
            exit 1
        fi
        mv -T "$CACHE/$1".new "$folder"
    ) 9>>"$CACHE/lock" || die "cannot make $folder; the whole log is $CACHE/$1.log"
    echo "$folder"
}

# unpack FOLDER PACKAGES: with commas between them. apt-get works in the folder only.
unpack() {
    local site pins
    local -a options=() suites
    site=$(mirror) || return 1
    suites=("deb $site $RELEASE main")
    if [ -n "$BACKPORTS" ]; then
        pins="Package: $BACKPORTS\nPin: release n=$RELEASE-backports\nPin-Priority: 900\n"
        options=(--setup-hook="mkdir -p \"\$1/etc/apt/preferences.d\" && printf '$pins' >\"\$1/etc/apt/preferences.d/lab\"")
        suites+=("deb $site $RELEASE-backports main")
    fi
    mmdebstrap --mode=root --variant=extract --architectures=amd64 --aptopt='APT::Install-Recommends "false"' \
        --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr "${options[@]}" --include="$2" "$RELEASE" "$1" "${suites[@]}"
}

# Unpacked, not installed: no maintainer script runs, so what they would have done and the hosts need is done here.
make_root() {
    local root=$1
    unpack "$root" "$(IFS=,; echo "${ROOT_PACKAGES[*]}")" || return 1
    cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd" || return 1
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group" || return 1
    printf 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin\n' >>"$root/etc/passwd"
    printf 'kvm:x:104:\nlibvirt:x:103:\nlibvirt-qemu:x:64055:\n' >>"$root/etc/group"
    printf '%s: files\n' passwd group hosts services protocols >"$root/etc/nsswitch.conf"
    [ -e "$root/usr/bin/awk" ] || ln -s gawk "$root/usr/bin/awk"
    [ -e "$root/usr/bin/sh" ] || ln -s dash "$root/usr/bin/sh"
    [ -e "$root/usr/bin/nc" ] || ln -s nc.openbsd "$root/usr/bin/nc"
    ln -sf xtables-nft-multi "$root/usr/sbin/iptables"
    ln -sf xtables-nft-multi "$root/usr/sbin/ip6tables"
    rm -rf "$root/var/run" "$root/var/lock"
    ln -s /run "$root/var/run"
    ln -s /run/lock "$root/var/lock"
    mkdir -p "$root"/{old,shared,var/lib/lxcfs,etc/libvirt/hooks}
    rm -rf "$root/etc/libvirt/qemu/networks"
    mkdir -p "$root/etc/libvirt/qemu/networks"
    chroot "$root" ldconfig && chroot "$root" libvirtd --version && chroot "$root" qemu-system-x86_64 --version
}

# Debian's cloud kernel, unpacked, and our init with the modules that it loads.
make_guest() {
    local work=$1 module file
    unpack "$work/kernel" '?exact-name(linux-image-cloud-amd64)' || return 1
    cp "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz" || return 1
    mkdir -p "$work/initrd/modules"
    for module in "${GUEST_MODULES[@]}"; do
        file=$(find "$work/kernel" -name "$module.ko*" -print -quit)
        case $file in
        *.xz) xz -dc "$file" >"$work/initrd/modules/$module.ko" ;;
        *.zst) zstd -dcq "$file" >"$work/initrd/modules/$module.ko" ;;
        *.ko) cp "$file" "$work/initrd/modules/$module.ko" ;;
        *) say "the kernel package has no module $module"; return 1 ;;
        esac || return 1
        echo "$module.ko" >>"$work/initrd/modules/order"
    done
    gcc -O2 -Wall -Wextra -static -pthread "$LAB_DIR/guest/init.c" -o "$work/initrd/init" || return 1
    (cd "$work/initrd" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd.gz" || return 1
    rm -rf "$work/kernel" "$work/initrd"
}
