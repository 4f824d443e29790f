#!/bin/bash
# Takes new calls, messages and OPTIONS again.
. ./bundle.sh
recall control
ask "${SIP_PORT:-5060}" "POST /undrain" "" "X-Control: $control" || unwell "no answer on TCP port ${SIP_PORT:-5060}"
