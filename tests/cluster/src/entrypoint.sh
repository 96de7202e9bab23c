#!/bin/sh
# The database server of the image postgres:15, with the settings everybody knows: POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB,
# POSTGRES_INITDB_ARGS, PGDATA.
set -eu
if [ "${1:-postgres}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    : "${POSTGRES_PASSWORD:?set it, or set POSTGRES_HOST_AUTH_METHOD=trust and any password}"
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    umask 077
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
    # As the official image does: initdb's own default trusts every local connection, 127.0.0.1 included.
    # Several arguments, as they are split by the shell.
    # shellcheck disable=SC2086
    initdb --username="$user" --pwfile=/tmp/password --auth=trust ${POSTGRES_INITDB_ARGS:-} > /dev/null
    rm /tmp/password
    echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >> "$PGDATA/pg_hba.conf"
    if [ "$database" != postgres ]; then
        echo "CREATE DATABASE \"$database\";" | postgres --single -j postgres > /dev/null
    fi
fi
if [ "${1:-postgres}" = postgres ]; then
    [ $# = 0 ] || shift
    exec postgres -c listen_addresses='*' "$@"
fi
exec "$@"
