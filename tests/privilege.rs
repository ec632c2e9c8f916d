//! What alumet gives up once everything is open, and what the application gets of alumet's privileges: nothing.

#[path = "support/nvml.rs"]
mod nvml;
mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use support::{Alumet, Done, Paranoid, counter, is_root, skip};

const DAC_OVERRIDE: u64 = 1 << 1;
const DAC_READ_SEARCH: u64 = 1 << 2;
const KILL: u64 = 1 << 5;
const SYS_PTRACE: u64 = 1 << 19;
const PERFMON: u64 = 1 << 38;
/// To read everything of processes that are another's.
const LOOK: u64 = SYS_PTRACE | DAC_READ_SEARCH;

/// Prints what every thread of alumet has; the shell that runs this is alumet's child.
const OF_ALUMET: &str = "grep -hE 'Cap(Inh|Prm|Eff|Amb)|NoNewPrivs' /proc/$PPID/task/*/status";
/// Prints what the process itself has: rights, descriptors, limits, environment.
const OF_ITSELF: &str = "grep -E 'Cap|NoNewPrivs|Seccomp:|Uid|Gid|Groups' /proc/self/status; setpriv --dump; \
                         cd /proc/$$/fd && echo *; cat /proc/self/limits; \
                         env | grep -vE '^(_|SHLVL|PWD|OLDPWD)=' | sort";
/// Runs the application of `alumet ... -- APPLICATION` without alumet.
const WITHOUT: &str = "while [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"";

type Row = BTreeMap<String, String>;

/// What the test process may have: root in a container has less than everything.
fn own() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    hex(status.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap())
}

/// What it takes to launch: to signal processes that become another user's, and to remove the application's cgroup, where
/// that can be made, from one that cannot be written to.
fn launch() -> u64 {
    static PROBES: AtomicU32 = AtomicU32::new(0);
    let is_locked = |cgroup: PathBuf| {
        let name = format!("probe-{}-{}", std::process::id(), PROBES.fetch_add(1, Ordering::Relaxed));
        let probe = cgroup.join(name);
        let can_be_made = std::fs::create_dir(&probe).and_then(|()| std::fs::remove_dir(&probe)).is_ok();
        can_be_made && cgroup.metadata().unwrap().mode() & 0o200 == 0
    };
    let removal = if own_cgroup().is_some_and(is_locked) { DAC_OVERRIDE } else { 0 };
    (KILL | removal) & own()
}

/// The directory of the cgroup v2 that this process is in.
fn own_cgroup() -> Option<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    Some(roots.into_iter().find(|root| root.join("cgroup.procs").exists())?.join(path))
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text.trim(), 16).unwrap()
}

/// Of all threads, the values of a line in their status.
fn values(key: &str, text: &str) -> Vec<u64> {
    text.lines().filter_map(|line| line.strip_prefix(key)).map(hex).collect()
}

/// Whether every thread has exactly these capabilities and can get no more. The one that watches for signals has none.
fn all_have(expected: u64, text: &str) -> bool {
    let threads = values("CapPrm:", text).len();
    let all = |key: &str, expected: u64| values(key, text) == vec![expected; threads];
    let all_but_one = |key: &str| {
        let values = values(key, text);
        values.iter().filter(|value| **value != expected).eq(&[0][..usize::from(expected != 0)])
    };
    threads > 1
        && all_but_one("CapPrm:")
        && all_but_one("CapEff:")
        && all("CapInh:", 0)
        && all("CapAmb:", 0)
        && all("NoNewPrivs:", 1)
}

#[track_caller]
fn assert_all_have(expected: u64, text: &str) {
    assert!(all_have(expected, text), "expected {expected:x}\n{text}");
}

