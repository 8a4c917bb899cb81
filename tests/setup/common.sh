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

# What runs Java, as `java`.
require_java() { # oldest release
    java=${JAVA_HOME:+$JAVA_HOME/bin/}java
    if ! command -v "$java" > /dev/null; then
        [[ -z ${JAVA_HOME:-} ]] || fail "JAVA_HOME is set, but there is no $java: correct it, or unset it"
        # The package of whichever release this Debian has.
        install_packages "Java ($1 or newer)" default-jre-headless
    fi
    local release
    release=$("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java\.specification\.version = //p') || :
    [[ ${release%%.*} =~ ^[0-9]+$ ]] \
        || fail "$java does not say its version: correct JAVA_HOME or the PATH, and run $script again"
    ((${release%%.*} >= $1)) \
        || fail "$java is Java $release, and $1 is needed: install a newer one (Debian: default-jre-headless), or set JAVA_HOME"
}

require_python() { # oldest minor version of Python 3
    command -v python3 > /dev/null || install_packages "python3" python3 python3-venv
    python3 -c "import sys; sys.exit(sys.version_info < (3, $1))" \
        || fail "python3 is older than 3.$1: install a newer one and run $script again"
}

# Debian's packages, unpacked into a folder and not installed.
unpack_packages() { # folder, packages…
    local folder=$1 fetched package
    shift
    fetched=$(mktemp -d "$work/packages.XXXXXX")
    # Where it fails at first, the lists of packages may be missing or old.
    (cd "$fetched" && { apt-get -q download "$@" || { apt-get update -q && apt-get -q download "$@"; }; }) > "$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "apt-get could not fetch $*: see above, then run $script again"
    }
    for package in "$fetched"/*.deb; do
        dpkg-deb -x "$package" "$folder"
    done
}

# A virtual environment knows its own path, so it is made where it is used.
make_venv() { # target, packages…
    local target=$1
    shift
    rm -rf "$target"
    if ! python3 -m venv "$target" > /dev/null 2>&1; then
        install_packages "venv for python3" python3-venv
        python3 -m venv --clear "$target" >&2 || fail "python3 -m venv failed: install it for $(command -v python3) and run $script again"
    fi
    (($# == 0)) || pip_install "$target" "$@"
}

pip_install() { # virtual environment, what pip is to install…
    local venv=$1
    shift
    "$venv/bin/python" -m pip --disable-pip-version-check install --quiet "$@" >&2 \
        || fail "pip could not install the packages: see above; check the network and pip's configuration, then run $script again"
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
