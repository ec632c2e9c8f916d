//! Repeated runs: how many, around what, what becomes of their output, and what is said of them.

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Alumet, Done, is_root, workload};

fn text(done: &Done) -> String {
    done.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn runs(profile: &Value) -> &Vec<Value> {
    profile["runs"].as_array().unwrap()
}

/// CPU time of the application in a run.
fn cpu(run: &Value) -> f64 {
    let of_target = |m: &&Value| m["metric"] == "process.cpu.time" && m["consumer"] == "target";
    run["metrics"].as_array().unwrap().iter().filter(of_target).map(|m| m["value"].as_f64().unwrap()).sum()
}

#[test]
fn it_runs_as_often_as_asked_with_warm_ups_before_and_commands_around() {
    let words = [
        "exec",
        "-r",
        "4",
        "-w",
        "2",
        "--prepare",
        "echo p >> log",
        "--cleanup",
        "echo c >> log",
        "--json",
        "p.json",
    ];
    let mut run = Alumet::new([&words[..], &["sh", "-c", "echo r >> log"]].concat());
    let done = run.run().status(0);
    assert_eq!(run.read("log").replace('\n', ""), "prprprprprprc");
    assert!(text(&done).contains("4 runs, 2 warm-ups"), "{}", done.stderr);
    let profile = run.profile("p.json");
    assert_eq!(runs(&profile).len(), 4);
    let time = |run: &Value| run["wall_s"].as_f64().unwrap();
    assert!(runs(&profile).iter().all(|run| time(run) > 0.0));
}

#[test]
fn the_summary_over_the_runs_is_what_the_runs_say() {
    let mut run = Alumet::new(["exec", "-r", "6", "--json", "p.json"]);
    run.command.arg(workload()).arg("burn=20");
    let done = run.run().status(0);
    let profile = run.profile("p.json");
    let of_user = |m: &&Value| m["metric"] == "process.cpu.time" && m["labels"]["cpu.mode"] == "user";
    let summary = profile["summary"].as_array().unwrap().iter().find(of_user).unwrap();
    let values: Vec<f64> = runs(&profile)
        .iter()
        .map(|run| {
            run["metrics"].as_array().unwrap().iter().find(of_user).unwrap()["value"].as_f64().unwrap()
        })
        .collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let stddev = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let number = |key: &str| summary[key].as_f64().unwrap();
    let close = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 + 1e-9 * b.abs(), "{a} is not {b}");
    assert_eq!(summary["n"], 6);
    close(number("mean"), mean);
    close(number("stddev"), stddev);
    close(number("min"), values.iter().copied().fold(f64::INFINITY, f64::min));
    close(number("max"), values.iter().copied().fold(0.0, f64::max));
    let ci: Vec<f64> = summary["ci95"].as_array().unwrap().iter().map(|end| end.as_f64().unwrap()).collect();
    // Student's t for five degrees of freedom (NIST's table: 2.571).
    close(((ci[1] - ci[0]) / 2.0 / (stddev / n.sqrt()) * 1000.0).round(), 2571.0);
    for row in ["Time", "CPU", "Memory"] {
        assert!(
            done.stderr.lines().any(|line| line.starts_with(&format!("  {row} "))),
            "{row}: {}",
            done.stderr
        );
    }
    // Every run burns the same, however often it is done.
    assert!(runs(&profile).iter().all(|run| (0.02..0.05).contains(&cpu(run))), "{values:?}");
}

#[test]
fn the_output_is_hidden_unless_it_is_wanted() {
    let exec = |options: &[&str]| {
        let mut run = Alumet::new(
            [&["exec", "-r", "2"], options, &["--", "sh", "-c", "echo out; echo err >&2"]].concat(),
        );
        let done = run.run().status(0);
        (done, run)
    };
    let (done, _) = exec(&[]);
    assert!(done.stdout.is_empty() && !done.stderr.lines().any(|line| line == "err"), "{done:?}");
    let (done, _) = exec(&["--show-output"]);
    assert_eq!(done.stdout, "out\nout\n");
    assert_eq!(done.stderr.lines().filter(|line| *line == "err").count(), 2);
    let (_, run) = exec(&["--app-output", "log"]);
    assert_eq!(run.read("log"), "out\nerr\nout\nerr\n");
    // Nobody can type into several runs.
    let mut run = Alumet::new(["exec", "-r", "2", "--show-output", "cat"]);
    assert_eq!(run.run().status(0).stdout, "");
}

