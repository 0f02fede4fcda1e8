#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The first process of a host of the lab, in namespaces of its own. It makes the host's own directories, says so,
# and lives until its standard input ends: until the test has gone. With it goes every process of the host.
# As any first process it reaps what others leave to it, which bash does by itself.
#
# LAB_NAME  name of the host
# LAB_HOME  its directory, which the test sees as well
# LAB_SBIN  what lies in this directory hides what has the same name in /usr/sbin
# LAB_OCF   the same for resource agents: PROVIDER/AGENT
set -eu

mount --make-rprivate /
hostname "$LAB_NAME"

# What daemons keep, each host for itself; /run is /var/run.
for directory in /run /dev/shm /var/log /var/lib/corosync /var/lib/pacemaker /var/lib/booth /var/lib/pcsd \
    /etc/corosync /etc/booth; do
    mkdir -p "$directory"
    mount -t tmpfs -o mode=755 lab "$directory"
done
chmod 1777 /dev/shm
mkdir -p /run/lock /run/lab/lower /run/resource-agents /var/log/corosync /var/log/crmsh
install -d -o hacluster -g haclient -m 770 /run/crm /var/log/pacemaker
install -d -o hacluster -g haclient -m 750 /var/lib/pacemaker/{cib,pengine,blackbox,cores}
chown hacluster:haclient /var/lib/pacemaker

# Puts links in place of what is in a directory: to the test's file where there is one, else to what was there.
cover() { # DIRECTORY LAYER
    local lower=/run/lab/lower$1 entry
    mkdir -p "$lower"
    mount --bind "$1" "$lower"
    mount -t tmpfs -o mode=755 lab "$1"
    for entry in "$lower"/* "$2"/*; do
        [ ! -e "$entry" ] || ln -sfn "$entry" "$1/"
    done
}
cover /usr/sbin "$LAB_SBIN"
cover /usr/lib/ocf/resource.d "$LAB_OCF"
for provider in heartbeat pacemaker booth; do
    # A provider that has agents of both is a directory of links.
    if [ -d "$LAB_OCF/$provider" ]; then
        rm -f "/usr/lib/ocf/resource.d/$provider"
        mkdir "/usr/lib/ocf/resource.d/$provider"
        ln -sfn /run/lab/lower/usr/lib/ocf/resource.d/"$provider"/* "/usr/lib/ocf/resource.d/$provider/"
        ln -sfn "$LAB_OCF/$provider"/* "/usr/lib/ocf/resource.d/$provider/"
    fi
done

ln -s "$LAB_HOME" /run/lab/home
: >"$LAB_HOME/up"
read -r _ || :
