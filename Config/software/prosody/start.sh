#!/bin/bash
# Becomes Prosody, in the foreground.
set -euo pipefail
umask 077
export BIND=${BIND:-127.0.0.1} XMPP_PORT=${XMPP_PORT:-5222} HTTP_PORT=${HTTP_PORT:-5280} REALM=${REALM:-example.net}
instance=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
control=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$instance" >"$TRUNKLINE_RUN/instance"
printf '%s\n' "$control" >"$TRUNKLINE_RUN/control"
printf '%s\n' "$$" >"$TRUNKLINE_RUN/pid"
export TRUNKLINE_INSTANCE=$instance TRUNKLINE_CONTROL=$control
exec prosody -F --config "$PWD/prosody.cfg.lua"
