#!/bin/sh
# SPDX-License-Identifier: MIT
# with-postgres.sh COMMAND [ARGUMENT...] - runs a command beside a throw-away PostgreSQL.
#
# Makes a database cluster in a temporary directory (as a user that is not root), starts it on a free
# port of 127.0.0.1, exports DATABASE_URL (and PGDATA, POSTGRES_PID, WITH_POSTGRES_CONTROL), runs the
# command, stops the server and removes the directory. The exit code is the command's. Durability is
# off (fsync=off) unless WITH_POSTGRES_FSYNC=on. Further server settings: WITH_POSTGRES_OPTIONS="-c x=y".
# WITH_POSTGRES_CONTROL names a script: `sh -c "$WITH_POSTGRES_CONTROL start|stop|restart|kill"`.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: with-postgres.sh COMMAND [ARGUMENT...]" >&2
    exit 2
fi

find_programs() {
    if command -v pg_config >/dev/null 2>&1 && [ -x "$(pg_config --bindir)/initdb" ]; then
        pg_config --bindir
        return
    fi
    for folder in /usr/lib/postgresql/*/bin; do
        [ -x "$folder/initdb" ] && found=$folder
    done
    [ -n "${found:-}" ] || { echo "with-postgres.sh: initdb not found: install postgresql" >&2; exit 2; }
    echo "$found"
}

programs=$(find_programs)
directory=$(mktemp -d "${TMPDIR:-/tmp}/with-postgres-XXXXXX")
data=$directory/data
chmod 755 "$directory"

if [ "$(id -u)" = 0 ]; then
    server_user=${WITH_POSTGRES_USER:-postgres}
    chown "$server_user" "$directory"
    as_server="runuser -u $server_user --"
else
    as_server=
fi

# shellcheck disable=SC2086  # as_server is a command with its arguments
$as_server "$programs/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$directory/initdb.log" 2>&1 ||
    { cat "$directory/initdb.log" >&2; exit 2; }

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >>"$data/postgresql.conf" <<CONFIGURATION
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$directory'
fsync = ${WITH_POSTGRES_FSYNC:-off}
shared_buffers = 32MB
max_connections = 100
CONFIGURATION

control=$directory/control
cat >"$control" <<CONTROL
#!/bin/sh
set -eu
cd /
case "\$1" in
start) $as_server "$programs/pg_ctl" -D "$data" -w -t 60 -l "$directory/server.log" -o "${WITH_POSTGRES_OPTIONS:-}" start >/dev/null ;;
stop) $as_server "$programs/pg_ctl" -D "$data" -w -t 60 -m fast stop >/dev/null ;;
kill) $as_server "$programs/pg_ctl" -D "$data" -w -t 60 -m immediate stop >/dev/null ;;
restart) "\$0" stop; "\$0" start ;;
*) echo "usage: control start|stop|kill|restart" >&2; exit 2 ;;
esac
CONTROL
chmod 755 "$control"

finish() {
    code=$?
    trap - EXIT INT TERM
    "$control" kill 2>/dev/null || true
    rm -rf "$directory"
    exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$control" start || { cat "$directory/server.log" >&2; exit 2; }
export DATABASE_URL="postgresql://postgres@127.0.0.1:$port/postgres"
export PGDATA="$data" WITH_POSTGRES_CONTROL="$control"
POSTGRES_PID=$(head -1 "$data/postmaster.pid")
export POSTGRES_PID

"$@"
