#!/bin/sh
# Becomes a host whose service manager runs: this machine's files below an overlay, an empty /run, one address,
# and systemd as its first process. Argument: the directory of the test, with `units`, `bin`, `etc` and `probe`; what
# the probe prints is in `told` there. To be started in new namespaces (mount, net, pid, uts, ipc, cgroup).
set -eu
here=$1
root=$here/layers/root

mount --make-rprivate /
mkdir -p "$here/layers"
mount -t tmpfs tmpfs "$here/layers"
mkdir "$here/layers/up" "$here/layers/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$here/layers/up,workdir=$here/layers/work" "$root"
cd "$root"

cp "$here"/units/* etc/systemd/system/
cp --remove-destination --no-dereference "$here"/bin/* usr/sbin/
rm -rf var/lib/booth etc/booth
mkdir etc/booth
cp "$here"/etc/* etc/booth/
# Nothing but the probe is started.
rm -f etc/systemd/system/*.wants/* lib/systemd/system/multi-user.target.wants/*
cat >etc/systemd/system/probe.service <<END
[Service]
Type=oneshot
Environment=HERE=$here
ExecStart=/bin/sh $here/probe
StandardOutput=append:$here/told
StandardError=append:$here/told
ExecStopPost=/bin/systemctl --no-block --force --force poweroff
END

mkdir -p ".$here"
mount --bind "$here" ".$here"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
ip link set lo up
ip addr add 10.91.0.1/24 dev lo
mkdir -p mnt
pivot_root . mnt
umount -l /mnt
exec env -i container=booth PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=null --show-status=0 \
    systemd.unit=probe.service
