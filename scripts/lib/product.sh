# shellcheck shell=bash
# Starts the program for scripts: sourced after servers.sh, never run.
#
#   start_legwork NAME SETTING=value… [-- argument…]   one process with these settings and no others; sets LEGWORK_URL
#   legwork_token NAME                                 prints an admin token for it
#
# LEGWORK is the binary.

# Only what is named reaches the process: the caller's own settings must not.
legwork_env() {
    local name=$1
    shift
    exec env -i PATH="$PATH" HOME="$WORKDIR" DATA_DIR="$WORKDIR/$name.data" TEMPLATES_DIR="$PWD/templates" "$@"
}

start_legwork() {
    local name=$1 port settings=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        settings+=("$1")
        shift
    done
    [ $# -gt 0 ] && shift
    [ $# -gt 0 ] || set -- serve
    port=$(free_port)
    LEGWORK_URL=http://127.0.0.1:$port
    settings+=("LISTEN=127.0.0.1:$port")
    printf '%s\n' "${settings[@]}" >"$WORKDIR/$name.settings"
    mkdir -p "$WORKDIR/$name.data"
    (legwork_env "$name" "${settings[@]}" "$LEGWORK" "$@") >"$WORKDIR/$name.log" 2>&1 </dev/null &
    LEGWORK_PID=$!
    STARTED+=("TERM $LEGWORK_PID")
    (wait_for 30 "legwork ($name)" curl -fsS -o /dev/null "$LEGWORK_URL/healthz") || {
        tail -n 50 "$WORKDIR/$name.log" >&2
        exit 1
    }
}

legwork_token() {
    local name=$1 settings
    mapfile -t settings <"$WORKDIR/$name.settings"
    (legwork_env "$name" "${settings[@]}" "$LEGWORK" token create --subject scripts --scope admin)
}
