//! alumet ends with the application's status, and the application is started as if alumet were not there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Command;

use support::{Alumet, soon};

/// `alumet exec` of a shell script.
fn script(options: &[&str], script: &str) -> Alumet {
    Alumet::new(["exec"].iter().chain(options).chain(&["sh", "-c", script]))
}

#[test]
fn the_status_is_the_applications_and_the_summary_is_on_stderr_alone() {
    for (text, status, says) in [
        ("exit 0", 0, "ended with status 0"),
        ("exit 7", 7, "ended with status 7"),
        ("exit 255", 255, "ended with status 255"),
        ("kill -KILL $$", 137, "was ended by SIGKILL"),
        ("kill -SEGV $$", 139, "was ended by SIGSEGV"),
        ("kill -TERM $$", 143, "was ended by SIGTERM"),
        ("kill -34 $$", 162, "was ended by signal 34"),
    ] {
        let done = script(&["-v"], text).run().status(status).says(says).says("CPU ");
        assert_eq!(done.stdout, "", "{text}");
    }
}

#[test]
fn the_output_is_the_applications_alone() {
    let done = script(&["-q"], "echo out; echo err >&2").run().status(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn a_core_dump_changes_nothing() {
    let mut alumet = Alumet::sh("ulimit -c unlimited; exec \"$@\"", &["exec", "sh", "-c", "kill -SEGV $$"]);
    let done = alumet.run().status(139).says("was ended by SIGSEGV");
    assert!(!done.stderr.to_lowercase().contains("core dump"), "{}", done.stderr);
}

#[test]
fn a_command_that_does_not_exist_is_127() {
    Alumet::new(["exec", "no-such-command-here"]).run().refuses(127, "no-such-command-here: not found");
    Alumet::new(["exec", "./no/such"]).run().refuses(127, "./no/such: not found");
    let mut alumet = Alumet::new(["exec", "-o", "s.csv", "--json", "p.json", "no-such-command-here"]);
    alumet.run().refuses(127, "not found");
    assert!(!alumet.path("p.json").exists());
}

#[test]
fn a_command_that_cannot_be_executed_is_126() {
    let run = |name: &str| {
        let mut alumet = Alumet::new(["exec", name]);
        std::fs::create_dir(alumet.path("directory")).unwrap();
        alumet.write("plain", "#!/bin/sh\n").write("orphan", "#!/no/such/interpreter\n");
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(alumet.path("orphan"), all).unwrap();
        alumet.run()
    };
    run("./plain").refuses(126, "./plain: cannot be executed: permission denied");
    run("./directory").refuses(126, "./directory: cannot be executed: permission denied");
    run("./orphan").refuses(126, "./orphan: cannot be executed: its interpreter does not exist");
}

#[test]
fn a_failure_of_alumet_is_125_and_wrong_usage_is_2() {
    Alumet::new(["exec", "-o", "/no/such/directory/x", "true"]).run().refuses(125, "there is no directory");
    Alumet::new(["exec", "--no-such-flag", "true"]).run().refuses(2, "--no-such-flag");
    Alumet::new(["exec"]).run().refuses(2, "COMMAND");
    Alumet::new(["--no-such-flag"]).run().refuses(2, "--no-such-flag");
    assert_eq!(Alumet::new([""; 0]).run().status(2).stdout, "");
}

#[test]
fn ignore_failure_makes_it_0() {
    script(&["--ignore-failure"], "exit 7").run().status(0).says("ended with status 7");
    script(&["--ignore-failure"], "kill -KILL $$").run().status(0).says("was ended by SIGKILL");
    Alumet::new(["exec", "--ignore-failure", "no-such-command-here"]).run().refuses(127, "not found");
}

#[test]
fn two_dashes_are_not_required_and_the_applications_flags_are_its_own() {
    for words in [
        &["exec", "-q", "echo", "-q", "--json", "x", "--"][..],
        &["exec", "-q", "--", "echo", "-q", "--json", "x", "--"],
    ] {
        assert_eq!(Alumet::new(words).run().status(0).stdout, "-q --json x --\n");
    }
    assert_eq!(Alumet::new(["exec", "-q", "--", "echo", "--", "a"]).run().status(0).stdout, "-- a\n");
}

#[test]
fn output_flags_write_what_was_asked_for_and_nothing_else() {
    let mut alumet = Alumet::new(["exec", "-q", "-o", "s.csv", "--json=p.json", "true"]);
    alumet.run().status(0);
    assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["code"], 0);
    assert!(!alumet.rows("s.csv").is_empty());
    let names = |alumet: &Alumet| {
        let all = std::fs::read_dir(alumet.path(""))
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap());
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    };
    assert_eq!(names(&alumet), ["p.json", "s.csv"]);
    let mut alumet = Alumet::new(["exec", "true"]);
    alumet.run().status(0);
    assert_eq!(names(&alumet), [""; 0]);
}