#[test]
fn output_that_nobody_wants_goes_to_a_pipe_and_elsewhere_if_asked_for() {
    let look = "seen=$(readlink /proc/$$/fd/1 /proc/$$/fd/2); echo \"$seen\" >> log";
    let lines = |words: &[&str]| {
        let mut run = Alumet::new(words);
        let done = run.run();
        assert!([0, 4].contains(&done.status), "{done:?}");
        run.read("log").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let exec = |options: &[&str]| lines(&[&["exec", "-q", "-r", "2"], options, &["sh", "-c", look]].concat());
    let is_pipe = |lines: &[String]| lines.iter().all(|line| line.starts_with("pipe:["));
    let default = exec(&[]);
    assert!(default.len() == 4 && is_pipe(&default), "{default:?}");
    assert!(is_pipe(&exec(&["--app-output", "pipe"])));
    assert_eq!(exec(&["--app-output", "null"]), ["/dev/null"; 4]);
    let file = exec(&["--app-output", "out"]);
    assert!(file.iter().all(|line| line.ends_with("/out")), "{file:?}");

    let quoted = format!("sh -c '{look}'");
    for words in [
        &["compare", "--pairs", "5", &quoted, &quoted][..],
        &["check", "--pairs", "5", "--baseline-cmd", &quoted, "--", "sh", "-c", look],
    ] {
        let lines = lines(words);
        assert!(lines.len() >= 20 && is_pipe(&lines), "{words:?}: {lines:?}");
    }
}

#[test]
fn what_is_shown_on_request_is_shown_by_either_name() {
    let mut run = Alumet::new(["exec", "-q", "-r", "2", "--app-output", "inherit", "echo", "x"]);
    assert_eq!(run.run().status(0).stdout, "x\nx\n");
    let both = ["exec", "-r", "2", "--show-output", "--app-output", "pipe", "true"];
    Alumet::new(both).run().refuses(2, "--app-output");
    Alumet::new(["exec", "--app-output", "pipe", "true"]).run().refuses(2, "is for repeated runs");
}

#[test]
fn much_output_is_taken_and_nobody_who_lives_on_holds_the_next_run_up() {
    // More than any pipe holds; and somebody who keeps it open.
    let script = "head -c 20000000 /dev/zero; sleep 60 & exit 0";
    let mut run = Alumet::new(["exec", "-r", "3", "--json", "p.json", "sh", "-c", script]);
    let begun = std::time::Instant::now();
    run.run().status(0);
    assert!(begun.elapsed().as_secs() < 50, "{:?}", begun.elapsed());
    assert_eq!(runs(&run.profile("p.json")).len(), 3);
}

#[test]
fn another_user_may_open_the_pipe_by_name() {
    if !is_root("another_user_may_open_the_pipe_by_name") {
        return;
    }
    let words = ["exec", "-q", "-r", "2", "--user", "12345:12345", "sh", "-c", "echo x >/dev/stdout"];
    Alumet::new(words).run().status(0);
}

#[test]
fn a_run_that_fails_ends_the_series_with_its_number_and_status() {
    // The third run fails.
    let script = "echo >> log; test $(wc -l < log) != 3 || exit 7";
    let exec = |options: &[&str]| {
        let mut run =
            Alumet::new([&["exec", "-r", "5", "--json", "p.json"], options, &["sh", "-c", script]].concat());
        let done = run.run();
        (done, run)
    };
    let (done, run) = exec(&[]);
    let done = done.status(7);
    assert!(
        text(&done).contains("run 3 ended with status 7: no further runs are made; its output was hidden: --app-output inherit shows it"),
        "{done:?}"
    );
    assert!(text(&done).contains(" 2 runs "), "what is complete is reported: {done:?}");
    assert_eq!(runs(&run.profile("p.json")).len(), 2);
    for ignore in ["--ignore-failure", "--ignore-failure=7", "--ignore-failure=1,7"] {
        let (done, run) = exec(&[ignore]);
        done.status(0);
        assert_eq!(runs(&run.profile("p.json")).len(), 5, "{ignore}");
    }
    // What would help is said, unless it was tried or would not.
    const ADVICE: &str = "--ignore-failure goes on";
    assert!(done.stderr.contains(ADVICE), "{done:?}");
    let mut full = Alumet::sh("ulimit -f 0; exec \"$@\"", &["exec", "-q", "-r", "3", "-o", "s.csv", "true"]);
    for done in [exec(&["--ignore-failure=1"]).0.status(7), full.run().status(125)] {
        assert!(done.stderr.contains("no further runs") && !done.stderr.contains(ADVICE), "{done:?}");
    }
    let (done, _) = exec(&["--timeout", "5s", "-w", "3"]);
    assert!(text(&done.status(7)).contains("warm-up 3 ended with status 7"));
    exec(&["--ignore-failure=x"]).0.refuses(2, "--ignore-failure: `x` is no list of statuses");
}

#[test]
fn the_series_of_each_run_are_in_a_file_of_their_own() {
    let words = [
        "exec",
        "-r",
        "2",
        "-w",
        "1",
        "-L",
        "x",
        "a,b",
        "-o",
        "s.csv",
        "-i",
        "20ms",
        "sh",
        "-c",
        ": {x}; sleep 0.1",
    ];
    let mut run = Alumet::new(words);
    run.run().status(0);
    let mut names: Vec<_> =
        std::fs::read_dir(run.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.retain(|name| name.to_string_lossy().ends_with(".csv"));
    names.sort();
    assert_eq!(names, ["s-1.csv", "s-2.csv", "s-3.csv", "s-4.csv"]);
    for name in ["s-1.csv", "s-4.csv"] {
        assert!(run.rows(name).iter().any(|row| row["metric"] == "process.cpu.time"), "{name}");
    }
    // One that cannot be written ends the series.
    let mut run = Alumet::sh(
        "ln -s /dev/full s-2.csv; exec \"$@\"",
        &["exec", "-r", "3", "-o", "s.csv", "sleep", "0.1"],
    );
    let done = run.run().status(125);
    assert!(text(&done).contains("cannot write series to s-2.csv: no space left on device"), "{done:?}");
}

#[test]
fn a_command_around_the_runs_that_fails_is_named() {
    let mut run = Alumet::new(["exec", "-r", "2", "--prepare", "exit 4", "touch", "ran"]);
    run.run().refuses(125, "--prepare `exit 4` ended with status 4");
    assert!(!run.path("ran").exists());
    // What is complete is reported and kept.
    let third = "echo >> log; test $(wc -l < log) != 3";
    let mut run = Alumet::new(["exec", "-r", "5", "--prepare", third, "--json", "p.json", "true"]);
    let done = run.run().status(125);
    assert!(text(&done).contains(" 2 runs "), "{done:?}");
    assert_eq!(runs(&run.profile("p.json")).len(), 2);
    let mut run = Alumet::new(["exec", "-r", "2", "--cleanup", "exit 5", "true"]);
    run.run().status(125).says("--cleanup `exit 5` ended with status 5").says(" 2 runs");
    // What was prepared is cleaned up although a run has failed.
    let mut run = Alumet::new(["exec", "-r", "2", "--cleanup", "touch clean", "false"]);
    run.run().status(1);
    assert!(run.path("clean").exists());
}

#[test]
fn an_interruption_keeps_and_reports_the_complete_runs() {
    let script = "\"$@\" & pid=$!; until test \"$(cat log 2>/dev/null | wc -l)\" -ge 3; do sleep 0.05; done; \
                  kill -TERM $pid; wait $pid";
    let words = ["exec", "-r", "1000", "--json", "p.json", "sh", "-c", "echo >> log; exec sleep 0.2"];
    let mut run = Alumet::sh(script, &words);
    let done = run.run().status(143);
    let complete = runs(&run.profile("p.json")).len();
    assert!((2..1000).contains(&complete), "{complete}");
    assert!(text(&done).contains(&format!("interrupted by SIGTERM: {complete} complete run")), "{done:?}");
    assert!(text(&done).contains(&format!(" {complete} runs")), "{done:?}");
}

/// Whoever handles a signal and ends with 0 has been interrupted all the same.
#[test]
fn an_interruption_is_never_a_success() {
    let graceful = "trap 'exit 0' TERM; echo >> log; sleep 30 & wait";
    let kill = |words: &[&str]| {
        let script = "\"$@\" & pid=$!; until test -s log; do sleep 0.05; done; kill -TERM $pid; wait $pid";
        Alumet::sh(script, words).run()
    };
    kill(&["exec", "-r", "3", "sh", "-c", graceful]).status(143);
    kill(&["exec", "-r", "3", "--prepare", graceful, "touch", "ran"]).status(143);
    let version = format!("sh -c \"{graceful}\"");
    kill(&["check", "--baseline-cmd", &version, "--", "true"]).status(143);
    kill(&["compare", &version, "true"]).status(143);
}

/// In many runs there are threads of alumet when the next application is forked.
#[test]
fn many_runs_as_another_user_come_to_an_end() {
    if !is_root("many_runs_as_another_user_come_to_an_end") {
        return;
    }
    let mut run = Alumet::new(["exec", "-r", "60", "--user", "nobody", "--json", "p.json", "true"]);
    run.run().status(0);
    assert_eq!(runs(&run.profile("p.json")).len(), 60);
}

#[test]
fn what_runs_leave_behind_and_failures_that_are_accepted_are_named() {
    let done =
        Alumet::new(["exec", "-r", "2", "sh", "-c", "sleep 2 >/dev/null 2>&1 & exit 0"]).run().status(0);
    assert!(text(&done).contains("2 of 2 runs left processes behind"), "{done:?}");
    let done = Alumet::new(["exec", "-r", "2", "--ignore-failure", "false"]).run().status(0);
    assert!(text(&done).contains("2 of 2 runs failed, which --ignore-failure accepts"), "{done:?}");
}

#[test]
fn a_time_is_filled_with_at_least_so_many_runs() {
    let mut run = Alumet::new(["exec", "--min-time", "1s", "--json", "p.json", "sleep", "0.03"]);
    let begun = std::time::Instant::now();
    run.run().status(0);
    assert!(begun.elapsed().as_secs_f64() >= 1.0);
    assert!(runs(&run.profile("p.json")).len() > 10);
    let mut run = Alumet::new(["exec", "--min-time", "1ms", "-r", "3", "--json", "p.json", "sleep", "0.05"]);
    run.run().status(0);
    assert_eq!(runs(&run.profile("p.json")).len(), 3);
}

#[test]
fn parameters_are_put_into_the_command_in_all_combinations() {
    let words = [
        "exec",
        "-r",
        "2",
        "-L",
        "a",
        "x,y",
        "-P",
        "n",
        "1",
        "2",
        "--prepare",
        "echo {a}{n} >> log",
        "--json",
        "p.json",
    ];
    let mut run = Alumet::new([&words[..], &["sh", "-c", "echo run-{a}-{n} >> log"]].concat());
    let done = run.run().status(0);
    let expected: String = ["x1", "x2", "y1", "y2"]
        .iter()
        .map(|p| format!("{p}\nrun-{}-{}\n", &p[..1], &p[1..]).repeat(2))
        .collect();
    assert_eq!(run.read("log"), expected);
    let profile = run.profile("p.json");
    assert_eq!(runs(&profile).len(), 8);
    assert_eq!(runs(&profile)[2]["parameters"], serde_json::json!({"a": "x", "n": "2"}));
    let of_y = |s: &&Value| {
        s["parameters"]["a"] == "y" && s["metric"] == "process.cpu.time" && s["labels"]["cpu.mode"] == "user"
    };
    let of_y: Vec<_> = profile["summary"].as_array().unwrap().iter().filter(of_y).map(|s| &s["n"]).collect();
    assert_eq!(of_y, [2, 2]);
    assert!(text(&done).contains("a = y n = 2"), "{}", done.stderr);
    // A backslash keeps a comma, as in hyperfine.
    let list = r"a\,b,c\\,\d,";
    let mut run =
        Alumet::new(["exec", "-q", "-r", "1", "-L", "v", list, "--", "sh", "-c", "echo '{v}' >> log"]);
    run.run().status(0);
    assert_eq!(run.read("log"), "a,b\nc\\\n\\d\n\n");
    for (options, says) in [
        (&["-L", "n", "1", "-P", "n", "1", "2"][..], "the parameter `n` is there twice"),
        (&["-P", "n", "2", "1"], "from 2 to 1 in steps of 1: MIN is larger than MAX"),
        (&["-P", "n", "0", "1e12"], "that is more than "),
    ] {
        Alumet::new([&["exec"], options, &["echo", "{n}"]].concat()).run().refuses(2, says);
    }
}

#[test]
fn a_parameter_that_is_nowhere_is_refused_and_one_that_prepare_takes_is_not() {
    let lists = ["exec", "-L", "n", "1,2", "-L", "m", "3"];
    let mut run = Alumet::new([&lists[..], &["--json", "p.json", "echo", "{n} {M}"]].concat());
    run.run().refuses(2, "the parameter `m` changes nothing: there is no {m} in the command");
    assert!(!run.path("p.json").exists());
    Alumet::new(["exec", "-q", "-L", "n", "1,2", "--prepare", "echo {n}", "true"]).run().status(0);
    Alumet::new(["exec", "-D", "2", "true"]).run().refuses(2, "--parameter-scan");
}

#[test]
fn shell_syntax_without_a_shell_is_refused_before_anything_runs_and_names_what_helps() {
    for words in [
        &["exec", "touch", "ran", "|", "cat"][..],
        &["exec", "-r", "2", "touch", "ran", ">", "log"],
        &["check", "--baseline-cmd", "true", "--", "touch", "ran", "2>&1"],
        &["check", "--baseline-cmd", "touch ran; true", "--", "true"],
        &["compare", "touch ran", "true | true"],
        &["compare", "touch ran", "$HOME/x"],
    ] {
        let mut run = Alumet::new(words);
        run.run().refuses(2, "is for a shell, and none is here to read it: -S sh runs the command through");
        assert!(!run.path("ran").exists());
    }
    let done = Alumet::new(["exec", "-S", "none", "echo", "a", "|", "cat"]).run().status(0);
    assert_eq!(done.stdout, "a | cat\n");
    Alumet::new(["exec", "find", ".", "-exec", "true", ";"]).run().status(0);
    Alumet::new(["exec", "A=1", "true"])
        .run()
        .refuses(127, "A=1: not found; `env` in front of it sets a variable");
}

/// The table at the end, without those of each value.
fn last_table(done: &Done) -> &str {
    let at = done.stderr.rfind("\n\n         ").or(done.stderr.rfind("\n\n   ")).unwrap();
    &done.stderr[at..]
}

#[test]
fn a_parameter_ends_in_one_table_over_its_values_with_the_change_against_the_first() {
    let files = ["--csv", "t.csv", "--markdown", "t.md", "--junit", "t.xml", "--openmetrics", "t.txt"];
    let words = ["exec", "-r", "6", "-L", "ms", "20,60", "--without", "perf,nvml,estimate,hwmon"];
    let mut run = Alumet::new([&words[..], &files].concat());
    run.command.arg(workload()).arg("burn={ms}");
    let done = run.run().status(0);
    let table = last_table(&done);
    assert!(table.contains("  ms = 20 ") && table.contains("  ms = 60 "), "{}", done.stderr);
    let text = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("x worse") && text.contains("6 runs of each, one after the other"), "{table}");
    let rows = run.rows("t.csv");
    let cpu = |ms: &str| rows.iter().find(|row| row["parameter_ms"] == ms && row["metric"] == "cpu").unwrap();
    let change: f64 = cpu("60")["change"].parse().unwrap();
    assert!((1.5..2.5).contains(&change) && cpu("60")["finding"] == "worse", "{change}");
    assert_eq!((&*cpu("20")["change"], &*cpu("20")["n"]), ("", "6"));
    assert!(run.read("t.md").contains("| <code>ms = 60</code> |"), "{}", run.read("t.md"));
    assert!(run.read("t.xml").contains("tests=\"2\" failures=\"0\""), "{}", run.read("t.xml"));
    let metrics = run.read("t.txt");
    assert!(metrics.contains("parameter_ms=\"60\"") && metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(!metrics.contains("alumet_verdict"), "nobody has judged: {metrics}");
}

#[test]
fn repeated_runs_are_written_as_tables_and_a_single_run_is_not() {
    let mut run = Alumet::new([
        "exec",
        "-q",
        "-r",
        "3",
        "--csv",
        "t.csv",
        "--junit",
        "t.xml",
        "--markdown",
        "t.md",
        "true",
    ]);
    run.run().status(0);
    let rows = run.rows("t.csv");
    let time = rows.iter().find(|row| row["metric"] == "time").unwrap();
    assert_eq!((&*time["version"], &*time["n"], &*time["finding"]), ("true", "3", ""));
    assert!(run.read("t.md").contains("| <code>true</code> |") && run.read("t.xml").contains("tests=\"1\""));
    Alumet::new(["exec", "--csv", "t.csv", "true"])
        .run()
        .refuses(2, "are for several runs: say how many with -r");
    for clash in [["--json", "./t.csv"], ["--markdown", "t.csv"], ["--junit", "t.csv"]] {
        let words = [&["exec", "-r", "2", "--csv", "t.csv"], &clash[..], &["true"]].concat();
        Alumet::new(words).run().refuses(2, "both name ");
    }
    // The series of each run have numbers.
    let numbered = ["exec", "-r", "2", "--csv", "t-2.csv", "-o", "t.csv", "true"];
    Alumet::new(numbered).run().refuses(2, "both name t-2.csv");
    Alumet::new(["exec", "-q", "-r", "2", "--csv", "/dev/full", "true"])
        .run()
        .refuses(125, "cannot write the table to /dev/full");
}

#[test]
fn runs_that_vary_say_so() {
    let mut run = Alumet::new([
        "exec",
        "-r",
        "4",
        "-P",
        "n",
        "1",
        "1",
        "sh",
        "-c",
        "echo {n} >> log; sleep 0.$(wc -l < log)",
    ]);
    let done = run.run().status(0);
    let time = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        time.contains("Time varies by ") && time.contains("from run to run (standard deviation)"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_shell_understands_what_a_command_does_not() {
    let mut run = Alumet::new(["exec", "-r", "2", "--show-output", "-S", "sh", "--", "echo a | tr a b"]);
    assert_eq!(run.run().status(0).stdout, "b\nb\n");
    let mut run = Alumet::new(["exec", "--shell=bash", "--", "echo", "${BASH_VERSION:+bash}"]);
    assert_eq!(run.run().status(0).stdout, "bash\n");
    // As in hyperfine: with options of its own, by the default, and without.
    let script = "echo $0 ${BASH_VERSION:+bash} $-";
    for (shell, says) in [("bash --norc -u", "bash bash"), ("default", "sh"), ("sh", "sh")] {
        let done = Alumet::new(["exec", "-q", "--shell", shell, "--", script]).run().status(0);
        assert!(done.stdout.starts_with(says), "{shell}: {done:?}");
        assert_eq!(done.stdout.contains('u'), shell.ends_with("-u"), "{done:?}");
    }
    Alumet::new(["exec", "-S", "none", "--", "echo a | tr a b"]).run().refuses(127, "not found");
    Alumet::new(["exec", "-S", "'", "--", "true"]).run().refuses(2, "--shell: `'`: a quote is not closed");
    Alumet::new(["exec", "-S", "", "--", "true"]).run().refuses(2, "--shell: it is empty");
    Alumet::new(["exec", "--shell", "--", "true"]).run().refuses(2, "--shell");
    Alumet::new(["exec", "--", "echo a | tr a b"])
        .run()
        .refuses(127, "echo a | tr a b: not found; it is one word");
}

/// Orphans of one run go on in the next, and are none of its own, also where there is no cgroup to tell them apart.
#[test]
fn what_lives_on_of_one_run_is_not_counted_in_the_next() {
    if !is_root("what_lives_on_of_one_run_is_not_counted_in_the_next") {
        return;
    }
    let script = "bin/workload burn=2500 & exec sleep 0.3";
    let words = ["exec", "-r", "3", "--without", "perf", "--json", "p.json", "sh", "-c", script];
    let mut run = Alumet::as_nobody("exec \"$@\"", &words).with_workload();
    run.run().status(0);
    let profile = run.profile("p.json");
    let used: Vec<f64> = runs(&profile).iter().map(cpu).collect();
    // One burns for .3 s; two on two CPUs would burn twice as much.
    assert!(used[0] > 0.02 && used[1] < 1.5 * used[0].max(0.3), "{used:?}");
    for run in runs(&profile) {
        let peaks = run["metrics"].as_array().unwrap();
        let threads =
            peaks.iter().find(|m| m["metric"] == "process.count" || m["metric"] == "process.thread.count");
        assert!(threads.is_none_or(|m| m["max"].as_f64().unwrap() <= 4.0), "{threads:?}");
    }
}

#[test]
fn a_program_that_prints_without_end_takes_no_memory() {
    let mut run =
        Alumet::new(["exec", "-r", "2", "--timeout", "1s", "--ignore-failure", "--json", "p.json", "yes"]);
    run.run().status(124).says("run 1 was ended by --timeout after 1s");
    let words = ["exec", "-r", "3", "--json", "p.json", "sh", "-c", "head -c 100000000 /dev/zero"];
    let mut run = Alumet::new(words);
    run.run().status(0);
    let most =
        runs(&run.profile("p.json")).iter().map(|run| run["self"]["rss_bytes"].as_u64().unwrap()).max();
    assert!(most.unwrap() < 40_000_000, "{most:?}");
}

/// The next run is forked from alumet: what it remembers of the others would show in that one's time and memory.
#[test]
fn alumets_own_memory_does_not_grow_with_the_runs() {
    let words = ["exec", "-q", "-r", "5000", "--plugins", "procfs", "--json", "p.json", "true"];
    let mut run = Alumet::new(words);
    // However long that takes on a busy machine.
    Done::of(run.command.output().unwrap()).status(0);
    let profile = run.profile("p.json");
    let resident = |at: usize| runs(&profile)[at]["self"]["rss_bytes"].as_f64().unwrap();
    assert_eq!(runs(&profile).len(), 5000);
    // The whole of a run is some 10 kB: all of them would be five times as much as alumet.
    assert!(resident(4999) < 1.25 * resident(99), "{} of {}", resident(4999), resident(99));
    let summary = profile["summary"].as_array().unwrap();
    assert!(!summary.is_empty() && summary.iter().all(|metric| metric["n"] == 5000));
}

#[test]
fn runs_that_cannot_be_kept_for_the_profile_end_the_series() {
    let words = ["exec", "-r", "500", "--plugins", "procfs", "--json", "p.json", "true"];
    let mut run = Alumet::sh("ulimit -f 64; exec \"$@\"", &words);
    let done =
        run.run().status(125).says("cannot write the profile to p.json: file too large: no further runs");
    // Nor is it to be found in what the application has written.
    let advice = ["--ignore-failure", "its output was hidden"];
    assert!(!advice.iter().any(|advice| done.stderr.contains(advice)), "{done:?}");
}

#[test]
fn runs_that_are_shorter_than_it_takes_to_start_a_process_are_named() {
    let done = Alumet::new(["exec", "-r", "3", "true"]).run().status(0);
    assert!(text(&done).contains("3 runs"), "{done:?}");
    let long = Alumet::new(["exec", "-r", "2", "sleep", "0.1"]).run().status(0);
    assert!(!text(&long).contains("shorter than 5 ms"), "{long:?}");
}

#[test]
fn on_a_terminal_there_is_a_bar_with_what_is_known_so_far() {
    let script = Command::new("script").arg("--version").output();
    if script.is_err() {
        return support::skip(
            "on_a_terminal_there_is_a_bar_with_what_is_known_so_far",
            "script(1) is not installed",
        );
    }
    let command = format!("{} exec -r 4 -- sleep 0.2", support::binary().display());
    let mut run = Alumet::with(Command::new("script"), ["-qec", &command, "/dev/null"]);
    let done = run.run().status(0);
    assert!(done.stdout.contains("run 3/4"), "{:?}", done.stdout);
    assert!(done.stdout.contains(" left"), "{:?}", done.stdout);
    // What the terminal shows of Ctrl-C fits behind it.
    let command =
        format!("stty rows 24 cols 60; {} exec -r 4 -w 2 -- sleep 0.1", support::binary().display());
    let mut run = Alumet::with(Command::new("script"), ["-qec", &command, "/dev/null"]);
    let done = run.run().status(0);
    let frames: Vec<_> = done.stdout.split(['\r', '\n']).filter(|line| line.contains('█')).collect();
    let width = |frame: &str| frame.split("\u{1b}[2K").last().unwrap().chars().count();
    let visible = |frame: &str| frame.replace("\u{1b}[36m", "").replace("\u{1b}[0m", "");
    assert!(frames.len() >= 4, "{:?}", done.stdout);
    assert!(frames.iter().all(|frame| width(&visible(frame)) <= 57), "{frames:#?}");
    // Elsewhere nothing is drawn.
    let quiet = Alumet::new(["exec", "-r", "4", "sleep", "0.05"]).run().status(0);
    assert!(!quiet.stderr.contains("3/4"), "{:?}", quiet.stderr);
}

#[test]
fn a_run_that_finds_no_place_in_the_profile_is_shown() {
    let words = ["exec", "-r", "3", "--json", "p.json", "sleep", "0.05"];
    let done = Alumet::sh("ulimit -f 0; exec \"$@\"", &words).run().status(125);
    let text = text(&done);
    assert!(
        text.contains("1 run") && text.contains(" Time ") && text.contains("cannot write the profile"),
        "{text}"
    );
}

#[test]
fn events_of_any_spelling_have_a_row() {
    let events = "cs,page-faults/name=pf/,'software/config=2,name=a b/'";
    let done =
        Alumet::new(["exec", "-r", "2", "-e", events.replace('\'', "").as_str(), "true"]).run().status(0);
    for event in ["context-switches", "pf", "a b"] {
        assert!(
            done.stderr.lines().any(|line| line.trim_start().starts_with(event)),
            "{event}: {}",
            done.stderr
        );
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    for (options, says) in [
        (&["-r", "0"][..], "--runs: there must be one at least"),
        (
            &["-r", "2", "-o", "/dev/null"],
            "-o /dev/null: the series of several runs go to files of their own",
        ),
        (&["--min-time", "soon"], "--min-time: `soon` is not a duration"),
        (&["--app-output", "f"], "--app-output is for repeated runs"),
        (&["-r", "2", "--json", "f", "--app-output", "./f"], "--app-output and --json both name ./f"),
        (&["-r", "2", "-o", "y.csv", "--json", "y-1.csv"], "-o of several runs and --json both name y-1.csv"),
        (&["-r", "2", "-o", "-"], "-o -: the series of several runs go to files of their own"),
        (&["-r", "2000000"], "--runs: 2000000 is more than 1000000"),
    ] {
        Alumet::new([&["exec"], options, &["true"]].concat()).run().refuses(2, says);
    }
}