/// An ordinary user with a copy of alumet, whose file gets `file_capability` unless that is empty. `options` are those of
/// setpriv, `script` runs `"$@"`. `None` where that cannot be had; then the test is said to be skipped.
fn as_user(test: &str, file_capability: &str, options: &[&str], words: &[&str]) -> Option<Alumet> {
    if !is_root(test) {
        return None;
    }
    let mut run = Alumet::as_nobody("", &[]).with_workload();
    if !file_capability.is_empty() {
        let setcap =
            Command::new("setcap").arg(format!("{file_capability}=ep")).arg(run.path("bin/alumet")).status();
        if !setcap.is_ok_and(|status| status.success()) {
            skip(test, "setcap is not installed, or this file system has no capabilities");
            return None;
        }
    }
    execute(&mut run, options, "exec \"$@\"", words);
    Some(run)
}

/// Lets the user run it through a shell: setpriv itself still has root's capabilities when it executes a file.
fn execute(run: &mut Alumet, options: &[&str], script: &str, words: &[&str]) {
    let uid = 100_000 + std::fs::metadata(run.path("")).unwrap().ino() % 1_000_000;
    run.command = Command::new("setpriv");
    run.command.args([format!("--reuid={uid}"), format!("--regid={uid}"), "--clear-groups".into()]);
    let (directory, config) = (run.path(""), run.path("xdg"));
    run.command.args(options).args(["sh", "-c", script, "sh", "bin/alumet"]).args(words);
    run.command.current_dir(directory).env("XDG_CONFIG_HOME", config).env("LC_ALL", "C.UTF-8");
    run.command.env("ALUMET_IDLE_PROFILE", run.path("idle.json"));
    // What the loader takes from a program with more rights than its user.
    run.command.env("LD_LIBRARY_PATH", "/nowhere").env("TMPDIR", "/nowhere");
}

/// The application says the same of itself with and without alumet. Returns what.
#[track_caller]
fn same_without_alumet(run: &mut Alumet, options: &[&str], words: &[&str]) -> String {
    let with = run.run().status(0).stdout;
    execute(run, options, WITHOUT, words);
    assert_eq!(with, run.run().status(0).stdout);
    with
}

#[test]
fn root_drops_what_the_run_does_not_need() {
    if !is_root("root_drops_what_the_run_does_not_need") {
        return;
    }
    let left = |options: &[&str]| {
        let words = [&["exec"], options, &["sh", "-c", OF_ALUMET]].concat();
        Alumet::new(words).run().status(0).stdout
    };
    // Nobody reads what is measured.
    assert_all_have(launch(), &left(&["-q"]));
    assert_all_have(launch() | LOOK & own(), &left(&[]));
    assert_all_have(launch() | LOOK & own(), &left(&["-q", "-o", "s.csv", "--json", "p.json"]));
    assert_all_have(launch() | LOOK & own(), &left(&["-e", "task-clock", "--user", "65534"]));
    assert_all_have(
        launch() | (LOOK | PERFMON) & own(),
        &left(&["-e", "task-clock", "--per-thread", "--user", "65534"]),
    );
}

#[test]
fn who_attaches_may_signal_nobody() {
    if !is_root("who_attaches_may_signal_nobody") {
        return;
    }
    // Samplers get their threads when everything is dropped.
    let script = "\"$@\" $$ & until grep -qs alumet-sampler /proc/$!/task/*/comm; do sleep 0.01; done; \
                  grep -hE 'Cap(Inh|Prm|Eff|Amb)|NoNewPrivs' /proc/$!/task/*/status; kill -TERM $!; wait $!";
    let done = Alumet::sh(script, &["attach"]).run().status(0);
    assert_all_have(LOOK & own(), &done.stdout);
}

