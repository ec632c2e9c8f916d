//! `--per-process`: the break-down of the application by process, in the summary, the profile and the series.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;
use support::{Alumet, Done, counter, workload};

/// Runs a shell script in which `$0` is the workload, with all outputs.
fn broken_down(script: &str) -> (Alumet, Done) {
    let mut run = start_with(&["sh", "-c", script]);
    run.command.arg(workload());
    let done = run.run().status(0);
    (run, done)
}

fn start_with(command: &[&str]) -> Alumet {
    let options = ["exec", "--per-process", "-i", "5ms", "-o", "s.csv", "--json", "p.json", "--"];
    Alumet::new(options.iter().chain(command))
}

/// The metrics of single processes.
fn of_processes(profile: &Value) -> Vec<&Value> {
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    metrics.iter().filter(|metric| metric["consumer"] == "process").collect()
}

fn name(metric: &Value) -> &str {
    metric["labels"]["process.executable.name"].as_str().unwrap()
}

/// The CPU time of each process under each of its names.
fn cpu(profile: &Value) -> BTreeMap<(String, String), f64> {
    let metrics = of_processes(profile).into_iter().filter(|metric| metric["metric"] == "process.cpu.time");
    let key = |m: &Value| (m["consumer_id"].as_str().unwrap().to_owned(), name(m).to_owned());
    metrics.map(|metric| (key(metric), metric["value"].as_f64().unwrap())).collect()
}

/// The lines of the table in the summary, without its header.
fn table(done: &Done) -> Vec<&str> {
    let lines = done.stderr.lines().skip_while(|line| !line.trim_start().starts_with("PID ")).skip(1);
    lines.take_while(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).collect()
}

#[test]
fn the_process_that_used_the_most_cpu_time_is_first() {
    let (run, done) = broken_down("cp $0 big; cp $0 small; ./small burn=60 & ./big burn=240 & wait");
    let lines = table(&done);
    assert!(lines[0].contains(" big ") && lines[1].contains(" small "), "{}", done.stderr);
    let cpu = cpu(&run.profile("p.json"));
    let of = |wanted: &str| cpu.iter().filter(|((_, name), _)| name == wanted).map(|(_, s)| s).sum::<f64>();
    // What they use between the last reading and the end is missing: an interval, more on a busy machine.
    assert!((0.15..0.25).contains(&of("big")) && (0.02..0.07).contains(&of("small")), "{cpu:?}");
}

#[test]
fn the_parts_are_not_more_than_the_whole_and_nearly_all_of_it() {
    let (run, _) = broken_down("$0 burn=150 child=150 threads=2:100 & $0 touch=20 burn=200 & wait");
    let profile = run.profile("p.json");
    for (metric, label, slack) in [
        ("process.cpu.time", "", 0.001),
        ("process.paging.faults", "minor", 0.0),
        ("process.paging.faults", "major", 0.0),
        ("process.context_switches", "voluntary", 0.0),
        ("process.context_switches", "involuntary", 0.0),
    ] {
        let is = |m: &&Value| {
            let mut labels = m["labels"].as_object().unwrap().values();
            m["metric"] == metric && (label.is_empty() || labels.any(|value| value == label))
        };
        let parts = of_processes(&profile).into_iter().filter(is).map(|m| m["value"].as_f64().unwrap());
        let (parts, whole) = (parts.sum::<f64>(), counter(&profile, metric, label));
        assert!(parts <= whole + slack, "{metric} {label}: {parts} of {whole}");
        let nearly_all = ["process.cpu.time", "process.paging.faults"].contains(&metric) && label != "major";
        assert!(!nearly_all || parts >= 0.95 * whole, "{metric} {label}: {parts} of {whole}");
    }
}

#[test]
fn storage_of_a_process_says_that_it_is_with_that_of_its_children() {
    let (run, _) = broken_down("$0 write=1000; true");
    let profile = run.profile("p.json");
    let of_processes = of_processes(&profile);
    let written = of_processes.iter().filter(|m| m["labels"]["disk.io.direction"] == "write");
    let written: Vec<_> = written.collect();
    // The kernel adds what a child has written to its parent, so these cannot be added up.
    let parts: f64 = written.iter().map(|m| m["value"].as_f64().unwrap()).sum();
    let whole = counter(&profile, "process.disk.io", "write");
    eprintln!("the whole is {whole}, the sum of the parts {parts}");
    assert!(written.iter().all(|m| m["value"].as_f64() <= Some(whole)), "{written:?}");
    assert!(written.iter().all(|m| m["method"].as_str().unwrap().contains("with children")), "{written:?}");
}

