//! What happens when outputs fail, resources run out or applications behave strangely: alumet says so and goes on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use support::{Alumet, Done, counter, is_root, skip, soon, workload};

/// Runs it; nothing it says may be of a panic.
#[track_caller]
fn run(alumet: &mut Alumet) -> Done {
    // A panic would say so, and with a backtrace.
    alumet.command.env("RUST_BACKTRACE", "1");
    let done = alumet.run();
    for text in ["panicked", "RUST_BACKTRACE", "internal error", "bug in alumet"] {
        assert!(!done.stderr.contains(text), "{}", done.stderr);
    }
    done
}

fn exec(options: &[&str], command: &[&str]) -> Alumet {
    Alumet::new([&["exec"], options, command].concat())
}

/// The line in which alumet says that an output failed.
#[track_caller]
fn complaint(done: &Done) -> &str {
    let mut lines = done.stderr.lines().filter(|line| line.starts_with("alumet: "));
    let line = lines.next().unwrap_or_else(|| panic!("no complaint: {}", done.stderr));
    assert_eq!(lines.next(), None, "{}", done.stderr);
    line
}

/// From `... 12 of 1,234 points are in it ...`.
fn points_in_it(line: &str) -> (u64, u64) {
    let words: Vec<_> = line.split(' ').collect();
    let at = words.iter().position(|word| *word == "points").unwrap_or_else(|| panic!("{line}"));
    let number = |word: &str| word.replace(',', "").parse().unwrap();
    (number(words[at - 3]), number(words[at - 1]))
}

#[test]
fn a_full_disk_does_not_touch_the_application_and_is_told_in_numbers() {
    let script = "sleep 0.4; touch finished; exit 3";
    let mut alumet = exec(&["-o", "/dev/full", "--json", "p.json", "-i", "10ms"], &["sh", "-c", script]);
    let done = run(&mut alumet).status(125).says("ended with status 3");
    let line = complaint(&done);
    assert!(
        line.contains("cannot write series to /dev/full: ") && line.to_lowercase().contains("no space left")
    );
    assert!(line.contains("the application ended with status 3"), "{line}");
    assert_eq!(done.stderr.to_lowercase().matches("no space left").count(), 1, "once: {}", done.stderr);
    let (arrived, all) = points_in_it(line);
    assert!(arrived == 0 && all > 100, "{line}");
    assert!(alumet.path("finished").exists());
    let profile = alumet.profile("p.json");
    assert_eq!(profile["runs"][0]["exit"]["code"], 3);
    assert!(counter(&profile, "process.cpu.time", "") > 0.0);
}

#[test]
fn an_output_to_a_closed_descriptor_is_refused_and_not_lost() {
    for (option, path) in [("-o", "/dev/stdout"), ("--json", "/dev/fd/1"), ("-o", "/proc/self/fd/1")] {
        let mut alumet = Alumet::sh("exec \"$@\" >&-", &["exec", option, path, "touch", "started"]);
        run(&mut alumet).refuses(125, &format!("to {path}: it is closed"));
        assert!(!alumet.path("started").exists());
        // It is the descriptor that matters, and not what the runtime has put there.
        Alumet::sh("exec \"$@\" >/dev/null", &["exec", "-q", option, path, "true"]).run().status(0);
        Alumet::sh("exec \"$@\" >&-", &["exec", "-q", option, "/dev/null", "true"]).run().status(0);
    }
}

#[test]
fn a_profile_that_cannot_be_written_is_told_and_the_series_are_whole() {
    let mut alumet = exec(&["-o", "s.csv", "--json", "/dev/full"], &["sh", "-c", "exit 3"]);
    let done = run(&mut alumet).status(125).says("ended with status 3");
    assert_eq!(complaint(&done), "alumet: cannot write the profile to /dev/full: no space left on device");
    assert!(!alumet.rows("s.csv").is_empty());
}

/// The whole rows of a file, of which the last one may be cut.
fn whole_rows(alumet: &Alumet, name: &str) -> u64 {
    let text = alumet.read(name);
    let (whole, _) = text.rsplit_once('\n').unwrap();
    // Rows of another length are an error.
    csv::Reader::from_reader(whole.as_bytes()).records().map(|row| row.unwrap()).fold(0, |n, _| n + 1)
}

