# Shared by the scripts of infra/ and by .ci/run. Sourced, never run.
# It may install packages when root; it must never leave a system-wide database or broker running.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
case $target in /*) ;; *) target=$root/$target ;; esac
tools=$root/target/tools
# Where the operator's binary keeps .data, wherever it is called from.
export JIANGHAN_HOME=${JIANGHAN_HOME:-$root}

# Exit codes (sysexits): something this machine lacks; a wrong command line.
readonly EX_UNAVAILABLE=69 EX_USAGE=64

# What compiles once wants no incremental copies, which are as large as all else together.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}

say() { printf '%s\n' "$*" >&2; }

# fail CODE SENTENCE: the only way these scripts give up.
fail() {
    local code=$1
    shift
    say "${0##*/}: $*"
    exit "$code"
}

# say_little_room GIB: says so where less than that is free for what is built, or for what the tests keep for a while.
say_little_room() {
    local folder free
    for folder in "$target" "${TMPDIR:-/tmp}"; do
        [ -d "$folder" ] || folder=$root
        free=$(df --output=avail -k "$folder" | tail -n 1)
        [ "$free" -ge $(($1 * 1024 * 1024)) ] || say "only $((free / 1024)) MiB are free in $folder; $1 GiB or more are needed"
    done
}

# step NAME COMMAND…: runs it, says how it went, counts it and goes on.
passed=0 failed=()
step() {
    local name=$1 start=$SECONDS
    shift
    say "== $name"
    if "$@"; then
        passed=$((passed + 1))
        say "== $name: passed in $((SECONDS - start)) s"
    else
        failed+=("$name")
        say "== $name: FAILED after $((SECONDS - start)) s"
    fi
}

have() { command -v "$1" >/dev/null 2>&1; }
is_root() { [ "$(id -u)" -eq 0 ]; }
packaged() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]; }

# Keeps package scripts from starting daemons and from creating Debian's default cluster, for as long as apt runs.
quiet_begin() {
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        quiet_policy=1
    fi
    mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' >/etc/postgresql-common/createcluster.d/jianghan-install.conf
}
quiet_end() {
    [ -z "${quiet_policy:-}" ] || rm -f /usr/sbin/policy-rc.d
    quiet_policy=
    rm -f /etc/postgresql-common/createcluster.d/jianghan-install.conf
}

# Units of a package just installed for our private use do not start now or at the next boot.
stay_off() {
    local unit
    for unit in "$@"; do
        # What the package's own scripts use: works without a running systemd, too, and upgrades remember it.
        DPKG_MAINTSCRIPT_PACKAGE=${unit%.*} deb-systemd-helper disable "$unit" >/dev/null 2>&1 || true
        [ ! -d /run/systemd/system ] || systemctl --quiet stop "$unit" >/dev/null 2>&1 || true
        case $unit in *.service) update-rc.d "${unit%.service}" disable >/dev/null 2>&1 || true ;; esac
    done
}

# apt_install WHY PACKAGE…: installs what is missing. WHY completes "… is missing: <WHY>" for those who are not root.
apt_install() {
    local why=$1 missing=() package log epmd=
    shift
    have dpkg-query || fail $EX_UNAVAILABLE "this script installs packages with apt only; $why"
    for package in "$@"; do packaged "$package" || missing+=("$package"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    is_root || fail $EX_UNAVAILABLE "${missing[*]} not installed and only root may do it: $why"
    say "installing ${missing[*]} …"
    packaged erlang-base || epmd="epmd.service epmd.socket"
    log=$(mktemp)
    quiet_begin
    trap quiet_end EXIT
    if ! {
        apt-get -o DPkg::Lock::Timeout=300 update &&
            DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"
    } </dev/null >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail $EX_UNAVAILABLE "apt-get could not install ${missing[*]} (its last lines are above, all of them in $log)"
    fi
    quiet_end
    trap - EXIT
    rm -f "$log"
    # shellcheck disable=SC2086 # two words, or none
    case " ${missing[*]} " in *" rabbitmq-server "*) stay_off rabbitmq-server.service $epmd ;; esac
}

# The folder with initdb and postgres: the one that is named, the newest of Debian's that has both (a client alone has neither), or
# the one on PATH.
postgres_bin() {
    local dir=${JIANGHAN_PG_BIN:-} newest=
    [ -z "$dir" ] || { printf '%s\n' "$dir"; return; }
    while read -r dir; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then newest=$dir; fi
    done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V)
    if [ -n "$newest" ]; then
        printf '%s\n' "$newest"
    elif have initdb; then
        dirname "$(readlink -f "$(command -v initdb)")"
    else
        return 1
    fi
}
need_postgres() {
    local dir version
    if ! dir=$(postgres_bin); then
        apt_install "ask an administrator for the package postgresql (15 or newer), or set JIANGHAN_DATABASE_URL to a server of your own." postgresql
        dir=$(postgres_bin) || fail $EX_UNAVAILABLE "postgresql is installed but its initdb was not found under /usr/lib/postgresql."
    fi
    # "postgres (PostgreSQL) 15.8 (Debian …)"
    version=$("$dir/postgres" --version 2>/dev/null | sed -n 's/^[^0-9]*\([0-9][0-9]*\).*/\1/p') || true
    [ "${version:-0}" -ge 15 ] ||
        fail $EX_UNAVAILABLE "PostgreSQL 15 or newer is needed, and the one in $dir is ${version:-none}: install a newer one, set JIANGHAN_PG_BIN to the folder of its programs, or set JIANGHAN_DATABASE_URL to a server of your own."
}
need_rabbitmq() {
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && return
    apt_install "ask an administrator for the package rabbitmq-server, or set JIANGHAN_AMQP_URL to a broker of your own." rabbitmq-server
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || fail $EX_UNAVAILABLE "rabbitmq-server is installed but /usr/lib/rabbitmq/bin/rabbitmq-server is missing."
}
need_rust() {
    have cargo || { [ -x "$HOME/.cargo/bin/cargo" ] && PATH=$HOME/.cargo/bin:$PATH; } ||
        fail $EX_UNAVAILABLE "Rust is not installed: get it from https://rustup.rs, then run this again."
    { have cc && have make; } ||
        apt_install "ask an administrator for the packages gcc, make and libc6-dev: Rust links with them, and the allocator is built with them." gcc make libc6-dev
}
