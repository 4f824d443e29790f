#!/bin/bash
# From now on new sessions get error 472; those that are there go on. A restart ends the draining, and so does undrain.sh.
. ./bundle.sh
. ./admin.sh
admin accept_new_sessions ',"accept":false' >/dev/null || unwell "no answer on port ${ADMIN_PORT:-7088}"
echo "draining $TRUNKLINE_MACHINE"