#[test]
fn a_disk_that_fills_up_leaves_whole_rows() {
    // A file size limit does the same, without an end by its signal.
    let script = "ulimit -f 20; exec \"$@\"";
    let mut alumet = Alumet::sh(script, &["exec", "-q", "-i", "1ms", "-o", "s.csv", "sleep", "0.5"]);
    let done = run(&mut alumet).status(125);
    let (arrived, all) = points_in_it(complaint(&done));
    assert!(0 < arrived && arrived < all, "{done:?}");
    // The row that was cut is neither among them nor in the file.
    assert_eq!(arrived, whole_rows(&alumet, "s.csv"), "{done:?}");
    assert!(alumet.read("s.csv").ends_with('\n'));
}

#[test]
fn a_limit_of_file_sizes_is_told_and_ends_only_the_application() {
    let within = |options: &[&str], command: &str| {
        let words = [&["exec", "-q"], options, &["sh", "-c", command]].concat();
        let mut alumet = Alumet::sh("ulimit -f 1; exec env --default-signal=XFSZ \"$@\"", &words);
        run(&mut alumet)
    };
    within(&["--json", "p.json"], "exit 3")
        .refuses(125, "cannot write the profile to p.json: file too large");
    within(&["-o", "s.csv", "-i", "1ms"], "sleep 0.2")
        .refuses(125, "cannot write series to s.csv: file too large");
    within(&[], "exec head -c 5000 /dev/zero >large").status(128 + 25);
}

#[test]
fn a_disk_that_has_room_again_gets_whole_rows() {
    if !is_root("a_disk_that_has_room_again_gets_whole_rows") {
        return;
    }
    // A page is left at first. Each second something is written, so that more than one attempt fails.
    let script = "mkdir d; mount -t tmpfs -o size=1M none d && head -c 1044480 /dev/zero >d/filler; \"$@\"; \
        status=$?; cp d/s.csv .; umount d; exit $status";
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "sh", "-c", script, "sh"]).arg(support::binary());
    let application = ["sh", "-c", "sleep 2.5; rm d/filler; sleep 1"];
    let mut alumet =
        Alumet::with(shell, [&["exec", "-q", "-i", "10ms", "-o", "d/s.csv"], &application[..]].concat());
    let done = run(&mut alumet).status(125);
    let (arrived, all) = points_in_it(complaint(&done));
    assert!(0 < arrived && arrived < all, "{done:?}");
    assert_eq!(whole_rows(&alumet, "s.csv"), arrived);
    assert!(alumet.read("s.csv").ends_with('\n'));
}

#[test]
fn bytes_that_are_no_text_are_passed_and_taken_as_they_are() {
    let odd = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
    let words =
        [odd(b"exec"), odd(b"-o"), odd(b"s\xff.csv"), odd(b"--json"), odd(b"p\xfe\xff.json"), odd(b"printf")];
    let mut alumet =
        Alumet::new(words.into_iter().chain([odd(b"%s|"), odd(b"a\xff"), odd(b""), odd(b"\xc3\x28\n")]));
    alumet.command.env("RUST_BACKTRACE", "1");
    let output = alumet.command.output().unwrap();
    assert_eq!(output.stdout, b"a\xff||\xc3\x28\n|");
    let done = Done::of(output).status(0);
    assert!(!done.stderr.contains("panicked"));
    let read = |name| std::fs::read_to_string(alumet.path("").join(odd(name))).unwrap();
    assert!(read(b"s\xff.csv").starts_with("time_s,"));
    let profile: serde_json::Value = serde_json::from_str(&read(b"p\xfe\xff.json")).unwrap();
    assert_eq!(profile["command"][0], "printf");
}

#[test]
fn ten_thousand_arguments_are_passed_on() {
    let numbers: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
    let words =
        ["exec", "-q", "--json", "p.json", "echo"].into_iter().chain(numbers.iter().map(String::as_str));
    let mut alumet = Alumet::new(words);
    assert_eq!(run(&mut alumet).status(0).stdout, numbers.join(" ") + "\n");
    assert_eq!(alumet.profile("p.json")["command"].as_array().unwrap().len(), 10_001);
}

