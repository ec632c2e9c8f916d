//! The gate of a pipeline: against a command, against a stored profile, and what it never passes.

#[path = "support/metered.rs"]
mod metered;
mod support;

use std::fs;

use metered::{Meter, PACKAGE};
use serde_json::{Value, json};
use support::{Alumet, Done, workload};

/// Ten runs that burn so many milliseconds, as `exec --json` keeps them.
fn profile(ms: u32) -> Value {
    let words = ["exec", "-r", "10", "-q", "--without", "perf,nvml,estimate,hwmon", "--json", "p.json"];
    let mut run = Alumet::new(words);
    run.command.arg(workload()).arg(format!("burn={ms}"));
    run.run().status(0);
    run.profile("p.json")
}

/// A check of a program that burns so many milliseconds against this text.
fn check(baseline: &str, options: &[&str], ms: u32) -> Done {
    let words = ["check", "--without", "perf,nvml,estimate,hwmon", "--baseline", "base.json"];
    let mut run = Alumet::new([&words[..], options].concat());
    run.write("base.json", baseline);
    run.command.arg("--").arg(workload()).arg(format!("burn={ms}"));
    run.run()
}

#[test]
fn against_a_stored_profile_more_work_fails_and_equal_work_passes() {
    let base = profile(30).to_string();
    // Time is not compared here: what else the machine has to do differs from one session to the other.
    let done = check(&base, &["--gate", "cpu"], 30).status(0);
    assert!(done.stdout.contains("PASS"), "{}", done.stdout);
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("the threshold is 5"), "a stored baseline takes a wider one: {text}");
    check(&base, &["--gate", "cpu"], 36).status(3);
    // A wider threshold of one's own is kept.
    check(&base, &["--gate", "cpu", "--threshold", "50%"], 36).status(0);
}

#[test]
fn against_a_stored_profile_too_nothing_is_left_to_a_process_that_lives_on() {
    let base = profile(5).to_string();
    let starts = "test -e started || { sleep 20 >/dev/null 2>&1 & }; touch started";
    for (warmup, which) in [("1", "warm-up 1 left"), ("0", "run 1 left")] {
        let words =
            ["check", "--without", "perf,nvml,estimate,hwmon", "-w", warmup, "--baseline", "base.json"];
        let mut run = Alumet::new([&words[..], &["--", "sh", "-c", starts]].concat());
        run.write("base.json", &base);
        run.run().refuses(125, &format!("there is nothing valid to compare: {which} processes behind"));
    }
}

#[test]
fn against_a_command_it_runs_in_turn() {
    let command = |ms: u32| format!("{} burn={ms}", workload().display());
    let gate = |base: u32, now: u32| {
        let words =
            ["check", "--without", "perf,nvml,estimate,hwmon", "--baseline-cmd", &command(base), "--"];
        let mut run = Alumet::new(words);
        run.command.arg(workload()).arg(format!("burn={now}"));
        run.run()
    };
    gate(30, 36).status(3);
    assert_ne!(gate(30, 30).status, 3);
}

