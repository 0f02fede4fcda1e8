#!/bin/sh
# Starts fence_kdump_send in a crash kernel, before anything waits for devices: it keeps trying until the network is up,
# and goes on while the dump is written.
# Installed as /usr/lib/dracut/modules.d/95fence_kdump_send/start.sh.
if [ -e /proc/vmcore ] && [ -r /etc/fence_kdump/command ]; then
    /bin/sh /etc/fence_kdump/network &
    read -r arguments < /etc/fence_kdump/command
    # shellcheck disable=SC2086
    /usr/libexec/fence_kdump_send $arguments < /dev/null &
fi