#[test]
fn a_relative_path_is_that_of_alumet_whatever_the_application_does() {
    let script = "mkdir d; cd d; rmdir ../d; sleep 0.1";
    let mut alumet = exec(&["-q", "-o", "s.csv", "--json", "./p.json", "-i", "10ms"], &["sh", "-c", script]);
    run(&mut alumet).status(0);
    assert!(alumet.rows("s.csv").len() > 100);
    assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["code"], 0);
}

#[test]
fn applications_that_behave_strangely_are_measured() {
    let workload = workload().to_str().unwrap();
    for command in [
        &[workload, "closefds", "burn=30"][..],
        &[workload, "rename", "burn=30"],
        &["sh", "-c", "exec 0<&- 1>&- 2>&-; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"],
        &["sh", "-c", "exec \"$0\" burn=30", workload],
        &["setsid", "--wait", workload, "burn=30"],
        &["nice", workload, "burn=30"],
    ] {
        let mut alumet = exec(&["-v", "--json", "p.json", "-o", "s.csv", "-i", "5ms"], command);
        run(&mut alumet).status(0).says("ended with status 0");
        assert!(counter(&alumet.profile("p.json"), "process.cpu.time", "") > 0.005, "{command:?}");
        assert!(!alumet.rows("s.csv").is_empty());
    }
}

#[test]
fn an_application_that_becomes_another_user_is_measured() {
    if !is_root("an_application_that_becomes_another_user_is_measured") {
        return;
    }
    let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 4";
    let become_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", script];
    let mut alumet = exec(&["--json", "p.json", "-i", "5ms", "--per-process"], &become_nobody);
    run(&mut alumet).status(4);
    assert!(counter(&alumet.profile("p.json"), "process.cpu.time", "") > 0.005);
}

#[test]
fn an_application_that_dies_at_once_is_measured() {
    for _ in 0..20 {
        let mut alumet = exec(&["--json", "p.json", "-i", "1ms"], &["sh", "-c", "kill -KILL $$"]);
        run(&mut alumet).status(137);
        let profile = alumet.profile("p.json");
        assert_eq!(profile["runs"][0]["exit"]["signal"], 9);
        assert!(counter(&profile, "process.cpu.time", "") > 0.0);
    }
}

#[test]
fn what_outlives_the_application_is_named_and_left_alone_or_waited_for() {
    let script = "(sleep 1; touch finished) >/dev/null 2>&1 & exit 4";
    let mut alumet = exec(&["--json", "p.json"], &["sh", "-c", script]);
    run(&mut alumet).status(4).says("still running, left alone: ");
    assert!(!alumet.path("finished").exists());
    assert!(!alumet.profile("p.json")["runs"][0]["survivors"].as_array().unwrap().is_empty());
    assert!(soon(|| alumet.path("finished").exists()));

    let mut alumet = exec(&["--wait-all", "--json", "p.json"], &["sh", "-c", script]);
    let done = run(&mut alumet).status(4);
    assert!(alumet.path("finished").exists() && !done.stderr.contains("still running"), "{done:?}");
    assert!(alumet.profile("p.json")["runs"][0]["survivors"].as_array().unwrap().is_empty());
}

/// Without a cgroup, whoever looks from parent to child is always too late for some.
#[test]
fn processes_that_pass_on_the_baton_are_waited_for_to_the_last_and_ended_if_that_is_asked() {
    let name = "processes_that_pass_on_the_baton_are_waited_for_to_the_last_and_ended_if_that_is_asked";
    if !is_root(name) {
        return;
    }
    let relay = |options: &[&str], n: u32| {
        let steps = format!("relay={n}");
        let command = [options, &["--json", "p.json", "bin/workload", &steps]].concat();
        let words = [&["exec"], &command[..]].concat();
        Alumet::as_nobody("exec \"$@\" >said 2>&1", &words).with_workload()
    };
    let mut alumet = relay(&["--wait-all"], 3000);
    assert!(alumet.command.status().unwrap().success(), "{}", alumet.read("said"));
    assert!(alumet.path("over").exists(), "{}", alumet.read("said"));

    let mut alumet = relay(&["--wait-all", "--timeout", "300ms"], 10_000_000);
    assert_eq!(alumet.command.status().unwrap().code(), Some(124), "{}", alumet.read("said"));
    assert_eq!(alumet.processes().pids(), [0; 0]);
}

