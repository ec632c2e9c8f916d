//! What alumet writes: the CSV series, the profile, how they agree, and what it shows on a terminal.

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Alumet, binary, workload};

const HEADER: &str =
    "time_s,timestamp,metric,unit,value,provenance,resource,resource_id,consumer,consumer_id,labels,kind";

type Row = BTreeMap<String, String>;

/// What tells one series from another in both files: all columns but time and value, with the labels one by one.
type Key = (Vec<String>, BTreeMap<String, String>);

const COLUMNS: [&str; 8] =
    ["metric", "unit", "kind", "provenance", "resource", "resource_id", "consumer", "consumer_id"];

fn key_of_row(row: &Row) -> Key {
    (COLUMNS.map(|column| row[column].clone()).to_vec(), labels(&row["labels"]))
}

fn key_of_metric(metric: &Value) -> Key {
    let labels = metric["labels"].as_object().unwrap();
    let labels = labels.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
    (COLUMNS.map(|column| metric[column].as_str().unwrap().to_owned()).to_vec(), labels.collect())
}

/// `key=value;key=value` as `docs/src/formats.md` describes it.
fn labels(cell: &str) -> BTreeMap<String, String> {
    let mut pairs = vec![(String::new(), None::<String>)];
    let mut chars = cell.chars();
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => match chars.next().unwrap() {
                'n' => '\n',
                'r' => '\r',
                escaped => escaped,
            },
            ';' => {
                pairs.push((String::new(), None));
                continue;
            }
            '=' => {
                pairs.last_mut().unwrap().1 = Some(String::new());
                continue;
            }
            c => c,
        };
        let (key, value) = pairs.last_mut().unwrap();
        value.as_mut().unwrap_or(key).push(literal);
    }
    pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The correctly rounded sum, by Shewchuk's algorithm as in Python's `math.fsum`.