#[test]
fn what_is_no_profile_of_this_machine_is_refused_and_never_passes() {
    let base = profile(5);
    let with = |pointer: &str, value: Value| {
        let mut changed = base.clone();
        *changed.pointer_mut(pointer).unwrap() = value;
        changed.to_string()
    };
    let every_cpu = |value: Value| {
        let mut changed = base.clone();
        for run in changed["runs"].as_array_mut().unwrap() {
            for metric in run["metrics"].as_array_mut().unwrap() {
                if metric["metric"] == "process.cpu.time" {
                    metric["value"] = value.clone();
                }
            }
        }
        changed.to_string()
    };
    let whole = base.to_string();
    let mut parameters = base.clone();
    parameters["runs"][0]["parameters"] = json!({"n": "1"});
    let mut one_run = base.clone();
    one_run["runs"].as_array_mut().unwrap().truncate(1);
    let mut no_metrics = base.clone();
    for run in no_metrics["runs"].as_array_mut().unwrap() {
        run["metrics"] = json!([]);
    }
    let of_cpu = |run: &mut Value| -> Vec<Value> {
        let metrics = run["metrics"].as_array_mut().unwrap().iter();
        metrics.filter(|m| m["metric"] == "process.cpu.time").cloned().collect()
    };
    let first_cpu = |key: &str, value: Value| {
        let mut changed = base.clone();
        let metrics = changed["runs"][0]["metrics"].as_array_mut().unwrap();
        metrics.iter_mut().find(|m| m["metric"] == "process.cpu.time").unwrap()[key] = value;
        changed.to_string()
    };
    let mut twice = base.clone();
    let again = of_cpu(&mut twice["runs"][0]);
    twice["runs"][0]["metrics"].as_array_mut().unwrap().extend(again);
    let mut leaving = base.clone();
    leaving["runs"][2]["survivors"] = json!([{"pid": 7, "name": "daemon"}]);
    let cases: [(String, &str); 23] = [
        (
            leaving.to_string(),
            "there is nothing valid to compare: base.json: 1 of 10 runs left processes behind",
        ),
        (
            with("/schema", json!("alumet.profile/0")),
            "has the format `alumet.profile/0`, but this alumet reads `alumet.profile/2`",
        ),
        (with("/host/kernel", json!("2.6.32")), "base.json is from another machine: kernel (2.6.32, now "),
        (with("/host/cpus", json!(4096)), "number of CPUs (4096, now "),
        (whole[..whole.len() / 2].to_owned(), "base.json: is no profile: it ends too early"),
        (String::new(), "it ends too early"),
        ("not JSON".into(), "base.json: is no profile: expected"),
        ("[1, 2]".into(), "it is JSON, but not what `exec --json` writes"),
        (with("/runs", json!([])), "has 0 of the 5 runs"),
        (one_run.to_string(), "has 1 of the 5 runs that it takes at least: `alumet exec -r 10 --json"),
        (
            with("/runs/3/exit", json!({"code": 7})),
            "run 4 ended with status 7, and is nothing to compare with",
        ),
        (parameters.to_string(), "has runs with different parameters"),
        (no_metrics.to_string(), "there is nothing valid to compare: "),
        (with("/runs/1/wall_s", json!(-1.5)), "run 2 is none that alumet has written: it took -1.5 s"),
        (with("/runs/4/exit", Value::Null), "run 5 has not ended, and is nothing to compare with"),
        (every_cpu(json!(-1.0)), "run 1 is none that alumet has written: process.cpu.time is negative"),
        (
            first_cpu("unit", json!("ms")),
            "run 1 is none that alumet has written: process.cpu.time is in ms, not in s",
        ),
        (first_cpu("kind", json!("gauge")), "process.cpu.time is no counter"),
        (first_cpu("provenance", json!("guessed")), "process.cpu.time is `guessed`"),
        (
            twice.to_string(),
            "run 1 is none that alumet has written: process.cpu.time of the same thing is there twice",
        ),
        (format!("{whole} {{}}"), "base.json: is no profile: trailing characters"),
        (whole.replacen("\"runs\":", "\"runs\":[],\"runs\":", 1), "is no profile"),
        (every_cpu(Value::Null), "it is JSON, but not what `exec --json` writes"),
    ];
    for (text, says) in cases {
        check(&text, &[], 5).refuses(125, says);
    }
    // JSON has no NaN; what writes one writes no JSON.
    check(&whole.replacen("\"wall_s\":", "\"wall_s\": NaN, \"x\":", 1), &[], 5).refuses(125, "is no profile");
    let mut run = Alumet::new(["check", "--baseline", "missing.json", "true"]);
    run.run().refuses(125, "missing.json: cannot be read: no such file or directory");
    check(&whole, &["--adaptive"], 5).refuses(2, "--adaptive needs --baseline-cmd");
    check(&whole, &["--require-measured"], 5).refuses(125, "--require-measured wants it to decide");
    check(&whole, &["--gate", "instructions"], 5).refuses(125, "instructions was not measured");
}