#[test]
fn a_proc_that_hides_the_processes_of_others_still_shows_ones_own() {
    if !is_root("a_proc_that_hides_the_processes_of_others_still_shows_ones_own") {
        return;
    }
    let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 0.1";
    let words = ["exec", "--json", "p.json", "--per-process", "-i", "10ms", "sh", "-c", script];
    let mut alumet = Alumet::as_nobody("test ! -e /proc/1/stat && exec \"$@\"", &words);
    // The same command, where another /proc is mounted for it alone.
    let inner = std::mem::replace(&mut alumet.command, Command::new("unshare"));
    let mount = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    alumet.command.args(["--mount", "sh", "-c", mount, "sh"]).arg(inner.get_program()).args(inner.get_args());
    let directory = inner.get_current_dir().unwrap();
    alumet.command.current_dir(directory).stdin(Stdio::null()).env("XDG_CONFIG_HOME", directory.join("xdg"));
    run(&mut alumet).status(0);
    assert!(counter(&alumet.profile("p.json"), "process.cpu.time", "") > 0.005);
}

/// What of the machine cannot be read takes nothing of the application away.
#[test]
fn a_machine_that_hides_its_own_files_still_shows_what_the_application_uses() {
    let test = "a_machine_that_hides_its_own_files_still_shows_what_the_application_uses";
    if !is_root(test) {
        return;
    }
    let (stat, meminfo) = ("the machine's CPU time", "the machine's memory");
    for (mount, gaps, remedy) in [
        ("mount --bind /dev/null /proc/meminfo", vec![meminfo], "--procfs"),
        ("mount --bind /dev/null /proc/stat", vec![stat], "--procfs"),
        ("mount -t proc -o subset=pid proc /proc", vec![stat, meminfo], "ProcSubset=all"),
    ] {
        let mut shell = Command::new("unshare");
        let script = format!("{mount} || exit 99; exec \"$@\"");
        shell.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(support::binary());
        let words = ["exec", "--json", "p.json", "--without", "estimate", "sh", "-c"];
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 0.3";
        let mut alumet = Alumet::with(shell, words.iter().chain(&[busy]));
        let done = run(&mut alumet);
        if done.status == 99 {
            skip(test, &format!("`{mount}` does not work here: {}", done.stderr.trim()));
            continue;
        }
        let done = done.status(0);
        let profile = alumet.profile("p.json");
        assert!(counter(&profile, "process.cpu.time", "") > 0.005, "{mount}: {}", done.stderr);
        assert!(counter(&profile, "process.paging.faults", "minor") > 0.0, "{mount}");
        let source = profile["sources"].as_array().unwrap().iter().find(|source| source["name"] == "procfs");
        assert_eq!(source.unwrap()["status"], "available", "{mount}");
        let missing = profile["missing"].as_array().unwrap();
        let of_machine: Vec<_> =
            missing.iter().filter(|gap| gap["what"].as_str().unwrap().contains("the machine's")).collect();
        assert_eq!(of_machine.iter().map(|gap| gap["what"].as_str().unwrap()).collect::<Vec<_>>(), gaps);
        assert!(of_machine.iter().all(|gap| gap["remedy"].as_str().unwrap().contains(remedy)), "{missing:?}");
    }
}

/// Each pid would be that of another process.
#[test]
fn a_proc_of_another_pid_namespace_is_refused_before_anything_runs() {
    let test = "a_proc_of_another_pid_namespace_is_refused_before_anything_runs";
    if !is_root(test) {
        return;
    }
    let within = |options: &[&str], words: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork"]).args(options).arg(support::binary());
        let mut alumet = Alumet::with(unshare, words);
        let done = run(&mut alumet);
        (!done.stderr.starts_with("unshare:")).then(|| (done, alumet.path("started").exists()))
    };
    let exec = ["exec", "--prepare", "touch started", "-o", "s.csv", "touch", "started"];
    for words in [&exec[..], &["attach", "1"], &["compare", "touch started", "true"]] {
        let Some((done, started)) = within(&[], words) else {
            return skip(test, "no PID namespace can be made");
        };
        done.refuses(125, "/proc shows another PID namespace");
        assert!(!started);
    }
    if let Some((done, started)) = within(&["--mount-proc"], &["exec", "-q", "touch", "started"]) {
        done.status(0);
        assert!(started);
    }
}

