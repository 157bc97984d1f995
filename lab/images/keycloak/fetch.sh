#!/bin/sh
# Get the distribution of one version with Maven, unpack it to /opt/keycloak, and take away what only getting it needed.
set -eu

# Java trusts what update-ca-certificates knows: each authority of this image's bundle becomes a file of its own.
mkdir -p /usr/local/share/ca-certificates
awk '/BEGIN CERT/ {n++} {print > ("/usr/local/share/ca-certificates/bundle-" n ".crt")}' /etc/ssl/certs/ca-certificates.crt
update-ca-certificates >/dev/null 2>&1
apt-get update
apt-get install -y --no-install-recommends openjdk-21-jre-headless maven unzip
mvn --batch-mode --quiet dependency:copy -Dartifact="org.keycloak:keycloak-quarkus-dist:$1:zip" -DoutputDirectory=/tmp -Dmdep.stripVersion=true
unzip -q /tmp/keycloak-quarkus-dist.zip -d /opt
mv "/opt/keycloak-$1" /opt/keycloak
mkdir -p /opt/keycloak/data
apt-get purge -y maven unzip
apt-mark manual openjdk-21-jre-headless >/dev/null
apt-get autoremove -y
rm -rf /tmp/keycloak-quarkus-dist.zip /root/.m2 /var/lib/apt/lists/*
