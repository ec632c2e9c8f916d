# What the peaks of memory say, and how the cgroup is left that alumet was started in.

# What is below the cgroup that it is in, and which controllers that gives to those.
cat >/usr/local/bin/around <<'END'
#!/bin/bash
IFS=: read -r _ _ own </proc/self/cgroup
echo "controls: $(cat "/sys/fs/cgroup$own/cgroup.subtree_control")"
echo "below: $(find "/sys/fs/cgroup$own" -mindepth 1 -type d -printf '%f ')"
echo "own: $own"
END
# Where alumet is meanwhile: it is the parent of the application, which leaves somebody behind.
cat >/usr/local/bin/where <<'END'
#!/bin/bash
IFS=: read -r _ _ cgroup <"/proc/$PPID/cgroup"
echo "alumet: $cgroup" >"$1.during"
workload touch=50 daemon=600000
END
# Alone in its cgroup, which lives on with the one that was left behind.
cat >/usr/local/bin/alone <<'END'
#!/bin/bash
around >"$1.before"
exec alumet exec -q --json "$1.json" -- where "$1"
END
# With the shell beside alumet.
cat >/usr/local/bin/beside <<'END'
#!/bin/bash
around >"$1.before"
alumet exec -q --json "$1.json" -- where "$1"
around >"$1.after"
END
chmod 755 /usr/local/bin/{around,where,alone,beside}
# Looks around where the one is that was left behind, and ends it.
look_after() {
    pid=$(pgrep -f daemon=600000)
    IFS=: read -r _ _ cgroup <"/proc/$pid/cgroup"
    bash -c 'echo $$ >"$1/cgroup.procs" && exec around' - "/sys/fs/cgroup$cgroup" >"$1.after"
    kill "$pid"
}
systemd-run --quiet --scope alone root
look_after root
login alice 'systemd-run --user --quiet --scope alone alice'
look_after alice
systemd-run --quiet --scope beside shell
pkill -f daemon=600000

# The same file, read from the disk and from the page cache. Of programs and libraries all stays there: how much of them a
# process maps depends on it.
head -c 48000000 /dev/zero >/var/tmp/file
sync
for cache in cold warm; do
    [ $cache = warm ] || dd if=/var/tmp/file iflag=nocache count=0 status=none
    systemd-run --quiet --scope alumet exec -q -i 5ms --json $cache.json -- cat /var/tmp/file >/dev/null
done
rm /var/tmp/file

# What hardly any sample sees.
four=$(printf 'workload hold=50:50 & %.0s' 1 2 3 4)
for interval in 5ms 200ms; do
    alumet exec -q -i $interval --json four-$interval.json -- sh -c "$four wait"
done