#[test]
fn the_time_limit_ends_the_application_with_124_and_the_report_is_still_written() {
    let options = ["--timeout", "300ms", "--json", "p.json", "-o", "s.csv", "-i", "20ms"];
    let mut alumet = script(&options, "trap 'echo asked; exit 9' TERM; sleep 300 & wait");
    let done = alumet.run().status(124).says("was ended after 300ms");
    assert_eq!(done.stdout, "asked\n");
    let run = &alumet.profile("p.json")["runs"][0];
    assert_eq!((&run["timed_out"], &run["exit"]["code"]), (&true.into(), &9.into()));
    assert!(!alumet.rows("s.csv").is_empty());
    assert_eq!(alumet.processes().pids(), [0; 0]);
}

#[test]
fn the_time_limit_ends_the_whole_tree_even_who_ignores_it_or_has_a_session_of_its_own() {
    let text = "trap '' TERM; setsid sh -c 'sleep 300' & (setsid sleep 300 &); sleep 300; sleep 300";
    let mut alumet = script(&["--timeout", "300ms", "--json", "p.json"], text);
    alumet.run().status(124).says("was ended after");
    let run = &alumet.profile("p.json")["runs"][0];
    assert_eq!((&run["timed_out"], &run["exit"]["signal"]), (&true.into(), &9.into()));
    assert_eq!(alumet.processes().pids(), [0; 0]);
}

#[test]
fn a_stopped_application_is_ended_by_the_time_limit_too() {
    let mut alumet = script(&["--timeout", "300ms"], "kill -STOP $$");
    alumet.run().status(124).says("was ended after");
    assert_eq!(alumet.processes().pids(), [0; 0]);
}

#[test]
fn a_time_limit_that_is_not_reached_changes_nothing() {
    let mut alumet = script(&["--timeout", "1h", "--json", "p.json"], "exit 3");
    alumet.run().status(3);
    assert_eq!(alumet.profile("p.json")["runs"][0]["timed_out"], false);
}

#[test]
fn a_broken_pipe_ends_the_application_as_it_would_without_alumet() {
    // A test runner may ignore SIGPIPE, and a shell cannot undo that; `env` can.
    let pipe = "(env --default-signal=PIPE \"$@\"; echo $? >status) | head -1";
    let mut alumet = Alumet::sh(pipe, &["exec", "-q", "--", "yes"]);
    assert_eq!(alumet.run().status(0).stdout, "y\n");
    assert_eq!(alumet.read("status"), "141\n");

    let mut alumet = Alumet::sh(&pipe.replace("--default", "--ignore"), &["exec", "-q", "--", "yes"]);
    assert!(alumet.run().status(0).stderr.contains("Broken pipe"), "yes did not see the error");
    assert_eq!(alumet.read("status"), "1\n");
}

#[test]
fn standard_input_is_the_applications() {
    let mut alumet = Alumet::sh("printf 'one\\ntwo' | \"$@\"", &["exec", "-q", "cat"]);
    assert_eq!(alumet.run().status(0).stdout, "one\ntwo");
    let mut alumet = Alumet::sh("\"$@\" </dev/null", &["exec", "-q", "cat"]);
    assert_eq!(alumet.run().status(0).stdout, "");
}

/// The mask without the two signals that the C library keeps for its threads, 32 and 33 (nptl(7)): it ignores them in
/// what it spawns, and does with them as it likes in each program.
fn without_own_signals(mask: &str) -> String {
    format!("SigIgn:\t{:x}", u64::from_str_radix(mask, 16).unwrap() & !(0b11 << 31))
}