#[test]
fn the_application_of_root_has_what_it_has_without_alumet() {
    let test = "the_application_of_root_has_what_it_has_without_alumet";
    if !is_root(test) {
        return;
    }
    let words = ["exec", "-o", "s.csv", "--json", "p.json", "--", "sh", "-c", OF_ITSELF];
    // A capability that is inheritable stays so.
    let mut run = Alumet::sh("exec setpriv --inh-caps=+net_raw \"$@\"", &words);
    let with = run.run().status(0).stdout;
    let (directory, config) = (run.path(""), run.path("xdg"));
    run.command = Command::new("sh");
    let script = "shift 6; exec setpriv --inh-caps=+net_raw \"$@\"";
    run.command.args(["-c", script, "sh"]).args(words);
    run.command.current_dir(directory).env("XDG_CONFIG_HOME", config).env("LC_ALL", "C.UTF-8");
    run.command.env("ALUMET_IDLE_PROFILE", run.path("idle.json"));
    support::from_anywhere(&mut run.command);
    assert_eq!(with, run.run().status(0).stdout);
    assert_eq!((values("CapEff:", &with), values("CapInh:", &with)), (vec![own()], vec![1 << 13]));
    assert!(with.contains("NoNewPrivs:\t0"), "{with}");
}

#[test]
fn a_capability_of_the_file_never_reaches_the_application() {
    let test = "a_capability_of_the_file_never_reaches_the_application";
    let words = ["exec", "-o", "s.csv", "--json", "p.json", "--", "sh", "-c", OF_ITSELF];
    let options = ["--inh-caps=+net_raw"];
    let Some(mut run) = as_user(test, "cap_perfmon", &options, &words) else { return };
    let text = same_without_alumet(&mut run, &options, &words);
    assert_eq!((values("CapPrm:", &text), values("CapInh:", &text)), (vec![0], vec![1 << 13]));
    assert!(text.contains("LD_LIBRARY_PATH=/nowhere\n") && text.contains("TMPDIR=/nowhere\n"), "{text}");
}

#[test]
fn of_a_capability_of_the_file_alumet_keeps_only_what_opens_more_events() {
    let test = "of_a_capability_of_the_file_alumet_keeps_only_what_opens_more_events";
    let Some(_restored) = Paranoid::set(test, 2) else { return };
    let script = format!("bin/workload threads=2:100 touch=20; {OF_ALUMET}");
    for (options, expected) in [(&[][..], 0), (&["--per-process", "--per-thread"], PERFMON)] {
        let words = [&["exec", "-e", "page-faults,cs", "--json", "p.json"], options, &["sh", "-c", &script]];
        let words = words.concat();
        let Some(mut run) = as_user(test, "cap_perfmon", &[], &words) else { return };
        let done = run.run().status(0);
        assert_all_have(expected, &done.stdout);
        // With kernel mode, from the first instruction on.
        let faults = counter(&run.profile("p.json"), "perf.page-faults", "");
        assert!(faults > 4800.0 && !done.stderr.contains("not permitted"), "{faults} {}", done.stderr);
        assert!(!done.stderr.contains("on their own"), "{}", done.stderr);
    }
}

/// Before it executes the application, its process belongs to root, as alumet's does: its file has capabilities.
#[test]
fn a_capability_of_the_file_takes_nothing_from_what_is_measured() {
    let test = "a_capability_of_the_file_takes_nothing_from_what_is_measured";
    // The first process itself writes, now and then.
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i > file$i; sleep 0.05; done";
    let words = ["exec", "-i", "10ms", "-o", "s.csv", "sh", "-c", script];
    let writes = |file_capability: &str| {
        let mut run = as_user(test, file_capability, &[], &words)?;
        run.run().status(0);
        let rows = run.rows("s.csv");
        let is_write = |row: &&Row| {
            row["metric"] == "process.disk.io"
                && row["labels"].ends_with("=write")
                && row["value"].parse::<f64>().unwrap() > 0.0
        };
        Some(rows.iter().filter(is_write).count())
    };
    let Some(without) = writes("") else { return };
    if without == 0 {
        return skip(test, "what is written to this file system is not in /proc/PID/io");
    }
    // Told while it goes on, and not only by the usage at its end.
    let with = writes("cap_perfmon").unwrap();
    assert!(without > 3 && with > 3, "{without} {with}");
}

