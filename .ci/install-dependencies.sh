#!/usr/bin/env bash
# Installs, with apt, what is missing of what Trunkline needs beside the Swift toolchain. When nothing is missing it
# does nothing, in some milliseconds and without the network.
#
# Debian starts a service as soon as it is installed. Ours are programs that Trunkline starts itself, so the system's
# own copies are kept from starting while this runs, by a policy-rc.d that is taken away again (one that was there is
# put back). A service that was running or was installed before is left as it is.
set -euo pipefail

packages=(
  mosquitto mosquitto-clients       # the broker, and mosquitto_sub to watch it
  libmosquitto-dev libssl-dev zlib1g-dev libzstd-dev libsqlite3-dev pkg-config # to build
  kamailio sip-tester sipsak        # voice, and its clients
  prosody                           # messaging
  janus                             # video
  redis-server nginx-light          # go to the background, as many programs do: for the tests
  haproxy postgresql-15 libnss-wrapper # refuse root, fork workers, want a name: for the tests
  zstd                              # tar wants it for bundles: for the tests
  dpkg-dev man-db                   # to make packages, and to read their pages: for the tests
  python3 python3-venv curl ca-certificates openssl procps make git
)
# A kernel as a program, which has the controllers of control groups that a host may lack: for the tests.
[[ $(dpkg --print-architecture 2>/dev/null) != amd64 ]] || packages+=(user-mode-linux)
services="mosquitto kamailio prosody janus redis-server nginx haproxy postgresql"

fail() {
  printf 'install-dependencies: %s\n' "$@" >&2
  exit 1
}

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  fail "this is no Debian. Install by hand what these Debian packages hold: ${packages[*]}"

missing_packages() {
  local installed
  # Names that dpkg has never heard of are its only reason to fail, and just what is wanted here.
  installed=$(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
  for package in "${packages[@]}"; do
    [[ $'\n'$installed$'\n' == *$'\n'"$package installed"$'\n'* ]] || printf '%s\n' "$package"
  done
}

mapfile -t missing < <(missing_packages)
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $EUID -ne 0 ]]; then
  command -v sudo >/dev/null ||
    fail "missing: ${missing[*]}" "As root: apt-get install --no-install-recommends ${missing[*]}"
  echo "Missing: ${missing[*]}. Installing with sudo." >&2
  exec sudo -- "$(readlink -f "$0")"
fi

# Two copies at once would take each other's policy for one that was there before.
exec 9>/run/lock/trunkline-dependencies.lock
flock 9
mapfile -t missing < <(missing_packages)
[[ ${#missing[@]} -gt 0 ]] || exit 0

policy=/usr/sbin/policy-rc.d
saved=$policy.before-trunkline
# A run that was killed has left its policy behind.
if [[ -e $policy ]] && grep -q '^# trunkline$' "$policy"; then
  rm -f "$policy"
  if [[ -e $saved ]]; then mv "$saved" "$policy"; fi
fi
restore() {
  rm -f "$policy"
  if [[ -e $saved || -L $saved ]]; then mv "$saved" "$policy"; fi
}
if [[ -e $policy || -L $policy ]]; then mv "$policy" "$saved"; fi
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cat >"$policy" <<POLICY
#!/bin/sh
# trunkline
case " $services " in *" \$1 "*) exit 101 ;; esac
[ -x $saved ] && exec $saved "\$@"
exit 0
POLICY
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
echo "Installing: ${missing[*]}" >&2
"${apt[@]}" update >&2 || echo "install-dependencies: apt-get update failed; trying with the lists that are here" >&2
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >&2 9>&- ||
  fail "apt-get could not install: ${missing[*]}" "Its own words are above."

if [[ -d /run/systemd/system ]]; then
  for service in $services; do
    if [[ " ${missing[*]} " == *" $service "* ]]; then
      echo "Note: Debian starts its own $service at the next boot. Not needed here: systemctl disable $service" >&2
    fi
  done
fi
