#!/bin/bash
# calls: dialogs that are ringing or up. registrations: contacts that can be called. draining: 0 or 1.
. ./bundle.sh
ask "${SIP_PORT:-5060}" "GET /metrics"