#[test]
fn ambient_capabilities_of_the_caller_are_for_the_application() {
    let test = "ambient_capabilities_of_the_caller_are_for_the_application";
    let options = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"];
    let words = ["exec", "--", "sh", "-c", OF_ITSELF];
    let Some(mut run) = as_user(test, "", &options, &words) else { return };
    let text = same_without_alumet(&mut run, &options, &words);
    assert_eq!((values("CapEff:", &text), values("CapAmb:", &text)), (vec![1 << 10], vec![1 << 10]));

    let words = ["exec", "--", "sh", "-c", OF_ALUMET];
    execute(&mut run, &options, "exec \"$@\"", &words);
    assert_all_have(0, &run.run().status(0).stdout);
}

/// Replaces the two files that say who is who, for this run alone.
fn with_a_user_in_groups(test: &str, script: &str, words: &[&str]) -> Option<Alumet> {
    if !is_root(test) {
        return None;
    }
    let script = format!(
        "mount --bind passwd /etc/passwd && mount --bind group /etc/group || exit 77; chmod 777 .; {script}"
    );
    let run = Alumet::sh(&format!("exec unshare -m sh -c '{script}' sh \"$@\""), words).with_workload();
    run.write("passwd", "root:x:0:0::/root:/bin/sh\nmeasured:x:4242:4243::/home/measured:/bin/sh\n");
    run.write(
        "group",
        "root:x:0:\nown:x:4243:\nfirst:x:4244:measured\nother:x:4245:\nsecond:x:4246:measured\n",
    );
    for file in ["passwd", "group"] {
        std::fs::set_permissions(run.path(file), PermissionsExt::from_mode(0o644)).unwrap();
    }
    Some(run)
}

fn could_mount(test: &str, done: &Done) -> bool {
    let could = done.status != 77 && !done.stderr.contains("unshare");
    if !could {
        skip(test, &format!("no mount namespace: {}", done.stderr));
    }
    could
}

#[test]
fn the_application_becomes_the_user_with_its_groups_and_without_capabilities() {
    let test = "the_application_becomes_the_user_with_its_groups_and_without_capabilities";
    let script = "grep -E \"Cap|NoNewPrivs|Uid|Gid|Groups\" /proc/self/status; env | grep HOME; \
                  bin/workload burn=60";
    let words = ["exec", "--user", "measured", "--json", "p.json", "-e", "page-faults", "sh", "-c", script];
    // What root would hand on, it does not hand on to the user.
    let outer = "HOME=/root exec setpriv --inh-caps=+net_raw \"$@\"";
    let Some(mut run) = with_a_user_in_groups(test, outer, &words) else { return };
    let done = run.run();
    if !could_mount(test, &done) {
        return;
    }
    let text = &done.status(0).stdout;
    let line = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!((line("Uid:"), line("Gid:")), ("4242 4242 4242 4242".into(), "4243 4243 4243 4243".into()));
    assert_eq!(line("Groups:"), "4243 4244 4246");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(values(set, text), [0], "{set}");
    }
    assert_eq!((line("NoNewPrivs:"), line("HOME=")), ("0".into(), "/root".into()));
    let profile = run.profile("p.json");
    assert!(counter(&profile, "process.cpu.time", "") > 0.05);
    assert!(counter(&profile, "perf.page-faults", "") > 0.0);
}

/// What root of a user namespace has there, the kernel does not ask for.
#[test]
fn in_a_user_namespace_no_capability_is_offered() {
    let test = "in_a_user_namespace_no_capability_is_offered";
    let Some(_restored) = Paranoid::set(test, 2) else { return };
    let within = |words: &[&str]| Alumet::sh("exec unshare --user --map-root-user \"$@\"", words).run();
    let done = within(&["exec", "-e", "context-switches", "true"]);
    if done.stderr.starts_with("unshare:") {
        return skip(test, "no user namespace can be made");
    }
    let why = "no capability of a user namespace, as of a rootless container, counts here (perf_event_paranoid is 2)";
    done.refuses(125, why).says("run alumet outside of it");
    let page = within(&["doctor", "--plugins", "perf"]).stdout;
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains("user mode alone is counted in this user namespace"), "{page}");
    assert!(page.contains("what users may count; in this user namespace, all are users"), "{page}");
    assert!(!page.contains("setcap") && !page.contains("it has the right"), "{page}");
}

