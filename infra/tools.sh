# The tools the checks need and a machine rarely has, kept under target/tools. Sourced after lib.sh.
# Each need_… is quick when the tool is there, and fails with one sentence when it cannot be had.
# shellcheck shell=bash

# Pinned, so that a check means the same today and next year.
readonly BUF_VERSION=1.75.0
readonly PYTHON_PACKAGES=(helm-python-sdk==0.2.2 kubernetes-validate==1.37.0 openapi-spec-validator==0.9.0)

need_buf() {
    local stamp=$tools/buf-$BUF_VERSION.done
    if [ ! -e "$stamp" ]; then
        have npm || apt_install "ask an administrator for the package npm: buf comes from there." npm
        say "fetching buf $BUF_VERSION …"
        npm install --prefix "$tools/npm" --no-fund --no-audit --loglevel=error "@bufbuild/buf@$BUF_VERSION" >&2 ||
            fail $EX_UNAVAILABLE "npm could not fetch @bufbuild/buf $BUF_VERSION."
        mkdir -p "$tools/bin"
        # The platform's own executable: no node needed to run it.
        ln -sf "$(ls -d "$tools"/npm/node_modules/@bufbuild/buf-linux-*/bin/buf | head -n 1)" "$tools/bin/buf"
        "$tools/bin/buf" --version >/dev/null || fail $EX_UNAVAILABLE "buf was fetched but does not run on this machine."
        touch "$stamp"
    fi
}
buf() { "$tools/bin/buf" "$@"; }

need_python() {
    local want stamp new_enough='import sys; sys.exit(sys.version_info < (3, 11))' # for tomllib
    want=$(printf '%s\n' "${PYTHON_PACKAGES[@]}" | cksum | cut -d' ' -f1)
    stamp=$tools/venv/$want.done
    if [ -e "$stamp" ] && python -c "$new_enough"; then return 0; fi
    python3 -c 'import venv, ensurepip' 2>/dev/null ||
        apt_install "ask an administrator for the packages python3 and python3-venv." python3 python3-venv
    python3 -c "$new_enough" ||
        fail $EX_UNAVAILABLE "Python 3.11 or newer is needed; python3 is $(python3 --version 2>&1)."
    say "fetching the Helm engine and the validators …"
    rm -rf "$tools/venv"
    mkdir -p "$tools"
    python3 -m venv "$tools/venv" || fail $EX_UNAVAILABLE "python3 could not create a virtual environment in $tools/venv."
    "$tools/venv/bin/pip" --quiet --disable-pip-version-check install "${PYTHON_PACKAGES[@]}" >&2 ||
        fail $EX_UNAVAILABLE "pip could not fetch ${PYTHON_PACKAGES[*]}."
    touch "$stamp"
}
python() { "$tools/venv/bin/python" "$@"; }

need_browser() {
    local missing=()
    have chromium || missing+=(chromium)
    have chromedriver || missing+=(chromium-driver)
    # Without a Chinese font the browser draws boxes, and a screenshot proves nothing.
    [ -n "$(fc-list :lang=zh 2>/dev/null | head -n 1)" ] || missing+=(fonts-wqy-microhei fontconfig)
    [ ${#missing[@]} -eq 0 ] || apt_install "ask an administrator for the packages chromium, chromium-driver and fonts-wqy-microhei: the board is checked in a real browser." "${missing[@]}"
}
