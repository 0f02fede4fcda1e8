# What goes into a crash kernel's image for fence_kdump_send: read by the hook of initramfs-tools and by the dracut
# module (POSIX sh, sourced). SYSROOT is where the host's files are, by default the host itself.

# Sets fence_kdump_nodes and fence_kdump_args from, the last one first:
#   /etc/default/fence_kdump, /etc/sysconfig/fence_kdump   FENCE_KDUMP_NODES="..." FENCE_KDUMP_ARGS="..."
#   /etc/kdump.conf                                        fence_kdump_nodes ...   fence_kdump_args ...
# FENCE_KDUMP_OPTS, as Pacemaker's clusters on RHEL have it, is another word for FENCE_KDUMP_ARGS.
# Exit status 1: no nodes, so there is nothing to do.
fence_kdump_settings() {
  fence_kdump_nodes='' fence_kdump_args=''
  FENCE_KDUMP_NODES='' FENCE_KDUMP_ARGS='' FENCE_KDUMP_OPTS=''
  for file in "${SYSROOT-}/etc/default/fence_kdump" "${SYSROOT-}/etc/sysconfig/fence_kdump"; do
    # shellcheck disable=SC1090
    [ -r "$file" ] && . "$file"
  done
  fence_kdump_nodes=$FENCE_KDUMP_NODES
  fence_kdump_args=${FENCE_KDUMP_ARGS:-$FENCE_KDUMP_OPTS}
  if [ -r "${SYSROOT-}/etc/kdump.conf" ]; then
    # As RHEL's kdump reads it: what follows a # is text, wherever it stands.
    while read -r key value; do
      case $key in
        fence_kdump_nodes) fence_kdump_nodes=$value ;;
        fence_kdump_args) fence_kdump_args=$value ;;
      esac
    done <<END
$(sed 's/#.*//' "${SYSROOT-}/etc/kdump.conf")
END
  fi
  [ -n "$fence_kdump_nodes" ]
}

# Prints the file that -k names in fence_kdump_args, if any.
fence_kdump_key() {
  set -f
  # shellcheck disable=SC2086
  set -- $fence_kdump_args
  set +f
  while [ $# -gt 0 ]; do
    option=$1
    # -v may stand before it in the same word, and long options may be cut off.
    while [ "${option#-v}" != "$option" ]; do
      option=-${option#-v}
    done
    case $option in
      -k | --k | --ke | --key) printf '%s\n' "${2-}" ;;
      --k=* | --ke=* | --key=*) printf '%s\n' "${option#*=}" ;;
      -k*) printf '%s\n' "${option#-k}" ;;
    esac
    shift
  done | tail -n 1
}

# Prints the sender's command line: a signed message has to name this host, whose name the crash kernel does not know.
fence_kdump_command() {
  if [ -n "$(fence_kdump_key)" ]; then
    printf '%s ' "-n $(uname -n)"
  fi
  printf '%s %s\n' "$fence_kdump_args" "$fence_kdump_nodes"
}

# Prints the nodes as lines of /etc/hosts: there is no name service in the image.
fence_kdump_hosts() {
  for node in $fence_kdump_nodes; do
    getent ahosts "$node" | awk -v node="$node" '$1 != node && !seen[$1]++ { print $1, node }'
  done
}

# Prints the ways to the nodes: the link's MAC and name, our address with its prefix, the node, the router or nothing.
# A link without a device (a bridge, a bond, a VLAN) is none: its MAC is its cards' too, and they would get its address.
# Complains of it.
fence_kdump_routes() {
  for node in $fence_kdump_nodes; do
    getent ahosts "$node" | awk '!seen[$1]++ { print $1 }'
  done | while read -r address; do
    ip -o route get "$address" 2>/dev/null | while read -r line; do
      link=$(expr "$line" : '.* dev \([^ ]*\)') || continue
      if [ ! -e "/sys/class/net/$link/device" ]; then
        # lo: this host itself.
        [ "$link" = lo ] ||
          echo "fence_kdump_send: $link is no network card; messages to $address wait until others set it up" >&2
        continue
      fi
      source=$(expr "$line" : '.* src \([^ ]*\)') || continue
      router=$(expr "$line" : '.* via \([^ ]*\)') || router=''
      prefix=$(ip -o address show dev "$link" | awk -v source="$source" \
        '{ split($4, part, "/"); if (part[1] == source) { print part[2]; exit } }')
      mac=$(ip -o link show dev "$link" | sed -n 's|.* link/ether \([^ ]*\).*|\1|p')
      [ -z "$prefix" ] || [ -z "$mac" ] || echo "$mac $link $source/$prefix $address $router"
    done
  done
}

# Prints the drivers of the cards on these ways, where they are modules.
fence_kdump_drivers() {
  fence_kdump_routes 2>/dev/null | awk '{ print $2 }' | sort -u | while read -r link; do
    if driver=$(readlink "/sys/class/net/$link/device/driver/module"); then
      basename "$driver"
    fi
  done
}

# Has the sender look at its command line while somebody reads what it says: in the crash kernel nobody does, and with a
# wrong option it sends nothing there. (It answers -V when all before that is right.)
fence_kdump_check() {
  case " $fence_kdump_args " in
    # Behind that -V would be a node.
    *' -- '*) return ;;
  esac
  # shellcheck disable=SC2046
  "${SYSROOT-}/usr/libexec/fence_kdump_send" $(fence_kdump_command) -V >/dev/null ||
    echo "fence_kdump_send: the crash kernel will send nothing: '$(fence_kdump_command)' is refused" >&2
}
