#!/bin/bash
# Takes logins again.
. ./bundle.sh
recall control
ask "${HTTP_PORT:-5280}" "POST /undrain" "" "X-Control: $control" || unwell "no answer on port ${HTTP_PORT:-5280}"