#[test]
fn profiles_are_versions_too() {
    let (base, more) = (profile(30).to_string(), profile(36).to_string());
    let compare = |versions: &[&str]| {
        let mut run = Alumet::new([&["compare", "--without", "perf,nvml,estimate,hwmon"], versions].concat());
        run.write("base.json", &base).write("same.json", &base).write("more.json", &more);
        run.run()
    };
    let done = compare(&["base.json", "same.json"]).status(0);
    assert!(done.stdout.contains("same.json against base.json: same "), "{}", done.stdout);
    compare(&["base.json", "more.json"]).status(3);
    compare(&["base.json", "same.json", "more.json"]).status(3);
    let now = format!("{} burn=36", workload().display());
    compare(&["base.json", &now]).status(3);
    compare(&[&now, "base.json"]).refuses(2, "a command cannot be the baseline of a profile");
    let done = {
        let mut run = Alumet::new(["compare", "--adaptive", "base.json", &now]);
        run.write("base.json", &base);
        run.run()
    };
    done.refuses(2, "--adaptive is for commands");
    let mut left: Value = serde_json::from_str(&base).unwrap();
    left["runs"][9]["survivors"] = json!([{"pid": 7, "name": "daemon"}]);
    let mut run = Alumet::new(["compare", "base.json", "left.json"]);
    run.write("base.json", &base).write("left.json", &left.to_string());
    run.run().refuses(125, "left.json: 1 of 10 runs left processes behind");
    // Nothing is decided by too few of them, however clear they are.
    let few = |text: &str| {
        let mut few: Value = serde_json::from_str(text).unwrap();
        few["runs"].as_array_mut().unwrap().truncate(5);
        few.to_string()
    };
    for alpha in ["0.05", "0.001"] {
        let words = [
            "compare",
            "--alpha",
            alpha,
            "--inconclusive",
            "pass",
            "--json",
            "c.json",
            "base.json",
            "few.json",
        ];
        let mut run = Alumet::new(words);
        run.write("base.json", &few(&base)).write("few.json", &few(&base));
        let done = run.run();
        let comparison = run.profile("c.json")["comparisons"][0].clone();
        match alpha {
            "0.05" => assert_eq!((done.status, &comparison["needed"]), (0, &Value::Null), "{done:?}"),
            _ => {
                let done = done.status(125).says("5 runs could decide nothing, it takes 8 at least");
                assert_eq!(comparison["needed"], 8, "{done:?}");
            }
        }
    }
    compare(&["base.json", "none.json"]).refuses(125, "none.json: cannot be read");
}

#[test]
fn a_profile_of_a_hundred_thousand_runs_is_read() {
    let mut base = profile(30);
    let first = base["runs"][0].clone();
    let of_target = |m: &&Value| m["metric"] == "process.cpu.time";
    let metrics: Vec<_> = first["metrics"].as_array().unwrap().iter().filter(of_target).cloned().collect();
    let run = json!({"started": first["started"], "wall_s": first["wall_s"], "exit": first["exit"], "metrics": metrics});
    base["runs"] = json!([]);
    let text = base.to_string();
    let runs = vec![run.to_string(); 100_000].join(",");
    let text = text.replace("\"runs\":[]", &format!("\"runs\":[{runs}]"));
    // Time is not compared, here and below: what else the machine has to do is none of the points.
    let done = check(&text, &["--gate", "cpu", "--pairs", "5"], 40).status(3);
    assert!(done.stdout.contains("REGRESSION"), "{}", done.stdout);
}

