#!/bin/bash
# fresh RELEASE: what a newcomer sees. Makes a minimal Debian (debootstrap --variant=minbase) in a directory of its own
# with nothing in it but a clone of HEAD, then runs `./dev run` and `./dev test` there, and prints the times as JSON.
# The apt sources and proxies are those of this machine. Mounts and processes live in namespaces that end with this
# script, so nothing is left behind, however it ends; KEEP=1 keeps the directory. Needs root.
set -euo pipefail

release=$1
source_root=$(cd "$(dirname "$0")/../.." && pwd)

say() {
    printf 'fresh %s, %d s: %s\n' "$release" "$SECONDS" "$*" >&2
}

now_ms() {
    date +%s%3N
}

# Lines "URI LABEL" of the Debian archives this machine's apt uses.
archives() {
    # shellcheck disable=SC2016 # apt-get's own names
    apt-get indextargets --format '$(REPO_URI) $(LABEL)' 'Identifier: Packages' 'Origin: Debian' | sort -u
}

# The sources of this machine, said for the release at hand; its apt settings as they are in force (proxies and such).
write_apt_settings() {
    local root=$1 uri label
    while read -r uri label; do
        case $label in
        Debian)
            echo "deb $uri $release main"
            echo "deb $uri $release-updates main"
            ;;
        Debian-Security) echo "deb $uri $release-security main" ;;
        esac
    done < <(archives) >"$root/etc/apt/sources.list"
    apt-config dump | grep '^Acquire::' | grep -v '^Acquire::IndexTargets' >"$root/etc/apt/apt.conf.d/01host" || true
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

inside() { # a command line in the chroot, with the environment of a login
    local root=$1
    shift
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        chroot "$root" /bin/sh -c "cd /troupe && $*"
}

make_debian() {
    local root=$1 mirror
    mirror=$(archives | awk '$2 == "Debian" {print $1; exit}')
    [ -n "$mirror" ] || { say "this machine's apt has no Debian archive to take it from"; return 1; }
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    debootstrap --variant=minbase ${keyring:+--keyring="$keyring"} "$release" "$root" "$mirror" >"$root.log" 2>&1 || {
        tail -n 20 "$root.log" >&2
        return 1
    }
    write_apt_settings "$root"
}

# From start to the line that tells of the first trial, on stderr or stdout of `./dev run`.
first_trial() {
    local started=$1 line seen=
    while IFS= read -r line; do
        printf '%s\n' "$line" >&2
        if [ -z "$seen" ] && [[ $line =~ ^[[:space:]]*trial ]]; then
            seen=$(($(now_ms) - started))
        fi
    done
    echo "${seen:-0}"
}

in_namespaces() {
    local root=$1 began first run_ms search test_ms passed=true
    mount --make-rprivate /
    say "making a minimal Debian in $root"
    began=$(now_ms)
    make_debian "$root"
    say "made in $((($(now_ms) - began) / 1000)) s; cloning HEAD into it"
    git -c safe.directory='*' clone -q --depth 1 "file://$source_root" "$root/troupe"
    mount -t proc proc "$root/proc"
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts" # the live display has a terminal

    say "downloading the packages that ./dev run needs"
    inside "$root" ./dev deps --download build >"$root.log" 2>&1 || { cat "$root.log" >&2; return 1; }

    say "./dev run"
    began=$(now_ms)
    first=$(inside "$root" './dev run --run-id fresh 2>&1' | first_trial "$began") || { say "./dev run failed"; return 1; }
    run_ms=$(($(now_ms) - began))
    [ "$first" -gt 0 ] || { say "./dev run never told of a trial"; return 1; }
    say "./dev run --json, once more for the time of the search alone"
    began=$(now_ms)
    inside "$root" './dev run --json --run-id again' >"$root.json" 2>"$root.log" || { cat "$root.log" >&2; return 1; }
    search=$(($(now_ms) - began))

    say "./dev test"
    began=$(now_ms)
    inside "$root" ./dev test >&2 || passed=false
    test_ms=$(($(now_ms) - began))
    printf '{"fresh": "%s", "first_trial_ms": %d, "run_ms": %d, "search_again_ms": %d, "test_ms": %d, "tests_pass": %s' \
        "$release" "$first" "$run_ms" "$search" "$test_ms" "$passed"
    printf ', "cores": %d}\n' "$(nproc)"
    [ "$passed" = true ] # the figures are told either way
}

if [ "${2:-}" = --inside ]; then
    in_namespaces "$3"
    exit
fi
[ "$(id -u)" = 0 ] || { say "needs root, for chroot"; exit 1; }
if [ -n "$(git -C "$source_root" status --porcelain 2>/dev/null)" ]; then
    say "note: what is not committed is not in the clone"
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/troupe-fresh.XXXXXX")
mkdir "$work/debian"
cleanup() {
    if [ -n "${KEEP:-}" ]; then
        say "kept $work/debian"
    else
        rm -rf --one-file-system "$work"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM
unshare --mount --pid --fork --kill-child -- "$0" "$release" --inside "$work/debian"
