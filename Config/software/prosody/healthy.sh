#!/bin/bash
# Exits with 0 when this very instance answers and finds itself well. Prosody stays up when its port is taken or its
# data cannot be written, so the module in modules/ looks at both.
. ./bundle.sh
recall instance
answer=$(ask "${HTTP_PORT:-5280}" "GET /healthz") || unwell "no good answer on port ${HTTP_PORT:-5280}"
[[ $answer == "ok $TRUNKLINE_MACHINE $instance" ]] || unwell "another instance answers on port ${HTTP_PORT:-5280}"