#[test]
fn root_that_may_not_look_into_a_process_is_not_told_to_be_root() {
    let test = "root_that_may_not_look_into_a_process_is_not_told_to_be_root";
    if !is_root(test) {
        return;
    }
    let script = "setpriv --reuid=4242 --clear-groups sleep 30 >/dev/null 2>&1 & until grep -q ^Uid:.4242 /proc/$!/status; do :; done; \
                  exec setpriv --bounding-set=-sys_ptrace \"$@\" $!";
    let mut run = Alumet::sh(script, &["attach", "--json", "p.json", "--duration", "100ms"]);
    run.run().status(0);
    let missing = run.profile("p.json")["missing"].clone();
    let missing =
        missing.as_array().unwrap().iter().find(|gap| gap["what"] == "storage I/O").cloned().unwrap();
    assert_eq!(missing["remedy"], "in a container, run it with `--cap-add SYS_PTRACE`");
}

#[test]
fn the_application_becomes_a_user_that_nobody_knows_with_one_group() {
    if !is_root("the_application_becomes_a_user_that_nobody_knows_with_one_group") {
        return;
    }
    let words = ["exec", "-q", "--user", "3999999999:3999999998", "sh", "-c", OF_ITSELF];
    let text = Alumet::new(words).run().status(0).stdout;
    let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap().replace('\t', " ");
    assert_eq!(line("Uid:").trim(), [" 3999999999"; 4].concat().trim());
    assert_eq!(line("Gid:").trim(), [" 3999999998"; 4].concat().trim());
    assert_eq!((line("Groups:").trim(), values("CapPrm:", &text)), ("", vec![0]));
}

#[test]
fn what_runs_as_another_user_is_measured_and_signalled_after_all_was_dropped() {
    let test = "what_runs_as_another_user_is_measured_and_signalled_after_all_was_dropped";
    let Some(_restored) = Paranoid::set(test, 2) else { return };
    let script = "trap \"echo asked > asked; exit 3\" TERM; bin/workload sleep=300 touch=20; \
                  dd if=/dev/zero of=f bs=4k count=20 conv=fsync status=none; \
                  while :; do sleep 0.05; done";
    let options = ["--timeout", "2s", "-i", "10ms", "-o", "s.csv", "-e", "page-faults", "--per-process"];
    let become_it = ["setpriv", "--reuid=4242", "--regid=4243", "--clear-groups"];
    let as_user: Vec<_> = [&["exec", "--user", "4242"], &options[..], &["sh", "-c", script]].concat();
    let on_its_own: Vec<_> = [&["exec"], &options[..], &become_it, &["sh", "-c", script]].concat();
    for words in [as_user, on_its_own] {
        let Some(mut run) = with_a_user_in_groups(test, "exec \"$@\"", &words) else { return };
        let done = run.run();
        if !could_mount(test, &done) {
            return;
        }
        assert_eq!(done.status(124).stdout, "");
        assert_eq!(run.read("asked"), "asked\n", "SIGTERM has reached it");
        assert_eq!(run.processes().pids(), [0; 0]);
        let rows = run.rows("s.csv");
        let seen = |metric: &str, consumer: &str| {
            let row =
                |row: &&Row| row["metric"] == metric && row["consumer"] == consumer && row["value"] != "0";
            rows.iter().filter(row).map(|row| row["value"].parse::<f64>().unwrap()).sum::<f64>()
        };
        // In kernel mode, of processes that came later.
        assert!(seen("perf.page-faults", "process") > 100.0, "{}", run.read("s.csv"));
        assert!(seen("process.disk.io", "target") > 0.0);
    }
}

