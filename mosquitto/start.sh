#!/bin/sh
# start.sh DIR PORT [--no-persistence]: a private broker on 127.0.0.1:PORT that keeps its data in DIR; runs in the foreground.
set -eu

usage() {
    echo "usage: start.sh DIR PORT [--no-persistence]" >&2
    exit 2
}

[ $# -ge 2 ] && [ $# -le 3 ] || usage
persistence=true
if [ $# -eq 3 ]; then
    [ "$3" = "--no-persistence" ] || usage
    persistence=false
fi
case $2 in '' | *[!0-9]*) usage ;; esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
mkdir -p -- "$1"
data=$(CDPATH='' cd -- "$1" && pwd)

# Debian puts the broker where an ordinary user's PATH does not look.
PATH=$PATH:/usr/sbin:/usr/local/sbin
if ! command -v mosquitto >/dev/null; then
    echo "start.sh: mosquitto is not installed (apt-get install mosquitto)" >&2
    exit 1
fi

# A root broker would change to the user `mosquitto`, who may not write in DIR.
{
    echo "# Written by start.sh; edit trunkline.conf beside it instead."
    if [ "$(id -u)" -eq 0 ]; then echo "user root"; fi
    cat -- "$here/trunkline.conf"
    echo "listener $2 127.0.0.1"
    echo "persistence $persistence"
    if [ "$persistence" = true ]; then echo "persistence_location $data/"; fi
} >"$data/mosquitto.conf"

exec mosquitto -c "$data/mosquitto.conf"
