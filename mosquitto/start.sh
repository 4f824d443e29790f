#!/bin/bash
# Private brokers on 127.0.0.1 that keep their data in DIR; runs in the foreground until SIGTERM, SIGINT or the end of its terminal.
#
#   start.sh DIR PORT BOOT-PORT CERTIFICATES [--no-persistence]
#       TLS 1.3, two processes: the known broker for machines and the manager with certificates on PORT (DIR/known), the boot broker
#       for booting machines on BOOT-PORT (DIR/boot). CERTIFICATES is the directory `broker` that the manager makes in its data
#       directory; this waits until it is there, and takes what is new in it at SIGHUP.
#   start.sh DIR PORT --insecure [--no-persistence]
#       plain MQTT for everybody who reaches PORT: for trying things out only.
#
# TRUNKLINE_BOOT_VISIT=3600: the boot broker begins anew after so many seconds (at least 5), so that nobody stays there for longer.
#
# What cannot start ends this. Later a broker that ends is started again, since the other one must not suffer.
set -euo pipefail

# Whoever started this with nohup ignores SIGHUP, which a shell can't undo for itself: then no broker would hear of revocations.
ignored=$(sed -n 's/^SigIgn:.*\(.\)$/\1/p' "/proc/$$/status")
if [ $((16#${ignored:-0} & 1)) -eq 1 ]; then exec env --default-signal=HUP bash "$0" "$@"; fi

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
    certificates='' names=(known)
    shift 3
else
    [ $# -ge 4 ] || usage
    boot=$3 certificates=$4 names=(known boot)
    number "$boot"
    shift 4
fi
persistence=true
if [ $# -gt 0 ]; then
    [ $# -eq 1 ] && [ "$1" = --no-persistence ] || usage
    persistence=false
fi

visit=${TRUNKLINE_BOOT_VISIT:-3600}
number "$visit"
if [ "$visit" -lt 5 ]; then usage; fi

# Debian puts the broker where an ordinary user's PATH does not look.
PATH=$PATH:/usr/sbin:/usr/local/sbin
for needed in mosquitto setpriv; do
    command -v "$needed" >/dev/null && continue
    echo "start.sh: $needed is not installed (apt-get install mosquitto util-linux)" >&2
    exit 1
done

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
umask 077
# Brokers go with this script, however it ends, and are never root. What they read stays root's.
run=(setpriv --no-new-privs --pdeathsig TERM)
owner='' group=''
if [ "$(id -u)" -eq 0 ]; then
    owner=nobody
    if id mosquitto >/dev/null 2>&1; then owner=mosquitto; fi
    group=$(id -g "$owner")
    run+=(--reuid "$(id -u "$owner")" --regid "$group" --clear-groups)
fi

# What comes on standard input becomes a file that the broker may read.
put() {
    cat >"$data/$1.new"
    if [ -n "$group" ]; then chgrp -- "$group" "$data/$1.new" && chmod 0640 -- "$data/$1.new"; fi
    mv -f -- "$data/$1.new" "$data/$1"
}

copy_certificates() {
    local file
    for file in trust.pem broker.pem crl.pem; do put "known/$file" <"$certificates/$file"; done
    put boot/broker.pem <"$certificates/broker.pem"
    put boot/passwords <"$certificates/boot.passwords"
}

mkdir -p -- "$dir"
data=$(CDPATH='' cd -- "$dir" && pwd)
for name in "${names[@]}"; do
    mkdir -p -- "$data/$name"
    if [ -n "$group" ]; then chgrp -- "$group" "$data/$name" && chmod 0750 -- "$data/$name"; fi
done
mkdir -p -- "$data/known/data"
if [ -n "$owner" ]; then chown -R -- "$owner:$group" "$data/known/data"; fi

if [ -n "$certificates" ]; then
    # The manager writes the list of revoked certificates last.
    if ! [ -f "$certificates/crl.pem" ] || ! [ -f "$certificates/boot.passwords" ]; then
        echo "start.sh: waiting for the manager to make the certificates in $certificates" >&2
        until [ -f "$certificates/crl.pem" ] && [ -f "$certificates/boot.passwords" ]; do sleep 0.05; done
    fi
    certificates=$(CDPATH='' cd -- "$certificates" && pwd)
    copy_certificates
    # Rights for parties of your own, by common name: write them into DIR/acl.local.
    {
        cat -- "$here/acl"
        if [ -f "$data/acl.local" ]; then cat -- "$data/acl.local"; fi
    } | put known/acl
    put boot/acl <"$here/boot.acl"
    sed -e "s|@PORT@|$boot|" -- "$here/boot.conf" | put boot/mosquitto.conf
fi
{
    echo "# Written by start.sh; edit trunkline.conf and tls.conf beside it instead."
    cat -- "$here/trunkline.conf"
    echo "persistence $persistence"
    if [ "$persistence" = true ]; then echo "persistence_location data/"; fi
    if [ -n "$certificates" ]; then
        sed -e "s|@PORT@|$port|" -- "$here/tls.conf"
    else
        echo "start.sh: --insecure: whoever reaches port $port may read and say everything" >&2
        echo "allow_anonymous true"
        echo "listener $port 127.0.0.1"
    fi
} | put known/mosquitto.conf

# Every connection takes a descriptor, and a crowd that says nothing is not to keep machines out: the usual 1,024 are too few.
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || echo "start.sh: the limit of open files stays $(ulimit -S -n)" >&2
# Strangers get no more than these, each with up to 25 KB for TLS that memory_limit does not count.
most_strangers=10000
if [ "$(ulimit -S -n)" != unlimited ] && [ "$(ulimit -S -n)" -lt $most_strangers ]; then most_strangers=$(ulimit -S -n); fi

declare -A pids
launch() {
    (
        # Only from within: what is above DIR may be closed to others.
        cd -- "$data/$1"
        if [ "$1" = boot ]; then
            ulimit -n "$most_strangers"
            # A crowd at the door takes no time from who is inside.
            exec nice -n 5 "${run[@]}" mosquitto -c mosquitto.conf
        fi
        exec "${run[@]}" mosquitto -c mosquitto.conf
    ) &
    pids[$1]=$!
    if [ "$1" = boot ]; then boot_began=$SECONDS; fi
    echo "$!" >"$data/$1/mosquitto.pid"
}

end() {
    trap '' TERM INT HUP
    # Again and again: Mosquitto forgets a SIGTERM that comes just before its loop begins.
    for name in "${names[@]}"; do kill -TERM "${pids[$name]}" 2>/dev/null || true; done
    if [ -n "$certificates" ]; then kill "$timer" 2>/dev/null || true; fi
    for name in "${names[@]}"; do
        while kill -0 "${pids[$name]}" 2>/dev/null; do
            sleep 0.05
            kill -TERM "${pids[$name]}" 2>/dev/null || true
        done
    done
    wait
    for name in "${names[@]}"; do rm -f -- "$data/$name/mosquitto.pid"; done
    if [ -n "$certificates" ]; then rm -f -- "$certificates/mosquitto.pid"; fi
    exit "$1"
}

# A broker that is just starting would die of SIGHUP: it has no handler yet (proc(5), SigCgt).
catches_hangup() {
    local key value
    while read -r key value; do
        if [ "$key" = SigCgt: ]; then return $((!(16#${value: -1} & 1))); fi
    done 2>/dev/null <"/proc/$1/status"
    return 1
}

reload() {
    local name tries
    if [ -n "$certificates" ]; then copy_certificates; fi
    for name in "${names[@]}"; do
        for ((tries = 0; tries < 200; tries++)); do
            if catches_hangup "${pids[$name]}"; then
                kill -HUP "${pids[$name]}" || true
                break
            fi
            sleep 0.01
        done
    done
}

# Who pings, or speaks MQTT 3.1.1 without a keep-alive, may stay at the boot broker for ever: Mosquitto has no limit for that, and where a
# crowd of them has come nobody else gets in. Then all go, as once in a while anyway, and who wants something comes again.
disperse() {
    local files=("/proc/${pids[boot]}/fd"/*)
    if [ ${#files[@]} -ge $((most_strangers * 9 / 10)) ]; then
        echo "start.sh: the boot broker has ${#files[@]} of $most_strangers connections: all of them go" >&2
    elif [ $((SECONDS - boot_began)) -ge "$visit" ]; then
        begins_anew=yes
    else
        return 0
    fi
    kill -TERM "${pids[boot]}" 2>/dev/null || true
}

begins_anew='' tick=$((visit < 30 ? (visit + 1) / 2 : 15))
for name in "${names[@]}"; do launch "$name"; done
if [ -n "$certificates" ]; then
    # Ends the wait below now and then.
    setpriv --pdeathsig TERM sleep "$tick" &
    timer=$!
fi
began=$SECONDS
trap 'end 0' TERM INT
trap reload HUP
# Where the manager finds whom to tell of new certificates and revocations (SIGHUP).
if [ -n "$certificates" ]; then echo $$ >"$certificates/mosquitto.pid"; fi

while :; do
    # Also ends at a signal.
    wait -n || true
    if [ -n "$certificates" ] && ! kill -0 "$timer" 2>/dev/null; then
        disperse
        setpriv --pdeathsig TERM sleep "$tick" &
        timer=$!
    fi
    for name in "${names[@]}"; do
        if kill -0 "${pids[$name]}" 2>/dev/null; then continue; fi
        status=0
        wait "${pids[$name]}" || status=$?
        # One that was killed had started.
        if [ $((SECONDS - began)) -lt 3 ] && [ "$status" -lt 128 ]; then
            echo "start.sh: the $name broker does not start (status $status)" >&2
            end 1
        fi
        if [ "$name" = boot ] && [ -n "$begins_anew" ]; then
            begins_anew=''
        else
            echo "start.sh: the $name broker ended (status $status) and is started again" >&2
            sleep 1
        fi
        launch "$name"
    done
done
