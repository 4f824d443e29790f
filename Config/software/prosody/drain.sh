#!/bin/bash
# From now on logins get `temporary-auth-failure`; who is logged in goes on. A restart ends the draining, and so does undrain.sh.
. ./bundle.sh
recall control
ask "${HTTP_PORT:-5280}" "POST /drain" "" "X-Control: $control" || unwell "no answer on port ${HTTP_PORT:-5280}"
