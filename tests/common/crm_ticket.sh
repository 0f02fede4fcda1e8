#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Stand-in for Pacemaker's crm_ticket, for the live tests: one host's tickets in the directory
# CRM_TICKET_DIR, one directory a ticket, one file an attribute. Each change of the grant is one line in
# CRM_TICKET_DIR/history: seconds since the epoch, ticket, "granted" or "revoked". Each call is a line in
# CRM_TICKET_DIR/calls. While CRM_TICKET_DIR/fail exists each write fails, while CRM_TICKET_DIR/flaky exists
# every second one, and all that has to do with the ticket that CRM_TICKET_DIR/hang names hangs.

dir=${CRM_TICKET_DIR:?the directory of this host}
echo "$(date +%s.%N) $*" >>"$dir/calls"

ticket= verb= force= pending= query= quiet= drop=
pairs=$dir/pairs.$$
trap 'rm -f "$pairs"' EXIT
while [ $# -gt 0 ]; do
    case $1 in
    -t | --ticket) ticket=$2; shift ;;
    --ticket=*) ticket=${1#*=} ;;
    -g | --grant) verb=granted ;;
    -r | --revoke) verb=revoked ;;
    -f | --force) force=1 ;;
    -q | --query-xml) query=xml ;;
    -G | --get-attr) query=$2; shift ;;
    --get-attr=*) query=${1#*=} ;;
    -S | --set-attr) pending=$2; shift ;;
    --set-attr=*) pending=${1#*=} ;;
    -v | --attr-value) printf '%s=%s\n' "$pending" "$2" >>"$pairs"; shift ;;
    --attr-value=*) printf '%s=%s\n' "$pending" "${1#*=}" >>"$pairs" ;;
    -v?*) printf '%s=%s\n' "$pending" "${1#-v}" >>"$pairs" ;;
    -D | --delete-attr) drop=$2; shift ;;
    --delete-attr=*) drop=${1#*=} ;;
    -Q | --quiet) quiet=1 ;;
    *) echo "crm_ticket stand-in: unknown option $1" >&2; exit 64 ;;
    esac
    shift
done
while [ -e "$dir/hang" ] && [ "$(cat "$dir/hang")" = "$ticket" ]; do sleep 0.2; done
# Ticket names may hold '/'.
state=$dir/$(printf %s "$ticket" | tr / ,)

case $query in
xml)
    [ -d "$state" ] || exit 6
    printf 'State XML:\n\n<ticket_state id="%s"' "$ticket"
    for file in "$state"/*; do
        [ -f "$file" ] && printf ' %s="%s"' "${file##*/}" "$(cat "$file")"
    done
    printf '/>\n'
    exit 0
    ;;
?*)
    [ -f "$state/$query" ] || exit 6
    cat "$state/$query"
    echo
    exit 0
    ;;
esac

# Pacemaker asks for confirmation where a grant or a revoke is not forced.
[ -z "$verb" ] || [ -n "$force" ] || exit 4
[ ! -e "$dir/fail" ] || exit 1
if [ -e "$dir/flaky" ] && ! rmdir "$dir/flaky.failed" 2>/dev/null; then
    mkdir "$dir/flaky.failed"
    exit 1
fi
mkdir -p "$state"
[ -z "$drop" ] || rm -f "$state/$drop"
if [ -s "$pairs" ]; then
    while IFS='=' read -r name value; do
        printf %s "$value" >"$state/.new.$$" && mv "$state/.new.$$" "$state/$name"
    done <"$pairs"
fi
case $verb in
granted)
    printf true >"$state/granted"
    date +%s >"$state/last-granted"
    ;;
revoked) printf false >"$state/granted" ;;
esac
[ -z "$verb" ] || echo "$(date +%s.%N) $ticket $verb" >>"$dir/history"
exit 0
