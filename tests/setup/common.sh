# Sourced by the scripts beside it.

set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
cache=$root/.eddy
script=tests/setup/$(basename -- "$0")

say() {
    printf '%s: %s\n' "$script" "$*" >&2
}

fail() {
    say "$*"
    exit 1
}

# Called before anything is fetched.
require_network() { # what
    [[ ${EDDY_OFFLINE:-} != 1 ]] || fail "$1 is missing and EDDY_OFFLINE=1 forbids to fetch it; run $script with a network once"
}

# Installs Debian packages where that is possible, and says what to do where it is not.
install_packages() { # what is missing, packages…
    local missing=$1
    shift
    require_network "$missing"
    if [[ $(id -u) != 0 ]] || ! command -v apt-get > /dev/null; then
        fail "$missing is missing: install it (Debian: sudo apt-get install $*) and run $script again"
    fi
    say "$missing is missing: installing the Debian packages $*"
    {
        apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
    } >&2 || fail "apt-get could not install $*: see above, then run $script again"
}

# A new folder beside the target, on the same file system, so that a rename makes the result appear at once and whole.
# It is gone when the script ends.
make_work_folder() { # name
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/.$1.XXXXXX")
    trap 'rm -rf "$work"' EXIT
}

# Puts the folder where the target is. Of two that do so at once, one wins and both are content.
publish() { # folder, target
    local old
    if [[ -e $2 ]]; then
        old=$work/replaced
        mv "$2" "$old"
    fi
    mv -T "$1" "$2" 2> /dev/null || [[ -d $2 ]]
}