/// What a process finds that is started in these circumstances, with `alumet exec -q` before it or without.
fn found(setup: &str, with_alumet: bool) -> Vec<String> {
    let run = |command: &[&str]| {
        let mut alumet = if with_alumet {
            Alumet::sh(setup, &[&["exec", "-q"], command].concat())
        } else {
            let mut shell = Command::new("sh");
            shell.args(["-c", setup, "sh"]);
            Alumet::with(shell, command)
        };
        alumet.write("x", "the working directory is right: 1=1\n");
        let directory = alumet.path("").to_string_lossy().trim_end_matches('/').to_owned();
        alumet.run().status(0).stdout.replace(&directory, "DIRECTORY").replace('\0', "\n")
    };
    // The application's first process itself reads them: `cat` changes nothing of what it has got.
    let text = run(&[
        "cat",
        "x",
        "/proc/self/status",
        "/proc/self/stat",
        "/proc/self/limits",
        "/proc/self/sched",
        "/proc/self/environ",
        "/proc/self/oom_score_adj",
        "/proc/self/coredump_filter",
        "/proc/self/timerslack_ns",
    ]);
    let status =
        ["Umask", "Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp", "Sig", "Shd", "Cap", "Cpus_", "TracerPid"];
    let all = text.lines().filter_map(|line| match line.split_once(" (cat) ") {
        // Process group, session, terminal, its foreground group, nice value, signal at the end, policy.
        Some((_, stat)) => {
            let fields: Vec<_> = stat.split(' ').collect();
            Some([2, 3, 4, 5, 16, 35, 38].map(|i| fields[i]).join(" "))
        }
        None => {
            let kept = (status.iter().any(|key| line.starts_with(key)) && !line.starts_with("SigQ"))
                || ["Max ", "policy", "prio"].iter().any(|key| line.starts_with(key))
                || (line.contains('=') && !line.contains("numa_"))
                || line.chars().all(|c| c.is_ascii_hexdigit());
            kept.then(|| line.strip_prefix("SigIgn:\t").map_or_else(|| line.to_owned(), without_own_signals))
        }
    });
    let mut all: Vec<_> = all.collect();
    all.push(run(&["sh", "-c", "cd /proc/$$/fd; echo *"]));
    all
}

#[test]
fn the_application_finds_everything_as_without_alumet() {
    for setup in [
        "exec \"$@\"",
        "umask 027; ulimit -S -n 200; ulimit -t 1000; ulimit -c 0; exec nice -n 5 \"$@\"",
        "exec env A=b EMPTY= \"$@\"",
        "exec env --ignore-signal=CHLD \"$@\"",
        "exec env --ignore-signal=PIPE,HUP,INT,USR1 \"$@\"",
        "exec env --ignore-signal=XFSZ \"$@\"",
        "exec env --default-signal=XFSZ \"$@\"",
        "exec env --block-signal=USR1,TERM,CHLD,RTMIN \"$@\"",
        "exec env --default-signal \"$@\"",
        "exec \"$@\" <&-",
        "exec \"$@\" 2>&-",
        "exec \"$@\" <&- 2>&-",
        "exec \"$@\" 5</dev/null 9>/dev/null",
        "exec taskset -c 0 chrt -b 0 \"$@\"",
    ] {
        let (bare, under) = (found(setup, false), found(setup, true));
        assert!(bare.len() > 40, "{bare:#?}");
        assert_eq!(under, bare, "{setup}");
    }
}

#[test]
fn the_application_has_a_closed_standard_output_if_alumet_has() {
    // alumet's runtime opens /dev/null in its place, where writing would work.
    let text = "echo x 2>/dev/null; echo $? >status";
    let mut alumet = Alumet::sh("exec \"$@\" >&-", &["exec", "-q", "sh", "-c", text]);
    alumet.run().status(0);
    assert_ne!(alumet.read("status"), "0\n");
}

#[test]
fn a_process_cannot_write_to_the_terminal_by_its_name() {
    let text = "sh -c 'printf \"\\033[2Jx\" >/proc/$$/comm; sleep 3; :' >/dev/null 2>&1 & \
        until grep -q x /proc/$!/comm; do :; done";
    let done = Alumet::sh("\"$@\" 2>err; cat err", &["exec", "sh", "-c", text]).run().status(0);
    assert!(done.stdout.contains("left alone: \u{fffd}[2Jx ("), "{}", done.stdout);
    assert!(!done.stdout.contains('\u{1b}'), "{}", done.stdout);
}

#[test]
fn the_status_is_there_as_soon_as_the_application_has_ended() {
    // Its orphan keeps nobody waiting, and is not ended.
    let mut alumet = Alumet::sh("\"$@\" >out 2>err", &["exec", "sh", "-c", "sleep 3 & sleep 0.1; exit 4"]);
    alumet.run().status(4);
    assert!(alumet.read("err").contains("still running, left alone: sleep"));
    assert_eq!(alumet.processes().pids().len(), 1);
    assert!(soon(|| alumet.processes().pids().is_empty()));
}