#[test]
fn a_profile_is_written_where_only_root_may_write_for_others() {
    if !is_root("a_profile_is_written_where_only_root_may_write_for_others") {
        return;
    }
    let words = ["exec", "--json", "theirs/p.json", "sh", "-c", OF_ALUMET];
    let mut run = Alumet::new(words);
    let theirs = run.path("theirs");
    std::fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(4242), Some(4242)).unwrap();
    assert_all_have((KILL | LOOK | DAC_OVERRIDE) & own(), &run.run().status(0).stdout);
    run.profile("theirs/p.json");
    // Another file of that name, in a directory where everybody keeps his own.
    chown(&theirs, Some(4243), None).unwrap();
    std::fs::set_permissions(&theirs, PermissionsExt::from_mode(0o1777)).unwrap();
    chown(theirs.join("p.json"), Some(4242), None).unwrap();
    std::fs::write(theirs.join("p.json"), "{\"schema\": \"alumet.profile/1\"}").unwrap();
    run.run().status(0);
    run.profile("theirs/p.json");
    assert_eq!(std::fs::metadata(theirs.join("p.json")).unwrap().uid(), 0);
}

#[test]
fn the_cgroup_of_the_application_is_removed_from_where_it_was_made() {
    let test = "the_cgroup_of_the_application_is_removed_from_where_it_was_made";
    if !is_root(test) {
        return;
    }
    let Some(here) = own_cgroup() else { return skip(test, "no cgroup v2") };
    let theirs = here.join(format!("theirs-{}", std::process::id()));
    if std::fs::create_dir(&theirs).is_err() {
        return skip(test, "no cgroup can be made");
    }
    chown(&theirs, Some(4242), Some(4242)).unwrap();
    let exec = ["exec", "-q", "sh", "-c", "echo $PPID; exec cat /proc/self/cgroup"];
    let left = [&here, &theirs].map(|place| {
        let mut run =
            Alumet::sh("echo $$ > $IN/cgroup.procs && exec \"$@\"", &exec).env("IN", place.to_str().unwrap());
        let text = run.run().status(0).stdout;
        let name = format!("alumet-{}-0", text.lines().next().unwrap());
        assert!(text.contains(&format!("/{name}")), "{text}");
        std::fs::remove_dir(place.join(name)).is_ok()
    });
    std::fs::remove_dir(theirs).unwrap();
    assert_eq!(left, [false, false]);
    let mut run = Alumet::new(["exec", "-q", "sh", "-c", OF_ALUMET]);
    assert_all_have(launch(), &run.run().status(0).stdout);
}

#[test]
fn a_thread_that_hangs_in_a_driver_has_dropped_everything_too() {
    if !is_root("a_thread_that_hangs_in_a_driver_has_dropped_everything_too") {
        return;
    }
    let stub = nvml::Stub::new("hang=nvmlInit_v2:0");
    let library = format!("nvml.library={}", stub.path().display());
    let script = format!("grep -h Name /proc/$PPID/task/*/status; {OF_ALUMET}");
    let text = Alumet::new(["exec", "--set", &library, "sh", "-c", &script]).run().status(0).stdout;
    assert!(text.contains("Name:\talumet-nvml"), "{text}");
    assert_all_have(launch() | LOOK & own(), &text);
}

#[test]
fn alumet_with_the_rights_of_two_users_refuses_to_run() {
    let test = "alumet_with_the_rights_of_two_users_refuses_to_run";
    let words = ["exec", "touch", "started"];
    let Some(mut run) = as_user(test, "", &[], &words) else { return };
    let alumet = run.path("bin/alumet");
    for (mode, says) in [
        (
            0o4755,
            "it is set-user-ID, and does not run with the rights of two users: take that away (`chmod u-s`)",
        ),
        (
            0o2755,
            "it is set-group-ID, and does not run with the rights of two users: take that away (`chmod g-s`)",
        ),
    ] {
        std::fs::set_permissions(&alumet, PermissionsExt::from_mode(mode)).unwrap();
        run.run().refuses(125, says);
        assert!(!run.path("started").exists());
    }
    std::fs::set_permissions(&alumet, PermissionsExt::from_mode(0o755)).unwrap();
    run.run().status(0);
    assert!(run.path("started").exists());
}

