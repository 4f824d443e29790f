#!/bin/sh
# A private broker on 127.0.0.1 that keeps its data in DIR; runs in the foreground.
#
#   start.sh DIR PORT BOOT-PORT CERTIFICATES [--no-persistence]
#       TLS 1.3: machines and the manager on PORT with certificates, booting machines on BOOT-PORT. CERTIFICATES is the
#       directory `broker` that the manager makes in its data directory; this waits until it is there.
#   start.sh DIR PORT --insecure [--no-persistence]
#       plain MQTT for everybody who reaches PORT: for trying things out only.
set -eu

usage() {
    echo "usage: start.sh DIR PORT BOOT-PORT CERTIFICATES [--no-persistence]" >&2
    echo "       start.sh DIR PORT --insecure [--no-persistence]" >&2
    exit 2
}
number() { case $1 in '' | *[!0-9]*) usage ;; esac }

[ $# -ge 3 ] || usage
dir=$1 port=$2
number "$port"
if [ "$3" = --insecure ]; then
    certificates=
    shift 3
else
    [ $# -ge 4 ] || usage
    boot=$3 certificates=$4
    number "$boot"
    shift 4
fi
persistence=true
if [ $# -gt 0 ]; then
    [ $# -eq 1 ] && [ "$1" = --no-persistence ] || usage
    persistence=false
fi

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p -- "$dir"
data=$(CDPATH='' cd -- "$dir" && pwd)

# Debian puts the broker where an ordinary user's PATH does not look.
PATH=$PATH:/usr/sbin:/usr/local/sbin
if ! command -v mosquitto >/dev/null; then
    echo "start.sh: mosquitto is not installed (apt-get install mosquitto)" >&2
    exit 1
fi

if [ -n "$certificates" ]; then
    # The manager writes the list of revoked certificates last.
    if ! [ -f "$certificates/crl.pem" ]; then
        echo "start.sh: waiting for the manager to make the certificates in $certificates" >&2
        until [ -f "$certificates/crl.pem" ]; do sleep 0.05; done
    fi
    certificates=$(CDPATH='' cd -- "$certificates" && pwd)
    # Where the manager finds whom to tell of new certificates and revocations (SIGHUP).
    echo $$ >"$certificates/mosquitto.pid"
    # Nobody has a password; with an empty file whoever names himself a user is refused, which without one he is not.
    : >"$data/passwords"
    # Rights for parties of your own, by common name: write them into DIR/acl.local.
    cat -- "$here/acl" >"$data/acl"
    if [ -f "$data/acl.local" ]; then cat -- "$data/acl.local" >>"$data/acl"; fi
fi

# A root broker would change to the user `mosquitto`, who may not write in DIR.
{
    echo "# Written by start.sh; edit trunkline.conf and tls.conf beside it instead."
    if [ "$(id -u)" -eq 0 ]; then echo "user root"; fi
    cat -- "$here/trunkline.conf"
    echo "persistence $persistence"
    if [ "$persistence" = true ]; then echo "persistence_location $data/"; fi
    if [ -n "$certificates" ]; then
        sed -e "s|@PORT@|$port|; s|@BOOT_PORT@|$boot|; s|@CERTIFICATES@|$certificates|; s|@DATA@|$data|" \
            -- "$here/tls.conf"
    else
        echo "start.sh: --insecure: whoever reaches port $port may read and say everything" >&2
        echo "allow_anonymous true"
        echo "listener $port 127.0.0.1"
    fi
} >"$data/mosquitto.conf"

# Every connection takes a descriptor, and a crowd that says nothing is not to keep machines out: the usual 1,024 are too few.
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || echo "start.sh: the limit of open files stays $(ulimit -S -n)" >&2
exec mosquitto -c "$data/mosquitto.conf"
