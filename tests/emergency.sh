#!/bin/sh
# Runs a command on a host in an emergency, without a person at the keyboard.
#
#   emergency.sh HOST ROLE REASON COMMAND...
#
# DAYPASS_SERVER names the server, and DAYPASS_CA_FILE its private CA. DAYPASS_EMERGENCY_KEY names a
# registered key, for the day when the identity provider is down. Without it, the session of
# `daypass login` is used. Exits with the command's code, or 3 denied, 4 sign in needed, 6 server
# unreachable or page not acknowledged.
set -eu

host=$1 role=$2 reason=$3
shift 3

job=$(mktemp -d)
trap 'rm -rf "$job"' EXIT

code=0
daypass pass --emergency --no-input --format json \
    --host "$host" --role "$role" --reason "$reason" --out "$job/pass" >"$job/pass.json" || code=$?
[ "$code" -eq 0 ] || exit "$code" # the reason is on stderr, as one JSON object

# Without the jump pass, which has a serial and a login of its own.
pass=$(sed 's/"jump": *{.*//' "$job/pass.json")
# The serial is the pass's index in the ledger, and the number of the review that another person
# must close.
printf '%s\n' "$pass" | sed -n 's/.*"serial": *\([0-9]*\).*/emergency.sh: pass \1/p' >&2
# The login that the pass is for: your name on this machine may be another one.
login=$(printf '%s\n' "$pass" | sed -n 's/.*"login": *"\([^"]*\)".*/\1/p')

set -- -o BatchMode=yes -o IdentitiesOnly=yes -i "$job/pass" -o CertificateFile="$job/pass-cert.pub" -l "$login" "$host" "$@"
[ ! -e "$job/pass-jump" ] || set -- -o ProxyCommand="daypass jump --pass '$job/pass-jump' '%h' '%p'" "$@" # through a bastion
[ -z "${DAYPASS_SSH_CONFIG:-}" ] || set -- -F "$DAYPASS_SSH_CONFIG" "$@"
ssh "$@" || code=$?
exit "$code"
