#!/bin/sh
set -e
if [ "$1" = purge ]; then
	rm -rf /var/lib/peercached /var/lib/private/peercached
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
