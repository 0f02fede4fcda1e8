#!/bin/bash
# dracut module: fence_kdump_send in the image of the crash kernel, from its first moment.
# Installed as /usr/lib/dracut/modules.d/95fence_kdump_send/module-setup.sh.
#
# The kdump of RHEL and Fedora starts /usr/libexec/fence_kdump_send itself, with fence_kdump_nodes and fence_kdump_args
# of kdump.conf, when the dump begins, and sets up the network to these nodes. This module starts it before, and brings
# the key and the nodes' addresses. Where that kdump finds the nodes in the CIB, only the key is missing.

settings=/usr/share/booth/kdump/settings.sh

# Wanted in crash kernels alone (RHEL's mkdumprd says IN_KDUMP=1, SUSE's --add kdump), and where nodes or a key are
# named; elsewhere if asked for (--add).
check() {
    # shellcheck disable=SC1090
    . "$settings"
    fence_kdump_settings || [[ -n $(fence_kdump_key) ]] || return 1
    [[ ${IN_KDUMP-} == 1 ]] && return 0
    [[ " ${dracutmodules-} ${add_dracutmodules-} ${force_add_dracutmodules-} " == *\ kdump\ * ]] && return 0
    return 255
}

# Of dracut's own network modules none is needed, and they may bring the same network up again.
depends() {
    return 0
}

installkernel() {
    # shellcheck disable=SC1090
    . "$settings"
    fence_kdump_settings || return 0
    local driver
    for driver in $(fence_kdump_drivers); do
        hostonly='' instmods "$driver"
    done
}

install() {
    # shellcheck disable=SC1090
    . "$settings"
    local key nodes=yes
    fence_kdump_settings || nodes=''
    key=$(fence_kdump_key)
    # shellcheck disable=SC2154
    if [[ -n $key ]]; then
        inst_simple "$key"
        chmod 600 "$initdir$key"
        # RHEL's kdump starts the sender without -n: the crash kernel has to know its name.
        mkdir -p "$initdir/etc"
        [[ -s $initdir/etc/hostname ]] || uname -n > "$initdir/etc/hostname"
    fi
    fence_kdump_check
    [[ -n $nodes ]] || return 0
    inst /usr/libexec/fence_kdump_send
    inst_multiple ip sleep
    mkdir -p "$initdir/etc/fence_kdump"
    fence_kdump_command > "$initdir/etc/fence_kdump/command"
    fence_kdump_hosts >> "$initdir/etc/hosts"
    fence_kdump_routes > "$initdir/etc/fence_kdump/routes"
    inst_simple "$(dirname "$settings")/network" /etc/fence_kdump/network
    # shellcheck disable=SC2154
    inst_hook pre-trigger 10 "$moddir/start.sh"
}