fn exact_sum(values: &[f64]) -> f64 {
    let mut partials = Vec::<f64>::new();
    for value in values {
        let (mut x, mut kept) = (*value, 0);
        for i in 0..partials.len() {
            let y = partials[i];
            let (large, small) = if x.abs() < y.abs() { (y, x) } else { (x, y) };
            let high = large + small;
            let low = small - (high - large);
            if low != 0.0 {
                partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        partials.truncate(kept);
        partials.push(x);
    }
    let mut sum = partials.pop().unwrap_or(0.0);
    while let Some(y) = partials.pop() {
        let high = sum + y;
        let low = y - (high - sum);
        sum = high;
        if low != 0.0 {
            // Half-way cases round to where the next part points.
            if partials.last().is_some_and(|next| (low < 0.0) == (*next < 0.0)) {
                let more = high + low * 2.0;
                if low * 2.0 == more - high {
                    sum = more;
                }
            }
            break;
        }
    }
    sum
}

/// A run with both files.
struct Written {
    rows: Vec<Row>,
    text: String,
    profile: Value,
}

fn written(options: &str, command: &[&str]) -> Written {
    let (_, written) = written_with_status(options, command, 0);
    written
}

fn written_with_status(options: &str, command: &[&str], status: i32) -> (Alumet, Written) {
    let all = ["exec", "-q", "-o", "s.csv", "--json", "p.json"].into_iter().chain(options.split_whitespace());
    let mut run = Alumet::new(all.chain(["--"]).chain(command.iter().copied()));
    run.run().status(status);
    let written =
        Written { rows: run.rows("s.csv"), text: run.read("s.csv"), profile: run.profile("p.json") };
    (run, written)
}

impl Written {
    fn run(&self) -> &Value {
        &self.profile["runs"][0]
    }

    fn metrics(&self) -> &[Value] {
        self.run()["metrics"].as_array().unwrap()
    }
}

/// Threads, children, grandchildren, memory: something for every series.
const BUSY: [&str; 6] = ["burn=60", "threads=2:40", "child=40", "grandchild=40", "touch=20", "sleep=60"];

fn busy<'a>() -> Vec<&'a str> {
    [workload().to_str().unwrap()].into_iter().chain(BUSY).collect()
}

/// Nanoseconds in a text like `12.000000345`.
fn nanos(seconds: &str) -> u64 {
    let (whole, fraction) = seconds.split_once('.').unwrap();
    assert_eq!(fraction.len(), 9, "{seconds}");
    whole.parse::<u64>().unwrap() * 1_000_000_000 + fraction.parse::<u64>().unwrap()
}

#[test]
fn the_header_is_fixed_and_every_row_has_its_columns() {
    for options in ["-i 1ms --per-process --per-thread", "-i 10s", "--without procfs,perf"] {
        let written = written(options, &busy());
        assert_eq!(written.text.lines().next(), Some(HEADER));
        assert!(written.text.ends_with('\n'));
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(written.text.as_bytes());
        // The reader refuses rows of another length than the first.
        let records = reader.records().map(|record| record.unwrap().len()).collect::<Vec<_>>();
        assert_eq!((records[0], records.len()), (12, written.rows.len() + 1));
        assert_eq!(written.rows.is_empty(), options == "--without procfs,perf");
    }
}

#[test]
fn times_grow_and_stay_within_the_run_and_timestamps_follow_them() {
    let written = written("-i 1ms --per-process", &busy());
    let start = humantime::parse_rfc3339(written.run()["started"].as_str().unwrap()).unwrap();
    let wall = (written.run()["wall_s"].as_f64().unwrap() * 1e9) as u64;
    // The last points have the time of the end mark.
    let end =
        nanos(&written.rows.iter().find(|row| row["metric"] == "process.memory.peak").unwrap()["time_s"]);
    assert!(end >= wall && end - wall < 1_000_000_000, "{end} {wall}");
    let mut last = BTreeMap::new();
    for row in &written.rows {
        let time = nanos(&row["time_s"]);
        assert!(time <= end, "{row:?}");
        let before = last.insert(key_of_row(row), time).unwrap_or(0);
        assert!(before <= time, "{row:?}");
        let expected = humantime::format_rfc3339_nanos(start + Duration::from_nanos(time)).to_string();
        assert_eq!(row["timestamp"], expected, "{row:?}");
    }
}

#[test]
fn the_rows_add_up_to_the_totals_to_the_last_digit() {
    for options in
        ["-i 1ms --per-process --per-thread -e faults:u,task-clock", "-i 7ms", "-i 10s --per-process"]
    {
        let written = written(options, &busy());
        let mut rows = BTreeMap::<Key, Vec<f64>>::new();
        for row in &written.rows {
            rows.entry(key_of_row(row)).or_default().push(row["value"].parse().unwrap());
        }
        assert_eq!(written.run()["omitted_processes"], 0);
        let metrics: BTreeMap<Key, &Value> =
            written.metrics().iter().map(|m| (key_of_metric(m), m)).collect();
        assert_eq!(metrics.len(), written.metrics().len(), "two entries for one series");
        assert_eq!(rows.keys().collect::<Vec<_>>(), metrics.keys().collect::<Vec<_>>());
        for (key, values) in &rows {
            let metric = metrics[key];
            let number = |name: &str| metric[name].as_f64().unwrap();
            let plain = values.iter().sum::<f64>();
            if metric["kind"] == "counter" {
                assert_eq!(exact_sum(values), number("value"), "{metric}");
                assert!((plain - number("value")).abs() <= 1e-12 * number("value"), "{metric}");
                assert!(values.iter().all(|value| *value >= 0.0), "{metric}");
            } else {
                let n = values.len() as f64;
                assert_eq!(exact_sum(values) / n, number("mean"), "{metric}");
                assert_eq!(values.iter().copied().reduce(f64::min), Some(number("min")), "{metric}");
                assert_eq!(values.iter().copied().reduce(f64::max), Some(number("max")), "{metric}");
            }
        }
        assert!(rows.values().map(Vec::len).max().unwrap() >= 2, "nothing was added up");
    }
}

#[test]
fn the_exact_sum_of_this_test_is_exact() {
    assert_eq!(exact_sum(&[0.1; 10]), 1.0);
    assert_eq!(exact_sum(&[1e16, 1.0, -1e16]), 1.0);
    assert_eq!(exact_sum(&[1e-16, 1.0, 1e16]), 10_000_000_000_000_002.0);
    assert_eq!(exact_sum(&[]), 0.0);
}

#[test]
fn every_row_has_a_known_unit_and_origin() {
    let written = written("-i 5ms --per-process --per-thread -e task-clock", &busy());
    const UNITS: [&str; 8] = ["1", "J", "s", "By", "{fault}", "{context_switch}", "{process}", "{thread}"];
    for row in &written.rows {
        assert!(UNITS.contains(&row["unit"].as_str()), "{row:?}");
        // What is not measured is energy, and says so.
        let origin = if row["unit"] == "J" { "estimated" } else { "measured" };
        assert_eq!(row["provenance"], origin);
        assert!(["machine", "cpu_package"].contains(&row["resource"].as_str()), "{row:?}");
        let consumer = (row["consumer"].as_str(), row["consumer_id"].parse::<u32>().is_ok());
        assert!(
            [("machine", false), ("target", false), ("process", true), ("thread", true)].contains(&consumer),
            "{row:?}"
        );
    }
}

#[test]
fn the_files_of_a_very_short_run_are_whole() {
    let written = written("", &["true"]);
    let of_target = |metric: &str| {
        let is = |row: &&Row| row["metric"] == metric && row["consumer"] == "target";
        written.rows.iter().filter(is).count()
    };
    // The last reading and what follows from reaping: two modes, two scopes.
    assert_eq!((of_target("process.cpu.time"), of_target("process.memory.peak")), (4, 2));
    assert!(written.text.ends_with('\n'));
}

/// The schema and what it says of a profile.
fn complaints(profile: &Value) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/profile.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(jsonschema::meta::validate(&schema).err().map(|error| error.to_string()), None);
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    validator.iter_errors(profile).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn profiles_are_valid_by_their_schema_however_the_run_ends() {
    let shell = |script: &'static str| vec!["sh", "-c", script];
    let daemon = shell("sleep 0.4 >/dev/null 2>&1 & exit 0");
    for (options, command, status) in [
        ("", vec!["true"], 0),
        ("-i 1ms --per-process --per-thread -e task-clock,faults:u", busy(), 0),
        ("", shell("exit 9"), 9),
        ("", shell("kill -KILL $$"), 137),
        ("--timeout 50ms", vec!["sleep", "10"], 124),
        ("--without procfs", vec!["true"], 0),
        ("", daemon, 0),
    ] {
        let (_, written) = written_with_status(options, &command, status);
        assert_eq!(complaints(&written.profile), Vec::<String>::new(), "{options} {command:?}");
        assert_eq!(written.profile["command"], json!(command));
    }
    // A machine whose files are nowhere.
    let mut run = Alumet::new(["exec", "-q", "--procfs", "/nonexistent", "--json", "p.json", "true"]);
    run.run().status(0);
    let profile = run.profile("p.json");
    assert_eq!(complaints(&profile), Vec::<String>::new());
    assert_eq!(profile["sources"][0]["status"], "unavailable");
}

#[test]
fn the_schema_refuses_what_no_profile_may_be() {
    let profile = written("-i 10ms --per-process", &busy()).profile;
    let at = |kind: &str, consumer: &str| {
        let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
        let i = metrics.iter().position(|m| m["kind"] == kind && m["consumer"] == consumer).unwrap();
        format!("/runs/0/metrics/{i}")
    };
    let (counter, gauge, process) =
        (at("counter", "target"), at("gauge", "target"), at("counter", "process"));
    for (place, key, value) in [
        ("", "schema", json!("alumet.profile/3")),
        ("/headline/0", "text", json!("")),
        ("/headline/0", "quantity", json!("")),
        ("/runs/0/headline/0", "value", json!("1 s")),
        ("", "surprise", json!(1)),
        ("/host", "cpus", json!(0)),
        ("/sources/0", "status", json!("maybe")),
        ("/sources/0", "status", json!("unavailable")),
        ("/sources/0", "reason", json!("although available")),
        ("/runs/0", "exit", json!({"code": 0, "signal": 9})),
        ("/runs/0", "exit", json!(0)),
        ("/runs/0", "started", json!("yesterday")),
        ("/runs/0", "wall_s", json!("2 s")),
        ("/runs/0/self", "rss_bytes", Value::Null),
        (&counter, "value", json!(-1.0)),
        (&counter, "value", Value::Null),
        (&counter, "kind", json!("gauge")),
        (&counter, "mean", json!(1.0)),
        (&counter, "consumer", json!("somebody")),
        (&counter, "provenance", json!("guessed")),
        (&counter, "unit", json!("")),
        (&counter, "labels", json!({"cpu.mode": 1})),
        (&gauge, "value", json!(1.0)),
        (&gauge, "kind", json!("counter")),
        (&process, "consumer_id", json!("")),
        ("/summary/0", "n", json!(0)),
        ("/summary/0", "ci95", json!([1.0])),
        ("/summary/0", "consumer", json!("process")),
    ] {
        let mut broken = profile.clone();
        broken.pointer_mut(place).unwrap()[key] = value.clone();
        assert!(!complaints(&broken).is_empty(), "{place}/{key} may be {value}");
    }
    for (place, key) in
        [("", "host"), ("/runs/0", "self"), (counter.as_str(), "value"), (gauge.as_str(), "mean")]
    {
        let mut broken = profile.clone();
        broken.pointer_mut(place).unwrap().as_object_mut().unwrap().remove(key).unwrap();
        assert!(!complaints(&broken).is_empty(), "{place}/{key} may be missing");
    }
}

fn names(run: &Alumet) -> Vec<String> {
    let entries = std::fs::read_dir(run.path("")).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn nothing_is_written_that_was_not_asked_for() {
    let mut plain = Alumet::new(["exec", "--per-process", "true"]);
    plain.run().status(0);
    assert_eq!(names(&plain), [""; 0]);
    let (run, _) = written_with_status("", &["sh", "-c", "exit 3"], 3);
    assert_eq!(names(&run), ["p.json", "s.csv"]);
}

/// A profile and series as the first version wrote them, as far as that matters here.
const OLD_PROFILE: &str = "{\n  \"schema\": \"alumet.profile/1\"\n}\n";
const OLD_SERIES: &str =
    "time_s,timestamp,metric,unit,value,provenance,resource,resource_id,consumer,consumer_id,labels\n";

/// Whoever reads the file after a failure must not take an earlier run for this one.
#[test]
fn the_profile_of_an_earlier_run_does_not_stay_when_this_one_fails() {
    let mut run = Alumet::new(["exec", "-q", "-r", "3", "--json", "p.json", "false"]);
    run.write("p.json", OLD_PROFILE);
    run.run().status(1);
    assert!(!run.path("p.json").exists());
    // What the shell has opened is written into, not taken away.
    let mut run = Alumet::sh("\"$@\" > out.json", &["exec", "-q", "--json", "/dev/stdout", "true"]);
    run.run().status(0);
    assert_eq!(run.profile("out.json")["schema"], "alumet.profile/2");
    assert_eq!(std::fs::read_dir(run.path("")).unwrap().count(), 1);
}

#[test]
fn a_command_that_is_refused_has_touched_nothing() {
    let files = ["--json", "p.json", "-o", "s.csv"];
    let repeated = ["-r", "2", "--json", "p.json", "--app-output", "kept"];
    for (options, words, status) in [
        (&files[..], &["-e", "nosuchevent", "true"][..], 2),
        (&files, &["/no/such/program"], 127),
        (&files, &["--timeout", "soon", "true"], 2),
        (&files, &["--markdown", "x", "true"], 2),
        (&files, &["--without", "csv", "true"], 2),
        (&repeated, &["-e", "cycles,nosuchevent", "true"], 2),
        (&repeated, &["/no/such/program"], 127),
        (&repeated, &["--min-time", "soon", "true"], 2),
    ] {
        let mut run = Alumet::new([&["exec"], options, words].concat());
        run.write("p.json", OLD_PROFILE).write("s.csv", OLD_SERIES).write("kept", "kept");
        run.run().status(status);
        let left = ["p.json", "s.csv", "kept"].map(|name| run.read(name));
        assert_eq!(left, [OLD_PROFILE, OLD_SERIES, "kept"], "{options:?} {words:?}");
        assert_eq!(names(&run), ["kept", "p.json", "s.csv"]);
    }
}

#[test]
fn only_a_file_of_the_same_kind_is_written_over() {
    for text in ["precious\n", "#!/bin/sh\nexit 7\n", "{}", "{\"schema\": \"other\"}", "time,value\n1,2\n"] {
        for (option, what) in [("--json", "the profile"), ("-o", "series")] {
            let mut run = Alumet::new(["exec", option, "victim", "true"]);
            run.write("victim", text);
            let says = format!(
                "cannot write {what} to victim: it holds what alumet has not written as this; remove it first, or \
                 name another file"
            );
            run.run().refuses(2, &says);
            assert_eq!(run.read("victim"), text);
        }
        // Of repeated runs that of the last one is looked at before the first.
        let mut run = Alumet::new(["exec", "-r", "3", "-o", "s.csv", "touch", "started"]);
        run.write("s-3.csv", text);
        run.run().refuses(2, "cannot write series to s-3.csv: it holds what");
        assert_eq!(names(&run), ["s-3.csv"]);
    }
    for (option, text) in [("--json", OLD_SERIES), ("-o", OLD_PROFILE)] {
        let mut run = Alumet::new(["exec", option, "victim", "true"]);
        run.write("victim", text);
        run.run().refuses(2, "to victim: it holds what alumet has not written as this");
    }
    // The control: once more is no trouble, nor are empty files, nor what the first version wrote.
    for (profile, series) in [(OLD_PROFILE, OLD_SERIES), ("", "")] {
        let mut run = Alumet::new(["exec", "-q", "--json", "p.json", "-o", "s.csv", "true"]);
        run.write("p.json", profile).write("s.csv", series);
        for _ in 0..2 {
            run.run().status(0);
            assert!(!run.rows("s.csv").is_empty() && run.profile("p.json")["runs"].is_array());
        }
    }
}

#[test]
fn a_program_that_is_to_be_run_is_no_output() {
    for options in [&["--json", "app"][..], &["-o", "./app"], &["-r", "2", "--app-output", "app"]] {
        let mut run = Alumet::new([&["exec"], options, &["./app"]].concat());
        run.write("app", "");
        std::fs::set_permissions(run.path("app"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        run.run().refuses(2, "app: it is what is to be run; name another file");
        assert_eq!(run.read("app"), "");
    }
}

#[test]
fn what_the_application_puts_in_the_place_of_the_profile_stays() {
    let mut run = Alumet::new(["exec", "-q", "--json", "p.json", "sh", "-c", "echo mine > p.json"]);
    run.run().refuses(125, "cannot write the profile to p.json: it holds what alumet has not written");
    assert_eq!(run.read("p.json"), "mine\n");
}

#[test]
fn a_dash_is_stdout() {
    let mut run = Alumet::new(["exec", "-q", "--json", "-", "true"]);
    let done = run.run().status(0);
    let profile: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(profile["runs"][0]["exit"]["code"], 0);
    let series = Alumet::new(["exec", "-q", "-o", "-", "true"]).run().status(0).stdout;
    assert!(series.starts_with(HEADER) && series.lines().count() > 10, "{series}");
    assert_eq!(names(&run), [""; 0]);
    Alumet::new(["exec", "-o", "-", "--json", "-", "true"])
        .run()
        .refuses(2, "-o and --json both name stdout");
    Alumet::sh("exec \"$@\" >&-", &["exec", "--json", "-", "true"])
        .run()
        .refuses(125, "cannot write the profile to stdout: it is closed");
}

/// Whoever opens /dev/stdout anew writes over what the application has written.
#[test]
fn a_stdout_that_is_a_file_keeps_what_the_application_has_written() {
    for path in ["-", "/dev/stdout", "/dev/fd/1"] {
        let mut run =
            Alumet::sh("echo before > out; \"$@\" >> out", &["exec", "-q", "--json", path, "echo", "said"]);
        run.run().status(0);
        let text = run.read("out");
        let profile = text.strip_prefix("before\nsaid\n").unwrap_or_else(|| panic!("{path}: {text}"));
        assert_eq!(serde_json::from_str::<Value>(profile).unwrap()["schema"], "alumet.profile/2");
    }
}

#[test]
fn series_that_somebody_deletes_truncates_adds_to_or_moves_are_not_said_to_be_whole() {
    for (script, why, is_none_left) in [
        ("rm s.csv", "it was deleted meanwhile; 0 of ", true),
        (": > s.csv", "it was truncated meanwhile; ", false),
        ("sleep 0.3; echo mine >> s.csv", "somebody else has written into it meanwhile; ", false),
        ("mv other s.csv", "it was deleted meanwhile; 0 of ", true),
        ("mv s.csv moved.csv", "it was moved to ", false),
        ("mv s.csv moved.csv; mv other s.csv", "it was moved to ", false),
    ] {
        let mut run = Alumet::new(["exec", "-q", "-i", "10ms", "-o", "s.csv", "sh", "-c", script]);
        run.write("other", "mine\n");
        let done = run.run();
        // What is truncated before the first row is written has lost nothing.
        if script == ": > s.csv" && done.status == 0 {
            continue;
        }
        let done = done.refuses(125, &format!("cannot write series to s.csv: {why}"));
        assert_eq!(done.stderr.contains("; 0 of "), is_none_left, "{}", done.stderr);
        if why.contains("moved") {
            assert!(done.stderr.contains("/moved.csv meanwhile; "), "{}", done.stderr);
            assert!(!run.rows("moved.csv").is_empty());
        }
    }
}

#[test]
fn two_alumets_do_not_write_into_one_file() {
    let inner = format!("sleep 0.2; {} exec -o s.csv touch started", binary().display());
    let mut run = Alumet::new(["exec", "-q", "-i", "10ms", "-o", "s.csv", "sh", "-c", &inner]);
    let says = "cannot write series to s.csv: another alumet is writing it; name another file";
    let done = run.run();
    assert_eq!((done.status, done.stderr.contains(says)), (125, true), "{done:?}");
    assert!(!run.path("started").exists());
    assert!(run.rows("s.csv").len() > 100, "the first one goes on");
}

#[test]
fn quiet_means_that_nothing_is_on_stderr() {
    for options in [&["-q"][..], &["--quiet", "-o", "s.csv", "--json", "p.json", "--per-process"]] {
        let done = Alumet::new(["exec"].iter().chain(options).chain(&["sh", "-c", "exit 5"])).run();
        assert_eq!((done.status, done.stderr.as_str(), done.stdout.as_str()), (5, "", ""));
    }
}

/// What a terminal of so many columns gets from `alumet exec` with these arguments (as a shell reads them).
fn on_terminal(columns: usize, environment: &str, arguments: &str) -> Option<String> {
    let alumet = binary().display();
    let line = format!(
        "stty rows 24 cols {columns} && TERM=xterm NO_COLOR= exec env {environment} {alumet} exec {arguments}"
    );
    let mut script = Alumet::with(Command::new("script"), ["-qefc", &line, "/dev/null"]);
    match script.command.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            eprintln!("skipped: terminals, because `script` cannot be run: {error}");
            None
        }
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let plain = Alumet::new(["exec", "--per-process", "sh", "-c", "exit 3"]).env("TERM", "xterm").run();
    assert!(!plain.stderr.contains('\x1b'), "{}", plain.stderr);
    for (environment, colours) in
        [("", true), ("NO_COLOR=1", false), ("TERM=dumb", false), ("-u TERM", false)]
    {
        let Some(text) = on_terminal(80, environment, "--per-process sh -c 'exit 3'") else { return };
        assert!(text.contains("ended with status 3"), "{text}");
        assert_eq!(text.contains('\x1b'), colours, "{environment}: {text}");
    }
}

/// Without colours and the like.
fn visible(line: &str) -> String {
    let mut parts = line.trim_end().split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |line, part| line + part.split_once('m').map_or(part, |(_, rest)| rest))
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let long =
        "sh -c 'sleep 0.05; exit 0' a-long-argument another-long-argument and-one-more-to-be-sure-of-it";
    for columns in [60, 100] {
        for arguments in [
            long.to_owned(),
            format!("--per-process -v -i 5ms {long}"),
            format!("--timeout 30ms sleep 10 {}", "1 ".repeat(50)),
            format!("--procfs /nonexistent {long}"),
            "--per-process -i 5ms sh -c 'cp /bin/sleep a-name-of-15-cx && ./a-name-of-15-cx 0.1'".to_owned(),
        ] {
            let Some(text) = on_terminal(columns, "", &arguments) else { return };
            assert!(text.contains("not measured"), "{text}");
            for line in text.lines().map(visible) {
                assert!(line.chars().count() <= columns, "{columns}, {arguments}: {line}\n{text}");
            }
        }
    }
}

/// Whatever name a process gives itself, and whatever words a command has.
#[test]
fn names_do_nothing_to_a_terminal_or_a_pipeline_wherever_they_are_shown() {
    let script = "printf '::error::\\033[2J' >/proc/self/comm; printf 'x\\n::error::\\302\\233' >/proc/$$/comm; \
                  i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; \
                  (printf '\\342\\200\\256##[x' >/proc/self/comm; sleep 300) >/dev/null 2>&1 & sleep 0.1";
    let words =
        ["exec", "--per-process", "--per-thread", "-v", "-i", "5ms", "-o", "s.csv", "--json", "p.json"];
    let title = "\n::error::title\u{1b}[31m\u{202e}";
    let mut run = Alumet::new(words.iter().chain(&["sh", "-c", script, title]));
    let done = run.run().status(0);
    assert!(done.stderr.contains("error::"), "{}", done.stderr);
    let is_fit = |c: char| c == '\n' || alumet::text::is_harmless(c);
    for text in [&done.stderr, &run.read("s.csv")] {
        assert_eq!(text.chars().find(|c| !is_fit(*c)), None, "{text}");
        let is_command = |line: &&str| line.trim_start().starts_with("::") || line.contains("##[");
        assert_eq!(text.lines().find(|line| is_command(line) && !line.contains(',')), None, "{text}");
    }
    // The words of the command are in the profile as they are: JSON escapes them.
    assert_eq!(run.profile("p.json")["command"][3], title);
    let mut evil = Alumet::new(["exec", "-e", "\u{1b}[31m\u{202e}", "true"]);
    let said = evil.run().status(2).stderr;
    assert!(said.chars().all(is_fit), "{said:?}");
}

#[test]
fn the_headlines_are_the_numbers_of_the_screen() {
    let mut run = Alumet::new(["exec", "--json", "p.json", "--", workload().to_str().unwrap(), "burn=60"]);
    let done = run.run().status(0);
    let profile = run.profile("p.json");
    let screen = done.stderr.replace('\u{a0}', " ").split_whitespace().collect::<Vec<_>>().join(" ");
    for name in ["time", "cpu"] {
        let of = |headlines: &Value| {
            let all = headlines.as_array().unwrap();
            all.iter().find(|one| one["quantity"] == name).unwrap_or_else(|| panic!("{name}")).clone()
        };
        let (one, all) = (of(&profile["runs"][0]["headline"]), of(&profile["headline"]));
        let text = one["text"].as_str().unwrap();
        assert!(screen.contains(text), "{text} is not on the screen: {screen}");
        assert_eq!((&all["text"], &all["mean"], &all["n"]), (&one["text"], &one["value"], &json!(1)));
    }
    let mut runs = Alumet::new([
        "exec",
        "-q",
        "-L",
        "n",
        "1,2",
        "-r",
        "3",
        "--json",
        "p.json",
        "sh",
        "-c",
        "exit 0 {n}",
    ]);
    runs.run().status(0);
    let profile = runs.profile("p.json");
    assert_eq!(complaints(&profile), Vec::<String>::new());
    let times = profile["headline"].as_array().unwrap().iter().filter(|one| one["quantity"] == "time");
    let of: Vec<_> = times.map(|one| (one["parameters"]["n"].clone(), one["n"].clone())).collect();
    assert_eq!(of, [(json!("1"), json!(3)), (json!("2"), json!(3))]);
}

#[test]
fn files_of_the_first_version_are_read_and_replaced() {
    let (profile, series) = (include_str!("golden/profile-1.json"), include_str!("golden/series-1.csv"));
    assert!(profile.contains("\"alumet.profile/1\"") && !series.contains("kind"));
    let mut run = Alumet::new(["compare", "a.json", "b.json", "--json", "-"]);
    run.write("a.json", profile).write("b.json", profile);
    let compared: Value = serde_json::from_str(&run.run().stdout).unwrap();
    assert_eq!(compared["comparisons"][0]["rows"].as_array().unwrap().len(), 3);
    let mut run = Alumet::new(["exec", "-q", "--json", "p.json", "-o", "s.csv", "true"]);
    run.write("p.json", profile).write("s.csv", series);
    run.run().status(0);
    assert_eq!(run.profile("p.json")["schema"], "alumet.profile/2");
    assert!(run.rows("s.csv").iter().all(|row| ["counter", "gauge"].contains(&&*row["kind"])));
}
