# What the doctor says in many places, word for word, and what it says then.

# in_a_shell NAME SHELL: the doctor through a shell command, and through the remedy that it prints.
in_a_shell() {
    name=$1 shell=$2
    $shell 'alumet doctor --json' >"$name.before"
    remedy=$(remedy_of_cgroup <"$name.before")
    $shell "${remedy/exec .../doctor --json}" >"$name.after" 2>"$name.errors"
}
in_a_shell session 'runuser -l alice -c' &
# From a session of root's, that is no other session.
cat >su.sh <<'EOF'
runuser -l root -c "su $1 -c '$2'"
EOF
in_a_shell su 'bash su.sh alice' &
in_a_shell never-logged-in 'bash su.sh carol'
wait
systemctl stop user@1002.service

# in_a_service NAME OPTION...: the doctor as a service of these options, and with those more that it prints.
in_a_service() {
    name=$1
    shift
    systemd-run --quiet --wait --pipe "$@" alumet doctor --json >"$name.before"
    # shellcheck disable=SC2046 # they are words
    systemd-run --quiet --wait --pipe "$@" $(options <"$name.before") alumet doctor --json >"$name.after"
}
in_a_service user --uid=alice &
in_a_service read-only --uid=alice -p ProtectControlGroups=yes &
in_a_service processes-only -p ProcSubset=pid &
in_a_service filtered -p SystemCallFilter=@system-service &
wait

unit=/run/systemd/system/look.service
printf '[Service]\nType=oneshot\nUser=alice\nExecStart=alumet doctor --json\nStandardOutput=truncate:%s/unit.before\n' "$PWD" >$unit
systemctl daemon-reload
systemctl start look.service
mkdir $unit.d
{
    echo '[Service]'
    settings <unit.before
    echo "StandardOutput=truncate:$PWD/unit.after"
} >$unit.d/remedy.conf
systemctl daemon-reload
systemctl start look.service

login alice 'alumet doctor --json' >perf.before
remedy=$(sed -n '/"name": "perf"/,/"missing"/s/^ *"remedy": "\(.*\)",$/\1/p' perf.before)
login alice "$remedy" >/dev/null
login alice 'alumet doctor --json' >perf.after
setcap -r /usr/local/bin/alumet
sysctl -q kernel.perf_event_paranoid=3
