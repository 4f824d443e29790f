# Sourced. `ask PORT "METHOD PATH" [BODY] [HEADER]` prints the body of the answer; succeeds when the status is 200.
# In bash alone: a check runs every second on every machine, and machines need neither curl nor python for it.
# Every bundle stands alone and so has its own copy of this file.
ask() {
  local host=${BIND:-127.0.0.1} port=$1 request=$2 body=${3-} header=${4-} answer status=0
  [[ $host == 0.0.0.0 ]] && host=127.0.0.1
  { exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null || return 1
  # HTTP/1.0: the server closes after its answer, and never sends it in chunks.
  printf '%s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\nContent-Length: %d\r\n%s\r\n%s' \
    "$request" "$host" "${#body}" "${header:+$header$'\r\n'}" "$body" >&3 || return 1
  # Reads to the end of the stream (which is status 1); above 128 it is the time that ended.
  IFS= read -r -d '' -t 0.7 answer <&3 || status=$?
  exec 3<&-
  [[ $status -le 128 && $answer == HTTP/1.[01]" 200 "* ]] || return 1
  printf '%s\n' "${answer#*$'\r\n\r\n'}"
}

# The process that start.sh became is alive under its own name; a zombie is not (`kill -0` would say that it is).
alive() {
  local pid stat
  { read -r pid <"$TRUNKLINE_RUN/pid" && read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 1
  [[ $stat == "$pid ($1) "[!ZX]* ]]
}

unwell() {
  printf '%s\n' "$*"
  exit 1
}
