#!/usr/bin/env bash
# Measures boothd and the reference daemon (Debian's package booth) side by side on this machine, both
# as arbitrator of one configuration, in a network namespace of its own (so it needs root), and prints
# each figure beside its target.
# Exit status: 0 all targets met, 1 one was missed, 2 it could not be measured.
#
#   benches/compare.sh [--reference-only]
#
# ROUNDS (5), QUERIES (200000 a round), IDLE_SECONDS (10) and LOGS (a folder; without it what the
# daemons write to stderr is thrown away, which costs least) may be set in the environment.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${ROUNDS:-5} queries=${QUERIES:-200000} idle=${IDLE_SECONDS:-10}
reference=${REFERENCE_BOOTHD:-/usr/sbin/boothd}
release=${CARGO_TARGET_DIR:-target}/release
site=127.0.77.1 other=127.0.77.2 arbitrator=127.0.77.3
# Targets: KiB resident, KiB on disk, wake-ups a second, our CPU by the reference's.
max_resident=2500 max_binary=700 max_wakeups=0 max_cpu=0.40

fail() { echo "compare.sh: $*" >&2; exit 2; }
[ -x "$reference" ] || fail "no reference daemon at $reference (apt-get install --no-install-recommends booth)"
subjects=(reference ours)
[ "${1:-}" != --reference-only ] || subjects=(reference)

if [ -z "${IN_NAMESPACE:-}" ]; then
  cargo build --quiet --release --bin boothd --example load
  [ "$(id -u)" = 0 ] || fail "needs root for a network namespace of its own"
  IN_NAMESPACE=1 exec unshare --net "$0" "$@"
fi
ip link set lo up
ip address add "$arbitrator/32" dev lo # what the daemons find themselves by
load=$release/examples/load
dir=$(mktemp -d)
chmod 755 "$dir"
declare -A pid port
# Only what was started here is ended.
trap 'for started in "${pid[@]}"; do kill "$started" 2>/dev/null || :; done; wait 2>/dev/null || :; rm -rf "$dir"' EXIT
port=([reference]=19929 [ours]=19930 [bare]=19931 [batch]=19932)

head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/key"
chmod 600 "$dir/key"
# Debian 12's booth hangs at start on Linux 6.9 and newer without this.
gcc -shared -fPIC -O2 -o "$dir/netlink_done.so" "${NETLINK_DONE:-tests/common/netlink_done.c}" -ldl ||
  fail "the reference's shim does not build"

for who in reference ours; do
  mkdir -m 777 "$dir/$who"
  cat >"$dir/$who.conf" <<CONF
port = ${port[$who]}
authfile = "$dir/key"
site = $site
site = $other
arbitrator = $arbitrator
CONF
  [ "$who" = reference ] || echo "journal = \"$dir/ours/journal\"" >>"$dir/$who.conf"
  cat >>"$dir/$who.conf" <<CONF
ticket = "T"
expire = 600
timeout = 1
retries = 3
renewal-freq = 300
CONF
done

start() { # WHO COMMAND...
  local who=$1; shift
  local log=/dev/null
  [ -z "${LOGS:-}" ] || log=$LOGS/$who.log
  "$@" >"$log" 2>&1 &
  pid[$who]=$!
}
resident() { awk '/^VmRSS/ { print $2 }' "/proc/${pid[$1]}/status"; }
wakeups() { awk '/^voluntary/ { print $2 }' "/proc/${pid[$1]}/status"; }
cpu_ns() { # of the whole process; the reference and ours have one thread each
  cut -d' ' -f1 "/proc/${pid[$1]}/schedstat"
}
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

for who in "${subjects[@]}"; do
  command=("$release/boothd")
  [ "$who" = ours ] || command=(env LD_PRELOAD="$dir/netlink_done.so" "$reference")
  start "$who" "${command[@]}" daemon -S -c "$dir/$who.conf" -l "$dir/$who/lock"
done
for who in bare batch; do start $who "$load" $who "127.0.77.4:${port[$who]}" "$dir/key"; done
# The other members are down: each daemon asks for their tickets for timeout * (retries + 1), then rests.
sleep 7
for who in "${subjects[@]}"; do
  kill -0 "${pid[$who]}" 2>/dev/null || fail "$who ended (set LOGS to see why)"
done

declare -A rss_start rss_load before wakes cpu
for who in "${subjects[@]}"; do
  rss_start[$who]=$(resident "$who")
  before[$who]=$(wakeups "$who")
done
sleep "$idle"
for who in "${subjects[@]}"; do
  wakes[$who]=$(awk -v n=$(($(wakeups "$who") - before[$who])) -v s="$idle" 'BEGIN { printf "%.1f", n / s }')
done

for round in $(seq "$rounds"); do
  for who in "${subjects[@]}" bare batch; do
    to=$arbitrator
    [[ $who != ba* ]] || to=127.0.77.4
    from=$(cpu_ns "$who")
    said=$("$load" query "$site:${port[$who]}" "$to:${port[$who]}" "$dir/key" T "$queries") ||
      fail "$who: the load was not answered (set LOGS to see why)"
    until=$(cpu_ns "$who")
    answered=${said#answered=} answered=${answered%% *}
    micros=$(awk -v ns=$((until - from)) -v n="$answered" 'BEGIN { printf "%.2f", ns / n / 1000 }')
    echo "$micros" >>"$dir/cpu.$who"
    echo "round $round: $who: $micros us CPU a query ($said)" >&2
  done
done
for who in "${subjects[@]}"; do rss_load[$who]=$(resident "$who"); done
for who in "${subjects[@]}" bare batch; do cpu[$who]=$(median <"$dir/cpu.$who"); done

missed=0
row() { # WHAT REFERENCE OURS TARGET UNIT: ours must not exceed the target
  local verdict=""
  if [ "$3" != - ] && [ "$4" != - ]; then
    verdict=met
    awk -v ours="$3" -v target="$4" 'BEGIN { exit !(ours <= target) }' || { verdict=MISSED missed=1; }
  fi
  printf '%-44s %10s %10s %10s %-5s %s\n' "$1" "$2" "$3" "$4" "$5" "$verdict"
}
kib() { echo $((($(stat -Lc %s "$1") + 1023) / 1024)); }
ours() { [ ${#subjects[@]} -eq 1 ] && echo - || echo "$1"; }
printf '%-44s %10s %10s %10s\n' "arbitrator, signed, $(nproc) cores" reference ours "at most"
row "resident after start" "${rss_start[reference]}" "$(ours "${rss_start[ours]:-}")" $max_resident KiB
row "resident after load" "${rss_load[reference]}" "$(ours "${rss_load[ours]:-}")" $max_resident KiB
row "binary" "$(kib "$reference")" "$(ours "$(kib "$release/boothd")")" $max_binary KiB
row "wake-ups, idle for $idle s" "${wakes[reference]}" "$(ours "${wakes[ours]:-}")" $max_wakeups /s
row "CPU a status query (median of $rounds)" "${cpu[reference]}" "$(ours "${cpu[ours]:-}")" - us
row "  a bare loop" "" "${cpu[bare]}" - us
row "  a bare loop, 32 datagrams a system call" "" "${cpu[batch]}" - us
ratio=-
[ ${#subjects[@]} -eq 1 ] || ratio=$(awk -v a="${cpu[ours]}" -v b="${cpu[reference]}" 'BEGIN { printf "%.2f", a / b }')
row "  ours by the reference's" "" "$ratio" $max_cpu ""
exit $missed
