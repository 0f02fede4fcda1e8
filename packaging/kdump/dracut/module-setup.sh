#!/bin/bash
# dracut module: fence_kdump_send in the image of the crash kernel, from its first moment.
# Installed as /usr/lib/dracut/modules.d/95fence_kdump_send/module-setup.sh.
#
# The kdump of RHEL and Fedora starts /usr/libexec/fence_kdump_send itself, with fence_kdump_nodes and fence_kdump_args
# of kdump.conf, when the dump begins, and sets up the network to these nodes. This module starts it before, and brings
# the key and the nodes' addresses.

settings=/usr/share/booth/kdump/settings.sh

# Wanted in crash kernels alone (mkdumprd says IN_KDUMP=1), and where nodes are named; elsewhere if asked for (--add).
check() {
    # shellcheck disable=SC1090
    . "$settings"
    fence_kdump_settings || return 1
    [[ ${IN_KDUMP-} == 1 ]] && return 0
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
    fence_kdump_settings || return 0
    inst /usr/libexec/fence_kdump_send
    inst_multiple ip sleep
    local key
    key=$(fence_kdump_key)
    # shellcheck disable=SC2154
    if [[ -n $key ]]; then
        inst_simple "$key"
        chmod 600 "$initdir$key"
    fi
    mkdir -p "$initdir/etc/fence_kdump"
    fence_kdump_command > "$initdir/etc/fence_kdump/command"
    fence_kdump_hosts >> "$initdir/etc/hosts"
    fence_kdump_routes > "$initdir/etc/fence_kdump/routes"
    inst_simple "$(dirname "$settings")/network" /etc/fence_kdump/network
    # shellcheck disable=SC2154
    inst_hook pre-trigger 10 "$moddir/start.sh"
}
