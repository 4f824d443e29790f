#!/bin/bash
# From now on new calls, messages and OPTIONS get 503; calls that are up go on to their end. A restart ends it, and so does undrain.sh.
. ./bundle.sh
recall control
ask "${SIP_PORT:-5060}" "POST /drain" "" "X-Control: $control" || unwell "no answer on TCP port ${SIP_PORT:-5060}"
