#!/bin/bash
# Becomes Prosody, in the foreground.
set -euo pipefail
. ./bundle.sh
export BIND=${BIND:-127.0.0.1} XMPP_PORT=${XMPP_PORT:-5222} HTTP_PORT=${HTTP_PORT:-5280} REALM=${REALM:-example.net}
port XMPP_PORT
port HTTP_PORT
begin
# It complains that lua-unbound is missing: that is for looking up other servers, and this sample talks to none.
exec prosody -F --config "$PWD/prosody.cfg.lua"
