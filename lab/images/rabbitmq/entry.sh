#!/bin/bash
# Own the data as the user rabbitmq, then become the server; the node is called after the container's host name.
set -euo pipefail
if [[ "$1" == rabbitmq* && "$(id -u)" = 0 ]]; then
    find /var/lib/rabbitmq \! -user rabbitmq -exec chown rabbitmq '{}' +
    exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi
exec "$@"
