#!/bin/bash
# Takes new sessions again.
. ./bundle.sh
. ./admin.sh
admin accept_new_sessions ',"accept":true' >/dev/null || unwell "no answer on port ${ADMIN_PORT:-7088}"
echo "open $TRUNKLINE_MACHINE"
