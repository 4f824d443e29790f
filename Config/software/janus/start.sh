#!/bin/bash
# Becomes Janus, in the foreground.
set -euo pipefail
. ./bundle.sh
export BIND=${BIND:-127.0.0.1} HTTP_PORT=${HTTP_PORT:-8088} ADMIN_PORT=${ADMIN_PORT:-7088}
run=$TRUNKLINE_RUN
port HTTP_PORT
port ADMIN_PORT
begin

# Janus loads whatever lies in these directories: only what the service needs is linked in.
mkdir -p "$run/config" "$run/plugins" "$run/transports" "$run/none"
libraries=
for directory in /usr/lib/*/janus /usr/lib/janus; do
  [[ -d $directory/plugins ]] && libraries=$directory && break
done
[[ -n $libraries ]] || { echo "Janus is not installed: no /usr/lib/*/janus/plugins" >&2; exit 1; }
ln -s "$libraries/plugins/libjanus_echotest.so" "$libraries/plugins/libjanus_videoroom.so" "$run/plugins/"
ln -s "$libraries/transports/libjanus_http.so" "$run/transports/"

# Janus reads no environment: the templates' @NAMES@ are filled in here.
for template in *.jcfg; do
  text=$(<"$template")
  for name in BIND HTTP_PORT ADMIN_PORT; do text=${text//@$name@/${!name}}; done
  text=${text//@MACHINE@/$TRUNKLINE_MACHINE}
  text=${text//@INSTANCE@/$TRUNKLINE_INSTANCE}
  text=${text//@CONTROL@/$TRUNKLINE_CONTROL}
  printf '%s\n' "${text//@RUN@/$run}" >"$run/config/$template"
done
# -o: no colours. SIGHUP and SIGUSR1 would kill it.
exec janus -o -F "$run/config" -C "$run/config/janus.jcfg"