#[test]
fn a_pipe_that_is_read_slowly_gets_everything() {
    let reader = "mkfifo pipe; (while read -r line; do printf '%s\\n' \"$line\"; sleep 0.0005; done <pipe >all; \
        touch read) & exec \"$@\"";
    let words = ["exec", "-q", "-i", "2ms", "-o", "pipe", "--json", "p.json", "sleep", "0.2"];
    let mut alumet = Alumet::sh(reader, &words);
    run(&mut alumet).status(0);
    assert!(soon(|| alumet.path("read").exists()));
    let points = alumet.rows("all").len();
    assert!(points > 100, "{points}");
    let sum: f64 = alumet
        .rows("all")
        .iter()
        .filter(|row| row["metric"] == "process.paging.faults" && row["consumer"] == "target")
        .map(|row| row["value"].parse::<f64>().unwrap())
        .sum();
    assert_eq!(sum, counter(&alumet.profile("p.json"), "process.paging.faults", ""));
}

#[test]
fn a_pipe_whose_reader_goes_away_is_told_and_the_application_lives_on() {
    let reader = "mkfifo pipe; head -1 <pipe >first & exec \"$@\"";
    let words = ["exec", "-q", "-i", "2ms", "-o", "pipe", "sh", "-c", "sleep 0.5; touch finished; exit 3"];
    let mut alumet = Alumet::sh(reader, &words);
    let done = run(&mut alumet).status(125);
    let (arrived, all) = points_in_it(complaint(&done));
    assert!(arrived < all && done.stderr.to_lowercase().contains("broken pipe"), "{done:?}");
    assert!(alumet.path("finished").exists() && alumet.read("first").starts_with("time_s,"));
}

#[test]
fn closed_standard_streams_are_no_failure() {
    for closed in [">&-", "2>&-", "<&-", "<&- >&- 2>&-"] {
        let script = format!("exec \"$@\" {closed}");
        let words = ["exec", "-o", "s.csv", "--json", "p.json", "-i", "5ms", "sh", "-c", "sleep 0.1; exit 3"];
        let mut alumet = Alumet::sh(&script, &words);
        run(&mut alumet).status(3);
        // Nothing of the summary has landed in a file that took the closed one's number.
        assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["code"], 3, "{closed}");
        assert!(!alumet.rows("s.csv").is_empty());
    }
    for target in ["2>/dev/full", "2>&1 >/dev/null | head -0"] {
        let mut alumet =
            Alumet::sh(&format!("\"$@\" {target}"), &["exec", "--json", "p.json", "sh", "-c", "exit 0"]);
        run(&mut alumet).status(0);
        assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["code"], 0, "{target}");
    }
}

#[test]
fn few_descriptors_are_enough_for_many_processes() {
    let script = "for i in $(seq 60); do sleep 0.5 & done; wait; exit 3";
    let words =
        ["exec", "--per-process", "-i", "10ms", "-o", "s.csv", "--json", "p.json", "sh", "-c", script];
    let mut alumet = Alumet::sh("ulimit -n 20; exec \"$@\"", &words);
    let done = run(&mut alumet).status(3);
    assert!(!done.stderr.contains("failed"), "{}", done.stderr);
    let mut seen: Vec<_> =
        alumet.rows("s.csv").into_iter().filter(|row| row["consumer"] == "process").collect();
    seen.sort_by(|a, b| a["consumer_id"].cmp(&b["consumer_id"]));
    seen.dedup_by(|a, b| a["consumer_id"] == b["consumer_id"]);
    assert!(seen.len() >= 61, "{}", seen.len());
}

