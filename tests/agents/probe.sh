# What the test of the units does on its host: one line for each thing seen, `NAME: VALUE`. In HERE is the test's
# directory. Each wait has an end; a time is in seconds.
set -u
unit=booth@site
guard=booth-guard@site
state=$HERE/store/T.ticket

tell() { echo "$1: $2"; }
property() { systemctl show "$1" -p "$2" --value; }
granted() { sed -n 's/^granted = //p' "$state"; }
# Waits until a command succeeds; tells after how long.
until_true() {
    name=$1 limit=$2 begun=$(date +%s)
    shift 2
    until "$@"; do
        if [ $(($(date +%s) - begun)) -ge "$limit" ]; then tell "$name" never; return; fi
        sleep 0.2
    done
    tell "$name" $(($(date +%s) - begun))
}
restarted() { [ "$(property $unit NRestarts)" = 1 ] && [ "$(property $unit ActiveState)" = active ]; }
leads() { booth list -c site | grep -q "leader: 10.91.0.1, expires"; }
revoked() { [ "$(granted)" = false ]; }
guard_ended() { [ "$(property $guard ActiveState)" = inactive ]; }

systemctl start $unit
tell started $?
tell status "$(property $unit StatusText)"
tell answers "$(boothctl guard -c site >/dev/null 2>&1; echo $?)"
pid=$(property $unit MainPID)
tell capabilities "$(sed -n 's/^CapEff:\t//p' "/proc/$pid/status")"
tell user "$(stat -c %U "/proc/$pid")"
booth grant -w -c site >/dev/null 2>&1
tell granted "$(granted)"

# Frozen: the watchdog ends it, and the next one keeps the ticket.
kill -STOP "$pid"
until_true restarted 30 restarted
tell still-granted "$(granted)"
until_true leads 20 leads

# Stopped for good: the guard stays until the lease has ended.
systemctl stop $unit
tell stopped $?
tell result "$(property $unit Result)"
tell granted-at-stop "$(granted)"
until_true revoked 40 revoked
until_true guard-ended 10 guard_ended
tell guard "$(property $guard Result)"

systemctl start booth-arbitrator
tell arbitrator "$? $(property booth-arbitrator StatusText)"
systemctl stop booth-arbitrator
tell arbitrator-result "$(property booth-arbitrator Result)"
tell finished yes
