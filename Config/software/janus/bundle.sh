# Sourced by the bundle's scripts. Every bundle stands alone, and so has its own copy of this file.

# `begin` writes down who this start is, before start.sh becomes the program: `instance` is what health has to hear, so
# that no earlier start can answer in its place; `control` is what a request to drain has to know.
begin() {
  umask 077
  TRUNKLINE_INSTANCE=$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
  TRUNKLINE_CONTROL=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  export TRUNKLINE_INSTANCE TRUNKLINE_CONTROL
  printf '%s\n' "$TRUNKLINE_INSTANCE" >"$TRUNKLINE_RUN/instance"
  printf '%s\n' "$TRUNKLINE_CONTROL" >"$TRUNKLINE_RUN/control"
  printf '%s\n' "$$" >"$TRUNKLINE_RUN/pid"
}

# `port NAME` refuses what is no port. Programs (and /dev/tcp) take 70000 for 4464 without a word.
port() {
  [[ ${!1-} =~ ^[1-9][0-9]{0,4}$ && ${!1} -le 65535 ]] || unwell "$1 is not a port: '${!1-}'"
}

# `recall instance` sets $instance to the word that `begin` wrote; likewise $control.
recall() {
  { read -r "$1" <"$TRUNKLINE_RUN/$1"; } 2>/dev/null || unwell "not started"
}

# `ask PORT "METHOD PATH" [BODY] [HEADER]` prints the body of the answer; succeeds when the status is 200.
# In bash alone: a check runs every second on every machine, and machines need neither curl nor python for it.
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

# Ends the script as a failure, and says why.
unwell() {
  printf '%s\n' "$*"
  exit 1
}
