# What checks share.

# Runs a shell command as a user who has just logged in, in this folder.
login() {
    runuser -l "$1" -c "cd '$PWD' && . /run/lib.sh && $2"
}

# Whether a process with this command line lives.
lives() {
    for process in /proc/[0-9]*; do
        [ "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)" = "$1 " ] && return
    done
    return 1
}

# From the doctor's JSON on stdin: the remedy of the cgroup.
remedy_of_cgroup() {
    sed -n '/"cgroup": {/,/}/s/^ *"remedy": "\(.*\)"$/\1/p'
}

# From the same: what is to be given to systemd-run, or set in a unit, of all remedies.
options() {
    sed -n 's/.*give systemd-run also `\(.*\)`.*/\1/p'
}
settings() {
    sed -n 's/.*below \[Service\], set \(.*\), and start it anew.*/\1/p' | sed 's/ and /\n/g'
}