/// A directory that a user names as the machine's /sys could give any event the name of an energy meter.
#[test]
fn the_capability_of_the_file_counts_nothing_that_a_users_own_directory_describes() {
    let test = "the_capability_of_the_file_counts_nothing_that_a_users_own_directory_describes";
    if std::path::Path::new("/sys/bus/event_source/devices/power").exists() {
        return skip(test, "this machine has a PMU `power` of its own");
    }
    let words = ["exec", "--sysfs", "sys", "--set", "rapl.backend=perf", "--json", "p.json", "sleep", "0.1"];
    let metered = |run: &mut Alumet| {
        support::clock_as_power_pmu(&run.path("sys"));
        run.run().status(0);
        run.profile("p.json")["runs"][0].to_string().contains("RAPL through perf")
    };
    let Some(mut lent) = as_user(test, "cap_perfmon", &[], &words) else { return };
    assert!(!metered(&mut lent));
    // Root does with its own rights what it likes.
    assert!(metered(&mut Alumet::new(words)));
}

/// What is lent by the file of alumet is for measuring, not for reading what its user may not read.
#[test]
fn capabilities_of_the_file_open_no_file_that_the_user_names() {
    let test = "capabilities_of_the_file_open_no_file_that_the_user_names";
    const GOVERNOR: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    let lent = "cap_dac_read_search,cap_dac_override,cap_fowner";
    let prepared = |words: &[&str]| {
        let run = as_user(test, lent, &[], words)?;
        run.write("secret.toml", "secret = 1\n").write("secret.json", "{\"schema\": \"secret\"}\n");
        run.write("theirs.json", "{\"schema\": \"alumet.profile/1\"}\n");
        std::fs::create_dir_all(run.path("sys/devices/system/cpu/cpu0/cpufreq")).unwrap();
        run.write(GOVERNOR, "secret\n");
        for name in ["secret.toml", "secret.json", "theirs.json", GOVERNOR] {
            std::fs::set_permissions(run.path(name), PermissionsExt::from_mode(0o600)).unwrap();
        }
        std::fs::set_permissions(run.path(""), PermissionsExt::from_mode(0o755)).unwrap();
        Some(run)
    };
    for (words, status) in [
        (&["exec", "--config", "secret.toml", "true"][..], 2),
        (&["config", "--config", "secret.toml"], 2),
        (&["check", "--baseline", "secret.json", "true"], 125),
        (&["compare", "secret.json", "secret.json"], 125),
        (&["exec", "--json", "theirs.json", "true"], 125),
        (&["exec", "-o", "secret.json", "true"], 125),
        (&["exec", "--json", "new.json", "true"], 125),
        (&["exec", "-r", "2", "--app-output", "new", "true"], 125),
    ] {
        let Some(mut run) = prepared(words) else { return };
        let done = run.run();
        assert_eq!(done.status, status, "{words:?}: {done:?}");
        let text = format!("{}{}", done.stdout, done.stderr);
        assert!(text.to_lowercase().contains("permission denied"), "{words:?}: {text}");
        assert!(!run.path("new.json").exists() && !run.path("new").exists());
        assert_eq!(run.read("theirs.json"), "{\"schema\": \"alumet.profile/1\"}\n");
    }
    // Nor below a root of the machine's files that the user makes up.
    for (mode, governor) in [(0o600, serde_json::Value::Null), (0o644, "secret".into())] {
        let Some(mut run) = prepared(&["doctor", "--json", "--sysfs", "sys"]) else { return };
        std::fs::set_permissions(run.path(GOVERNOR), PermissionsExt::from_mode(mode)).unwrap();
        let found: serde_json::Value = serde_json::from_str(&run.run().stdout).unwrap();
        assert_eq!(found["host"]["governor"], governor, "{mode:o}");
    }
}
