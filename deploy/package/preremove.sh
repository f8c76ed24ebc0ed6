#!/bin/sh
# Debian says "remove" and RPM 0 if the package goes; an upgrade lets it run until the new one is there.
set -e
case "$1" in
remove | 0) ;;
*) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --now peercached.service peercached-http.socket peercached-grpc.socket peercached-resp.socket
