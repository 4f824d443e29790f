#!/bin/bash
# Becomes Kamailio, in the foreground.
set -euo pipefail
. ./bundle.sh
export BIND=${BIND:-127.0.0.1} SIP_PORT=${SIP_PORT:-5060}
port SIP_PORT
begin
PATH=$PATH:/usr/sbin:/sbin

# TCP beside UDP is more than a second transport: two processes may bind one UDP port and neither is told, while the
# TCP port makes the second exit at once. One worker for UDP (-n 1): with two, 180 and 200 change places now and then.
# 128 MiB of shared memory are only reserved; 32 MiB run out after 1,350 quick calls.
exec kamailio -f "$PWD/kamailio.cfg" -DD -E -Y "$TRUNKLINE_RUN" -w "$TRUNKLINE_RUN" \
  -l "udp:$BIND:$SIP_PORT" -l "tcp:$BIND:$SIP_PORT" -n 1 -N 1 -m 128 -M 4
