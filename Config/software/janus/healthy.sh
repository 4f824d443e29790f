#!/bin/bash
# Exits with 0 when this very instance answers: Janus tells its server name to everybody, and it has this start in it.
. ./bundle.sh
recall instance
answer=$(ask "${HTTP_PORT:-8088}" "GET /janus/info") || unwell "no answer on port ${HTTP_PORT:-8088}"
[[ $answer == *"\"server-name\": \"$TRUNKLINE_MACHINE $instance\""* ]] ||
  unwell "another instance answers on port ${HTTP_PORT:-8088}"
[[ $answer == *'"janus.plugin.videoroom"'* ]] || unwell "the videoroom plugin is not loaded"