#[test]
fn alumet_takes_the_descriptors_that_it_may_and_the_application_keeps_its_limit() {
    // Whether the machine's CPU times advance in so short a run is chance, and so is how long a counter of it stands still.
    let words = [
        "exec",
        "-v",
        "--without",
        "estimate,rapl",
        "--json",
        "p.json",
        "--",
        "sh",
        "-c",
        "ulimit -n; ulimit -Hn",
    ];
    let missing = |limit: &str| {
        let mut alumet = Alumet::sh(&format!("{limit}; exec \"$@\""), &words);
        let done = run(&mut alumet).status(0);
        let missing = alumet.profile("p.json")["missing"].clone();
        let missing: Vec<_> =
            missing.as_array().unwrap().iter().map(|gap| gap["reason"].to_string()).collect();
        (done.stdout, missing)
    };
    let (limits, with_many) = missing("ulimit -n 500");
    assert_eq!(limits, "500\n500\n");
    assert_eq!(missing("ulimit -n 500; ulimit -Sn 16"), ("16\n500\n".into(), with_many));
    // What else the shell has open is not alumet's.
    assert_eq!(missing("exec 9</dev/null 8<&9 7<&9; ulimit -n 22").0, "22\n22\n");
    let (limits, missing) = missing("ulimit -n 16");
    assert_eq!(limits, "16\n16\n");
    assert_eq!(missing[0], "\"no more than 16 files may be open at once\"");
}

#[test]
fn where_no_descriptor_is_left_to_look_for_something_nothing_else_is_said_of_why_it_is_missing() {
    let words = ["exec", "-v", "--json", "p.json", "true"];
    let mut alumet = Alumet::sh("ulimit -n 16; exec \"$@\"", &words);
    let done = run(&mut alumet).status(0);
    let profile = alumet.profile("p.json");
    let reasons = |list: &str| -> Vec<String> {
        let all = profile[list].as_array().unwrap().iter();
        all.filter_map(|one| one["reason"].as_str())
            .filter(|why| !why.is_empty())
            .map(str::to_owned)
            .collect()
    };
    for list in ["missing", "sources"] {
        let reasons = reasons(list);
        assert!(!reasons.is_empty(), "{list}");
        // How long the CPU times of the machine stood still in so short a run is chance.
        let others = reasons.iter().filter(|why| !why.contains("CPU times have not advanced"));
        others.for_each(|why| assert_eq!(why, "no more than 16 files may be open at once", "{list}"));
    }
    for falsehood in ["does not say what it is", "modprobe", "mount a proc", "in sight"] {
        assert!(!done.stderr.contains(falsehood), "{}", done.stderr);
    }
}

#[test]
fn few_descriptors_are_enough_to_end_many_processes() {
    let script = "for i in $(seq 60); do setsid sleep 300 & done; wait";
    let mut alumet =
        Alumet::sh("ulimit -n 20; exec \"$@\"", &["exec", "--timeout", "1s", "sh", "-c", script]);
    run(&mut alumet).status(124);
    assert_eq!(alumet.processes().pids(), [0; 0]);
}

#[test]
fn without_descriptors_it_fails_before_anything_runs() {
    let mut worked = 0;
    for n in 4..=20 {
        let script = format!("ulimit -n {n}; exec \"$@\"");
        let words = ["exec", "-q", "-o", "s.csv", "--json", "p.json", "-i", "5ms", "touch", "started"];
        let mut alumet = Alumet::sh(&script, &words);
        let done = run(&mut alumet);
        let started = alumet.path("started").exists();
        match done.status {
            0 => assert!(started && !alumet.rows("s.csv").is_empty(), "{n}"),
            // The dynamic loader's own.
            127 => assert!(!started && done.stderr.contains("shared libraries"), "{n}: {done:?}"),
            _ => {
                assert!(!started, "{n}: {done:?}");
                let done = done.refuses(125, "too many open files");
                assert!(done.stderr.starts_with("alumet: cannot "), "{n}: {}", done.stderr);
                let says = format!("no more than {n} may be open at once; `ulimit -n 64`");
                assert!(!done.stderr.contains("process") || done.stderr.contains(&says), "{}", done.stderr);
            }
        }
        assert!(started || n < 20, "{n} descriptors are not enough for two files");
        worked += i32::from(started);
    }
    assert!(worked > 0);
}

