# Completion for bash: booth, boothd, boothctl, geostore. The cases are made from src/cli/table.rs
# (tests/manual.rs); the rest is written by hand and needs nothing but bash and sed.

# The values of a key in the configuration that the line names.
_booth_names() {
  local key=$1 config=/etc/booth/booth.conf at
  for ((at = 1; at < COMP_CWORD; at++)); do
    case ${COMP_WORDS[at]} in
      -c | --config) config=${COMP_WORDS[at + 1]} ;;
    esac
  done
  case $config in
    */*) ;;
    *) config=/etc/booth/$config.conf ;;
  esac
  sed -n "s/^[[:space:]]*${key}[[:space:]]*=[[:space:]]*\"\{0,1\}\([^\" ]*\).*/\1/p" "$config" 2>/dev/null |
    grep -vx __defaults__
}

_booth() {
  local program=${1##*/} current=$2 previous=$3 words='' operand=''
  local verb=${COMP_WORDS[1]}
  [ "$program" = boothd ] && program=booth
  [ "$COMP_CWORD" -le 1 ] && verb=''
  case $program:$verb in
    # table: bash booth
    booth:) words='list grant revoke peers status daemon kdump help version' ;;
    booth:list) words='-h --help -c --config -s --site' ;;
    booth:grant) words='-h --help -c --config -t --ticket -s --site -F --force -w --wait -C --commit' operand=ticket ;;
    booth:revoke) words='-h --help -c --config -t --ticket -s --site -w --wait' operand=ticket ;;
    booth:peers) words='-h --help -c --config -s --site' ;;
    booth:status) words='-h --help -c --config -l --lock-file -D --debug' ;;
    booth:daemon) words='-h --help -c --config -l --lock-file -S --foreground -D --debug -s --site' ;;
    booth:kdump) words='-h --help -c --config -l --lock-file -S --foreground -D --debug' ;;
    booth:help) words='-h --help' ;;
    booth:version) words='-h --help' ;;
    # table: end
    # table: bash boothctl
    boothctl:) words='list grant revoke peers status stats daemon guard kdump check demo help version' ;;
    boothctl:list) words='-h --help -c --config -s --site' ;;
    boothctl:grant) words='-h --help -c --config -t --ticket -s --site -F --force -w --wait -C --commit' operand=ticket ;;
    boothctl:revoke) words='-h --help -c --config -t --ticket -s --site -w --wait' operand=ticket ;;
    boothctl:peers) words='-h --help -c --config -s --site' ;;
    boothctl:status) words='-h --help -c --config -l --lock-file -D --debug' ;;
    boothctl:stats) words='-h --help -c --config -l --lock-file' ;;
    boothctl:daemon) words='-h --help -c --config -l --lock-file -S --foreground -D --debug -s --site' ;;
    boothctl:guard) words='-h --help -c --config -l --lock-file -w --wait' ;;
    boothctl:kdump) words='-h --help -c --config -l --lock-file -T --timeout' ;;
    boothctl:check) words='-h --help -c --config' operand=file ;;
    boothctl:demo) words='-h --help' ;;
    boothctl:help) words='-h --help' ;;
    boothctl:version) words='-h --help' ;;
    # table: end
    # table: bash geostore
    geostore:) words='list set get delete help version' ;;
    geostore:list) words='-h --help -c --config -t --ticket -s --site' ;;
    geostore:set) words='-h --help -c --config -t --ticket -s --site' ;;
    geostore:get) words='-h --help -c --config -t --ticket -s --site' ;;
    geostore:delete) words='-h --help -c --config -t --ticket -s --site' ;;
    geostore:help) words='-h --help' ;;
    geostore:version) words='-h --help' ;;
    # table: end
  esac
  case $previous in
    -c | --config | -l | --lock-file) operand=file words='' ;;
    -t | --ticket) operand=ticket words='' ;;
    -s | --site) operand=member words='' ;;
    *)
      # Options only where one has been begun, operands else.
      case $current in
        -*) operand='' ;;
        *) [ -z "$verb" ] || words='' ;;
      esac
      ;;
  esac
  case $operand in
    ticket) words=$(_booth_names ticket) ;;
    member) words="other $(_booth_names site) $(_booth_names arbitrator)" ;;
  esac
  if [ "$operand" = file ]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}

complete -F _booth booth boothd boothctl geostore
