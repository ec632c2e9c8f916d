# The unit of the page on services, and the same with systemd's own way to stop.
cat >/usr/local/bin/app <<'EOF'
#!/bin/bash
trap 'echo TERM >>/run/app.signals; stopping=yes' TERM
systemd-notify --ready
while [ -z "${stopping-}" ]; do sleep 0.1; done
# Time for a second one.
for i in 1 2 3 4 5 6 7 8; do sleep 0.1; done
exit ${STATUS-143}
EOF
chmod 755 /usr/local/bin/app
try() {
    name=$1
    rm -f /run/app.signals
    systemctl daemon-reload
    systemctl start app.service
    echo "started: $?" >"$name"
    systemctl show app.service -p ActiveState >>"$name"
    systemctl stop app.service
    systemctl show app.service -p ActiveState -p Result >>"$name"
    cat /run/app.signals >>"$name"
    cp /var/lib/app/run.json "$name.json"
    rm -f /var/lib/app/run.json
}
cp /run/app.service /etc/systemd/system/
try page
mkdir /etc/systemd/system/app.service.d
printf '[Service]\nKillMode=control-group\n' >/etc/systemd/system/app.service.d/mode.conf
try group