#[test]
fn a_name_with_odd_characters_stays_one_cell_and_one_line() {
    for bytes in [b"=a \"b\",\n;c\\='x".as_slice(), b"@\r\t\x1b[31m\xff(d) ;"] {
        let mut run = start_with(&["sh", "-c", "cp \"$0\" \"./$1\" && exec \"./$1\" burn=50"]);
        run.command.arg(workload()).arg(OsStr::from_bytes(bytes));
        let done = run.run().status(0);
        // What would do something to whoever reads it is harmless from its first reading on.
        let expected = String::from_utf8_lossy(bytes).replace(char::is_control, "\u{fffd}");
        let profile = run.profile("p.json");
        assert!(of_processes(&profile).iter().any(|metric| name(metric) == expected), "{profile:#}");

        let rows = run.rows("s.csv");
        let lines = run.read("s.csv").split('\n').count();
        assert_eq!(lines, rows.len() + 2, "header, rows, and nothing behind the last newline");
        let escape = |text: &str| {
            let text = text.replace('\\', r"\\").replace(';', r"\;").replace('=', r"\=");
            text.replace('\n', r"\n").replace('\r', r"\r")
        };
        let label = format!("process.executable.name={}", escape(&expected));
        assert!(rows.iter().any(|row| row["labels"] == label), "{label}");

        let with_it: Vec<_> = table(&done).into_iter().filter(|line| line.contains(&expected)).collect();
        assert_eq!(with_it.len(), 1, "{}", done.stderr);
        assert!(done.stderr.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", done.stderr);
    }
}

#[test]
fn of_many_processes_ten_are_shown_and_the_others_counted() {
    let (run, done) = broken_down("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 0.2 & done; wait");
    let all = cpu(&run.profile("p.json")).len();
    assert!(all >= 16, "{all}");
    assert_eq!(table(&done).len(), 10, "{}", done.stderr);
    done.says(&format!("and {} more", all - 10));
}

#[test]
fn a_process_that_executes_another_program_gets_its_name() {
    let (run, done) = broken_down("sleep 0.1; exec $0 burn=80");
    let cpu = cpu(&run.profile("p.json"));
    let pid = &cpu.keys().find(|(_, name)| name == "workload").unwrap().0;
    let names: BTreeSet<_> = cpu.keys().filter(|(id, _)| id == pid).map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(["sh", "workload"]));
    // What it used under one name is not counted under the other one.
    let of = |name: &str| cpu[&(pid.clone(), name.to_owned())];
    assert!(of("workload") >= 0.05 && (0.08..0.095).contains(&(of("workload") + of("sh"))), "{cpu:?}");
    assert_eq!(table(&done).iter().filter(|line| line.trim_start().starts_with(pid.as_str())).count(), 2);
}

#[test]
fn without_the_option_nothing_is_said_of_single_processes() {
    let mut run =
        Alumet::new(["exec", "-i", "5ms", "-o", "s.csv", "--json", "p.json", "sh", "-c", "sleep 0.05; true"]);
    let done = run.run().status(0);
    assert!(of_processes(&run.profile("p.json")).is_empty() && table(&done).is_empty());
    assert!(run.rows("s.csv").iter().all(|row| row["consumer"] != "process"));
}

#[test]
fn a_thread_that_executes_a_program_does_not_bring_its_time_along_twice() {
    let options = ["exec", "-q", "--per-thread", "-i", "100ms", "--json", "p.json", "--"];
    let mut run = Alumet::new(options);
    run.command.arg(workload()).args(["thread=600", "burn=350"]);
    run.run().status(0);
    let profile = run.profile("p.json");
    let whole = counter(&profile, "process.cpu.time", "");
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let of_thread = |m: &&Value| m["consumer"] == "thread" && m["metric"] == "process.cpu.time";
    let parts: Vec<f64> = metrics.iter().filter(of_thread).map(|m| m["value"].as_f64().unwrap()).collect();
    let sum = parts.iter().sum::<f64>();
    assert!(whole > 0.9 && sum <= whole && sum > 0.7 * whole, "{parts:?} of {whole}");
}
