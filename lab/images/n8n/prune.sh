#!/bin/sh
# Remove what a running n8n never reads: types, maps, docs, and the packages of unused.txt wherever they are nested.
set -eu

cd /usr/local/lib/n8n/node_modules
set --
while read -r name; do
    case "$name" in '' | '#'*) continue ;; esac
    set -- "$@" -o -path "*/node_modules/$name" -o -path "./$name"
done < /tmp/unused.txt
shift
find . \( "$@" \) -prune -exec rm -rf {} +
find . -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.md' -o -name '*.tsbuildinfo' \) -delete
