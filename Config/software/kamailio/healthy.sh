#!/bin/bash
# Exits with 0 when this very instance answers.
. ./bundle.sh
# After `kill -9` of the main process its workers go on answering with the right name: look at the process, too.
alive kamailio || unwell "the main process is gone"
recall instance
answer=$(ask "${SIP_PORT:-5060}" "GET /healthz") || unwell "no answer on TCP port ${SIP_PORT:-5060}"
[[ $answer == "ok $TRUNKLINE_MACHINE $instance" ]] || unwell "another instance answers on TCP port ${SIP_PORT:-5060}"
