#!/bin/bash
# sessions: clients connected. rooms: video rooms. draining: 0 or 1.
. ./bundle.sh
. ./admin.sh
answer=$(admin list_sessions) || unwell "no answer on port ${ADMIN_PORT:-7088}"
list=${answer#*\"sessions\"*[}
list=${list%%]*}
numbers=(${list//[^0-9]/ })
echo "sessions ${#numbers[@]}"

answer=$(admin message_plugin ',"plugin":"janus.plugin.videoroom","request":{"request":"list"}') || exit 1
rooms=${answer//\"room\":/$'\x01'}
rooms=${rooms//[^$'\x01']/}
echo "rooms ${#rooms}"

answer=$(ask "${HTTP_PORT:-8088}" "GET /janus/info") || exit 1
[[ $answer == *'"accepting-new-sessions": true'* ]] && echo "draining 0" || echo "draining 1"