#[test]
fn a_baseline_that_is_no_file_is_refused_and_not_waited_for() {
    for words in [&["check", "--baseline", "fifo", "true"][..], &["compare", "fifo.json", "true"]] {
        let run = Alumet::new(words);
        for name in ["fifo", "fifo.json"] {
            nix::unistd::mkfifo(&run.path(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        let mut run = run;
        run.run().refuses(125, "cannot be read: it is no regular file");
    }
    Alumet::new(["check", "--baseline", "/dev/null", "true"]).run().refuses(125, "it is no regular file");
    Alumet::new(["check", "--baseline", "/", "true"]).run().refuses(125, "/: cannot be read: is a directory");
}

#[test]
fn a_baseline_can_come_through_a_pipe_and_that_of_another_command_is_named() {
    let base = profile(30).to_string();
    let script = "cat base.json | \"$@\"";
    let options = [
        "check",
        "--without",
        "perf,nvml,estimate,hwmon",
        "--gate",
        "cpu",
        "--pairs",
        "5",
        "--baseline",
        "/dev/stdin",
    ];
    let command = [workload().to_str().unwrap(), "burn=31"];
    let mut run = Alumet::sh(script, &[&options[..], &command].concat());
    run.write("base.json", &base);
    let done = run.run();
    assert!([0, 3, 4].contains(&done.status), "{done:?}");
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("/dev/stdin is of another command: ") && text.contains(" burn=30"), "{text}");
    assert!(!check(&base, &["--gate", "cpu", "--pairs", "5"], 30).stdout.contains("another command"));
}

/// The checkout is that of the change that is judged.
#[test]
fn a_configuration_in_the_working_directory_cannot_open_the_gate() {
    let mut run = Alumet::new(["check", "--baseline-cmd", "true", "--", "false"]);
    run.write("alumet.toml", "ignore_failure = true\n");
    run.run().refuses(125, "ended with status 1");
    let mut run = Alumet::new([
        "check",
        "--config",
        "alumet.toml",
        "--pairs",
        "5",
        "--baseline-cmd",
        "true",
        "--",
        "false",
    ]);
    run.write("alumet.toml", "ignore_failure = true\n");
    let done = run.run();
    assert!(done.stdout.contains("runs failed, which --ignore-failure accepts"), "{done:?}");
}

/// As the first version wrote them.
const OLD_VERDICT: &str =
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"alumet\" tests=\"1\">";
const OLD_COMPARISON: &str = "{\n  \"schema\": \"alumet.comparison/2\"\n}\n";

#[test]
fn no_file_is_written_over_another() {
    let mut run = Alumet::new(["check", "--baseline", "base.json", "--json", "./base.json", "true"]);
    run.write("base.json", OLD_COMPARISON);
    run.run().refuses(2, "--json ./base.json: it is a profile, which is read; name another file");
    assert_eq!(run.read("base.json"), OLD_COMPARISON);
    for [a, b] in [["--json", "--app-output"], ["--markdown", "--junit"]] {
        Alumet::new(["check", "--baseline-cmd", "true", a, "x", b, "x", "true"])
            .run()
            .refuses(2, &format!("{a} and {b} both name x; give each its own file"));
    }
}

#[test]
fn a_verdict_of_an_earlier_run_goes_when_the_application_starts_and_not_before() {
    let mut run = Alumet::new(["check", "--junit", "old.xml", "--baseline-cmd", "true", "--", "false"]);
    run.write("old.xml", OLD_VERDICT);
    run.run().status(125);
    assert!(!run.path("old.xml").exists());
    let files = ["--junit", "link.xml", "--json", "old.json"];
    // Behind a link, too: what could not even start has touched nothing.
    for (words, status) in [
        (&["compare", "none.json", "true"][..], 125),
        (&["compare", "--pairs", "2", "true", "true"], 2),
        (&["compare", "base.json", "base.json"], 125),
        (&["compare", "true", "/no/such/program"], 127),
        (&["compare", "-e", "nosuchevent", "true", "true"], 2),
        (&["check", "--baseline", "none.json", "true"], 125),
        (&["check", "true"], 2),
    ] {
        let mut run = Alumet::new([&words[..1], &files, &words[1..]].concat());
        run.write("old.xml", OLD_VERDICT).write("old.json", OLD_COMPARISON).write("base.json", "{}");
        std::os::unix::fs::symlink("old.xml", run.path("link.xml")).unwrap();
        run.run().status(status);
        let left = ["old.xml", "old.json", "base.json"].map(|name| run.read(name));
        assert_eq!(left, [OLD_VERDICT, OLD_COMPARISON, "{}"], "{words:?}");
    }
}

#[test]
fn what_alumet_has_not_written_stays_whatever_is_to_be_written_there() {
    for (option, what) in [
        ("--json", "the comparison"),
        ("--markdown", "the table"),
        ("--junit", "the verdict"),
        ("--openmetrics", "the metrics"),
    ] {
        let mut run = Alumet::new(["compare", option, "victim", "true", "true"]);
        run.write("victim", "precious\n");
        let says = format!("cannot write {what} to victim: it holds what alumet has not written as this");
        run.run().refuses(2, &says);
        assert_eq!(run.read("victim"), "precious\n");
    }
}

#[test]
fn documents_on_stdout_are_alone_there() {
    let words = ["compare", "--without", "perf,estimate,hwmon,rapl,nvml", "--pairs", "5"];
    let mut run = Alumet::new(words.iter().chain(&["--json", "-", "true", "true"]));
    run.command.env("GITHUB_ACTIONS", "true");
    let done = run.run();
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(document["schema"], "alumet.comparison/2");
    assert!(done.stderr.contains("CPU") && done.stderr.contains("\n::"), "{}", done.stderr);
    assert!(!run.path("-").exists());
}

/// The names in the table are those of the change that is judged.
#[test]
fn no_name_becomes_a_command_of_the_pipeline_and_no_stdout_takes_the_summary_with_it() {
    let evil = "::error::pwned ##[add-mask]x";
    let words = ["check", "--without", "perf,nvml,estimate,hwmon", "--pairs", "5", "--baseline-cmd", evil];
    let run = |to: &str| {
        let script = format!("cp /bin/true ./::error::pwned; PATH=.:$PATH exec \"$@\" {to}");
        let mut run = Alumet::sh(&script, &words).env("GITHUB_ACTIONS", "true");
        let summary = run.path("summary.md");
        run.command.args(["--", "::error::pwned"]).env("GITHUB_STEP_SUMMARY", &summary);
        (run.run(), fs::read_to_string(summary).unwrap())
    };
    let (done, _) = run("");
    assert!([0, 3, 4].contains(&done.status), "{done:?}");
    assert!(done.stdout.contains(": :error::pwned"), "{done:?}");
    let lines = done.stdout.lines().chain(done.stderr.lines());
    let is_command = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
    assert_eq!(lines.filter(is_command).count(), 1, "one annotation: {done:?}");
    let (done, summary) = run("> /dev/full");
    done.status(125).says("cannot write to stdout");
    assert!(summary.contains("### alumet"), "{summary}");
}

#[test]
fn names_that_hold_lines_and_colours_stay_one_line() {
    let done = Alumet::new(["check", "--baseline", "no\n::error::pwn\u{1b}[31m", "true"]).run();
    done.refuses(125, "cannot be read");
    Alumet::new(["check", "true"])
        .run()
        .refuses(2, "a baseline is needed: --baseline-cmd COMMAND, or --baseline PROFILE");
    Alumet::new(["check", "--baseline-cmd", "true", "--", ""]).run().refuses(2, "a command is empty");
}

#[test]
fn a_pipeline_gets_its_files_and_annotations() {
    let words = [
        "check",
        "--without",
        "perf,nvml,estimate,hwmon",
        "--json",
        "c.json",
        "--markdown",
        "c.md",
        "--junit",
        "c.xml",
    ];
    let command = format!("{} burn=20", workload().display());
    let more = ["--openmetrics", "c.txt", "--baseline-cmd", &command, "--"];
    let mut run = Alumet::new([&words[..], &more].concat()).env("GITHUB_ACTIONS", "true");
    let summary = run.path("summary.md");
    run.command.env("GITHUB_STEP_SUMMARY", &summary).arg(workload()).arg("burn=26");
    let done = run.run().status(3);
    assert!(run.read("c.md").contains("**CPU**"), "{}", run.read("c.md"));
    assert!(run.read("c.xml").contains("<failure"), "{}", run.read("c.xml"));
    assert!(run.read("c.txt").ends_with("# EOF\n"), "{}", run.read("c.txt"));
    assert_eq!(run.profile("c.json")["schema"], "alumet.comparison/2");
    assert!(done.stdout.lines().any(|line| line.starts_with("::error title=")), "{}", done.stdout);
    assert!(fs::read_to_string(summary).unwrap().contains("**CPU**"));

    let mut run =
        Alumet::new([&words[..3], &["--junit", "/dev/full", "--baseline-cmd", "true", "true"]].concat());
    run.run().status(125).says("cannot write the verdict to /dev/full");
    let mut run = Alumet::new(
        [&words[..3], &["--json", "/no/such/dir/c.json", "--baseline-cmd", "true", "touch", "ran"]].concat(),
    );
    run.run().refuses(125, "cannot write the comparison to /no/such/dir/c.json");
    assert!(!run.path("ran").exists());
}

/// Energy by another rule, or none, is no reason to decide by something else in silence.
#[test]
fn energy_that_was_obtained_otherwise_is_refused() {
    let meter = Meter::start(&[PACKAGE, "1000@40"]);
    let exec = |more: &[&str]| {
        let words = [
            "exec",
            "-r",
            "5",
            "-q",
            "--sysfs",
            meter.root(),
            "--without",
            "perf,nvml,hwmon",
            "--json",
            "p.json",
        ];
        let mut run = Alumet::new([&words[..], more].concat());
        run.command.args(["sleep", "0.1"]);
        run.run().status(0);
        run.read("p.json")
    };
    let check = |baseline: &str, more: &[&str]| {
        let words = ["check", "--without", "perf,nvml,hwmon", "--pairs", "5", "--baseline", "base.json"];
        let mut run = Alumet::new([&words[..], more, &["sleep", "0.1"]].concat());
        run.write("base.json", baseline);
        run.run()
    };
    let plain = exec(&[]);
    let same = check(&plain, &["--sysfs", meter.root()]);
    assert!([0, 3, 4].contains(&same.status), "{same:?}");
    let says = "energy was obtained in another way in base.json than in sleep 0.1";
    check(&plain, &[]).refuses(125, says);
    check(&plain, &["--sysfs", meter.root(), "--set", "attribution.idle_power=30W"]).refuses(125, says);
    let by_cpu = check(&plain, &["--gate", "cpu"]);
    assert!([0, 3, 4].contains(&by_cpu.status), "{by_cpu:?}");
}

/// Of such a run nobody knows how long it took: so it is not compared, and where too few others are left, nothing passes.
#[test]
fn runs_whose_end_was_seen_late_take_no_guard_away_and_let_no_slower_one_pass() {
    let base = profile(5);
    // Every run has the CPU time of the first, and this time; the first few were seen late.
    let taking = |seconds: f64, late: usize| {
        let mut changed = base.clone();
        let metrics = base["runs"][0]["metrics"].clone();
        for (number, run) in changed["runs"].as_array_mut().unwrap().iter_mut().enumerate() {
            run["metrics"] = metrics.clone();
            run["wall_s"] = json!(seconds * (1.0 + 0.001 * number as f64));
            if number < late {
                run["wall_s"] = json!(seconds + 9.0);
                run["wall_bound"] = json!("at_most");
                run["wall_bound_reason"] = json!("alumet was stopped");
            }
        }
        changed.to_string()
    };
    let compare = |baseline: &str, change: &str, gate: &[&str]| {
        let words = ["compare", "--inconclusive", "pass", "--json", "c.json", "base.json", "new.json"];
        let mut run = Alumet::new([&words[..], gate].concat());
        run.write("base.json", baseline).write("new.json", change);
        let done = run.run();
        let comparison = run.profile("c.json")["comparisons"][0].clone();
        (done, comparison)
    };
    for gate in [&[][..], &["--gate", "time"]] {
        let same = compare(&taking(1.0, 1), &taking(1.0, 2), gate);
        assert_eq!((same.0.status, &same.1["verdict"]), (0, &json!("pass")), "{same:?}");
        let remark = "Time of run 1 of base.json and runs 1, 2 of new.json is left out: there it is at most so much: \
                      alumet was stopped";
        assert!(same.1["remarks"].as_array().unwrap().contains(&json!(remark)), "{same:?}");
        let slower = compare(&taking(1.0, 1), &taking(1.1, 2), gate);
        assert_eq!((slower.0.status, &slower.1["verdict"]), (3, &json!("regression")), "{slower:?}");
    }
    let (done, unguarded) = compare(&taking(1.0, 0), &taking(1.1, 7), &[]);
    assert_eq!((done.status, &unguarded["verdict"]), (0, &json!("inconclusive")), "{done:?}");
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains(
            "time stands no guard: it is at most so much in 0 of 10 runs of the baseline and 7 of 10"
        ),
        "{text}"
    );
    // What was to decide opens the gate by no setting.
    let (done, open) = compare(&taking(1.0, 0), &taking(1.1, 7), &["--gate", "time"]);
    assert_eq!(open["verdict"], "inconclusive");
    done.status(125).says("there is nothing valid to compare: time cannot decide: it is at most so much in ");
}