#[test]
fn without_threads_it_fails_before_anything_runs() {
    if !is_root("without_threads_it_fails_before_anything_runs") {
        return;
    }
    let (mut failed, mut worked) = (0, 0);
    for n in 1..=8 {
        let words = ["exec", "-q", "-o", "s.csv", "--json", "p.json", "-i", "5ms", "touch", "started"];
        let mut alumet = Alumet::as_nobody(&format!("exec prlimit --nproc={n} \"$@\""), &words);
        let done = run(&mut alumet);
        if alumet.path("started").exists() {
            worked += 1;
            assert_eq!(done.status, 0, "{n}: {done:?}");
            // What was measured must have arrived everywhere.
            assert!(!alumet.rows("s.csv").is_empty(), "{n}");
            assert!(counter(&alumet.profile("p.json"), "process.cpu.time", "") > 0.0, "{n}");
        } else {
            failed += 1;
            let done = done.refuses(125, "");
            assert!(done.stderr.starts_with("alumet: cannot "), "{n}: {}", done.stderr);
            let says = format!(
                ": resource temporarily unavailable: this user's limit of processes and threads is {n}; raise it \
                 (`ulimit -u`), or end some\n"
            );
            assert!(done.stderr.ends_with(&says), "{n}: {}", done.stderr);
        }
    }
    assert!(failed > 0 && worked > 0, "{failed} failed, {worked} worked");
    for command in
        [&["doctor"][..], &["plugins"], &["compare", "true", "false"], &["exec", "-r", "2", "true"]]
    {
        let mut alumet = Alumet::as_nobody("exec prlimit --nproc=1 \"$@\"", command);
        run(&mut alumet).refuses(125, "limit of processes and threads is 1; raise it");
    }
}

#[test]
fn a_time_whose_end_alumet_could_not_see_is_at_most_so_long() {
    let script = "touch started; sleep 0.3; touch ended";
    let words = ["exec", "-i", "20ms", "--json", "p.json", "sh", "-c", script];
    let run = |is_stopped: bool| {
        let mut alumet = Alumet::new(words);
        let child = alumet.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let send =
            |signal| nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
        if is_stopped {
            assert!(soon(|| alumet.path("started").exists()));
            send(nix::sys::signal::Signal::SIGSTOP);
            assert!(soon(|| alumet.path("ended").exists()));
            std::thread::sleep(std::time::Duration::from_millis(600));
            send(nix::sys::signal::Signal::SIGCONT);
        }
        let done = Done::of(child.wait_with_output().unwrap()).status(0);
        (done, alumet.profile("p.json")["runs"][0].clone())
    };
    let (done, stopped) = run(true);
    assert!(stopped["wall_s"].as_f64() >= Some(0.8), "{}", done.stderr);
    assert_eq!(stopped["wall_bound"], "at_most", "{}", done.stderr);
    assert!(stopped["wall_bound_reason"].as_str().unwrap().contains("stopped"), "{stopped}");
    let time = done.stderr.lines().find(|line| line.starts_with("  Time ")).unwrap();
    assert!(time.contains(" at most "), "{time}");
    done.says("the time is at most so much: alumet was stopped");
    assert!(run(false).1.get("wall_bound").is_none(), "what is seen at once is exact");
}

#[test]
fn no_more_cores_are_busy_than_there_are_when_children_outlive_their_parent() {
    // SAFETY: sysconf takes a number and touches no memory.
    let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) } as f64;
    for _ in 0..5 {
        let script = "for i in 1 2 3 4 5 6; do \"$0\" burn=200 & done";
        let mut alumet =
            Alumet::new(["exec", "-v", "--json", "p.json", "-e", "task-clock", "--", "sh", "-c", script]);
        alumet.command.arg(workload());
        let done = run(&mut alumet).status(0);
        let words: Vec<_> = done.stderr.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "busy").unwrap_or_else(|| panic!("{}", done.stderr));
        let busy = if words[at - 1] == "cores" { words[at - 2].parse().unwrap() } else { 0.0 };
        assert!(busy <= cpus, "{}", done.stderr);
        let profile = alumet.profile("p.json");
        let derived = profile["runs"][0]["derived"].as_array().unwrap();
        let used = derived.iter().find(|derived| derived["metric"] == "perf.cpus_used").unwrap();
        assert!(used["value"].as_f64() <= Some(cpus), "{used}");
    }
}
