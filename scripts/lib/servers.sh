# shellcheck shell=bash
# Private servers for scripts: sourced, never run. Everything that is started here is noted by pid and ended by `stop_servers`.
#
#   need COMMAND PACKAGE…   installs the packages with apt where the command is missing
#   use_memory_for_temporary_files   sets TMPDIR to a folder in memory where there is room
#   make_workdir            WORKDIR: a temporary folder that ends with the script
#   start_postgres NAME [-c setting=value…]   sets POSTGRES_PORT and POSTGRES_URL (superuser, trust, loopback only)
#   start_redis NAME [redis arguments…]       sets REDIS_PORT and REDIS_SERVER_URL
#   wait_for SECONDS WHAT COMMAND…            tries the command until it succeeds
#   stop_servers            ends what was started, in reverse order; for a trap

# Each is "SIGNAL PID": Postgres ends fast and clean by SIGINT, the others by SIGTERM.
STARTED=()
WORKDIR=

say() { printf '==> %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root (and there is no sudo): $*"
    fi
}

# Debian keeps the server's programs out of PATH.
find_postgres_programs() {
    local dir
    command -v initdb >/dev/null && command -v postgres >/dev/null && return 0
    for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
        if [ -x "$dir/initdb" ]; then
            export PATH="$PATH:$dir"
            return 0
        fi
    done
    return 1
}

APT_LISTS_ARE_FRESH=
install_packages() {
    command -v apt-get >/dev/null || die "please install what these Debian packages hold, and run this again: $*"
    say "installing $*"
    if [ -z "$APT_LISTS_ARE_FRESH" ]; then
        as_root apt-get update -qq >&2 || die "apt-get update failed"
        APT_LISTS_ARE_FRESH=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2 ||
        die "apt-get could not install $*"
}

need() {
    local command=$1
    shift
    command -v "$command" >/dev/null && return 0
    install_packages "$@"
    command -v "$command" >/dev/null || die "$command is still missing after installing $*"
}

need_cargo() {
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    command -v cargo >/dev/null || die "cargo $wanted or newer is needed; see https://rustup.rs"
    have=$(cargo --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
        die "cargo $wanted or newer is needed, this is $have; see https://rustup.rs"
}

need_servers() {
    find_postgres_programs || {
        install_packages postgresql
        find_postgres_programs || die "initdb is still missing after installing postgresql"
    }
    need redis-server redis-server
    need redis-cli redis-tools
}

# Lets temporary files lie in memory where the machine has at least 4 GiB of it free for them, and programs there may be executed.
use_memory_for_temporary_files() {
    local free
    [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ] || return 0
    case ",$(findmnt -no OPTIONS /dev/shm 2>/dev/null)," in *,noexec,*) return 0 ;; esac
    free=$(df -k --output=avail /dev/shm | tail -n 1)
    if [ "$free" -gt $((4 * 1024 * 1024)) ]; then export TMPDIR=/dev/shm; fi
}

make_workdir() {
    WORKDIR=$(mktemp -d "${TMPDIR:-/tmp}/legwork.XXXXXX")
    # Postgres runs as another user where we are root, and must reach its folder below this one.
    chmod 755 "$WORKDIR"
}

# A free port below the range from which the kernel takes ports for outgoing connections.
free_port() {
    local port
    for _ in $(seq 100); do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return 0
        fi
    done
    die "no free port found"
}

wait_for() {
    local seconds=$1 what=$2 end
    shift 2
    end=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || die "$what is not there after $seconds s"
        sleep 0.05
    done
}

# Runs a command as a user that Postgres accepts: it refuses to run as root.
as_postgres_user() {
    if [ "$(id -u)" = 0 ]; then
        exec setpriv --reuid="$(postgres_user)" --regid="$(id -gn "$(postgres_user)")" --clear-groups -- "$@"
    fi
    exec "$@"
}

postgres_user() {
    id -un postgres 2>/dev/null || echo nobody
}

start_postgres() {
    local name=$1 dir=$WORKDIR/$1
    shift
    mkdir -p "$dir"
    if [ "$(id -u)" = 0 ]; then chown "$(postgres_user)" "$dir"; fi
    POSTGRES_PORT=$(free_port)
    POSTGRES_URL=postgres://postgres@127.0.0.1:$POSTGRES_PORT/postgres
    (cd "$dir" && as_postgres_user initdb -D "$dir/data" -A trust -U postgres -E UTF8 --locale=C.UTF-8) \
        >"$WORKDIR/$name.initdb.log" 2>&1 || {
        cat "$WORKDIR/$name.initdb.log" >&2
        die "initdb failed"
    }
    # The subshell becomes the server (exec), so that the noted pid is the server's own.
    (cd "$dir" && as_postgres_user postgres -D "$dir/data" -p "$POSTGRES_PORT" -c listen_addresses=127.0.0.1 \
        -c "unix_socket_directories=$dir" "$@") >"$WORKDIR/$name.log" 2>&1 </dev/null &
    STARTED+=("INT $!")
    wait_for 30 "postgres" psql -X -q -d "$POSTGRES_URL" -c 'select 1'
}

start_redis() {
    local name=$1
    shift
    mkdir -p "$WORKDIR/$name"
    REDIS_PORT=$(free_port)
    REDIS_SERVER_URL=redis://127.0.0.1:$REDIS_PORT
    redis-server --port "$REDIS_PORT" --bind 127.0.0.1 --save '' --appendonly no --dir "$WORKDIR/$name" "$@" \
        >"$WORKDIR/$name.log" 2>&1 </dev/null &
    STARTED+=("TERM $!")
    wait_for 10 "redis" redis-cli -p "$REDIS_PORT" ping
}

# stop_pid SIGNAL PID: asks it to end, and after ten seconds ends it.
stop_pid() {
    local signal=$1 pid=$2 end=$((SECONDS + 10))
    kill -"$signal" "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do
        if [ $SECONDS -ge $end ]; then
            kill -KILL "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.05
    done
    wait "$pid" 2>/dev/null || true
    forget_pid "$pid"
}

# A pid that has ended may be another process's by and by.
forget_pid() {
    local entry kept=()
    for entry in "${STARTED[@]}"; do
        [ "${entry#* }" = "$1" ] || kept+=("$entry")
    done
    STARTED=("${kept[@]}")
}

stop_servers() {
    while [ ${#STARTED[@]} -gt 0 ]; do
        # shellcheck disable=SC2086 # a signal and a pid
        stop_pid ${STARTED[-1]}
    done
    if [ -n "$WORKDIR" ]; then rm -rf "$WORKDIR"; fi
    WORKDIR=
}
