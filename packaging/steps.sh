# Steps that ./run, ./test and packaging/stage share.  Sourced by bash with $top set
# to the top of the source tree.

say() { printf '%s\n' "$*"; }
die() { # die STATUS TEXT...
    local status=$1
    shift
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$status"
}

# install_packages KIND...: installs what packaging/debian-packages lists and is not there.
install_packages() {
    local kind package missing=()
    for kind in "$@"; do
        while read -r package; do
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
                missing+=("$package")
        done < <(awk -v kind="$kind" '$1 == kind { print $2 }' "$top/packaging/debian-packages")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    say "Installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq </dev/null || die 69 "apt-get update failed"
    apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null ||
        die 69 "apt-get could not install: ${missing[*]}"
}

# Two clones of one machine share ccache's results.
export CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1

# build PRESET [NINJA-TARGET...]
build() {
    local preset=$1
    shift
    (cd "$top" && cmake --preset "$preset" >"$top/build/$preset.configure.log" 2>&1) ||
        { cat "$top/build/$preset.configure.log" >&2; die 70 "cmake --preset $preset failed"; }
    cmake --build "$top/build/$preset" ${1:+--target "$@"} || die 70 "building preset $preset failed"
}

# System accounts: no home, no shell, no password.
ensure_group() { getent group "$1" >/dev/null || groupadd --system "$1" || die 73 "cannot create group $1"; }
ensure_user() {
    ensure_group "$1"
    getent passwd "$1" >/dev/null && return 0
    useradd --system --gid "$1" --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$1" ||
        die 73 "cannot create user $1"
}

# stage BUILD PREFIX: a complete installation below PREFIX.  The group comes first: with it
# the installation gives postdrop and postqueue the right to enter maildrop/ and public/.
stage() {
    ensure_group bhdrop
    cmake --install "$1" --prefix "$2" >/dev/null || die 73 "cmake --install $1 --prefix $2 failed"
}
