#!/bin/bash
# Becomes Kamailio, in the foreground.
set -euo pipefail
umask 077
export BIND=${BIND:-127.0.0.1} SIP_PORT=${SIP_PORT:-5060}
instance=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
control=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
# Health names this start of it, so that no earlier one can answer in its place; drain needs the other word.
printf '%s\n' "$instance" >"$TRUNKLINE_RUN/instance"
printf '%s\n' "$control" >"$TRUNKLINE_RUN/control"
printf '%s\n' "$$" >"$TRUNKLINE_RUN/pid"
export TRUNKLINE_INSTANCE=$instance TRUNKLINE_CONTROL=$control
PATH=$PATH:/usr/sbin:/sbin

# TCP beside UDP is more than a second transport: two processes may bind one UDP port and neither is told, while the
# TCP port makes the second exit at once. One worker for UDP (-n 1): with two, 180 and 200 change places now and then.
# 128 MiB of shared memory are only reserved; 32 MiB run out after 1,350 quick calls.
exec kamailio -f "$PWD/kamailio.cfg" -DD -E -Y "$TRUNKLINE_RUN" -w "$TRUNKLINE_RUN" \
  -l "udp:$BIND:$SIP_PORT" -l "tcp:$BIND:$SIP_PORT" -n 1 -N 1 -m 128 -M 4
