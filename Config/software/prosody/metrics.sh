#!/bin/bash
# sessions: users logged in. messages: handled since the start. draining: 0 or 1.
. ./bundle.sh
ask "${HTTP_PORT:-5280}" "GET /metrics"
