//! Two versions against each other: real processes with a known amount of work, energy from a meter that is known, and
//! what is refused.

#[path = "support/metered.rs"]
mod metered;
mod support;

use std::process::Command;

use metered::{Meter, PACKAGE};
use serde_json::Value;
use support::{Alumet, Done, workload};

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn burn(ms: u32) -> String {
    format!("{} burn={ms}", workload().display())
}

/// A program that works for so many milliseconds and then waits.
fn wait(works: u32, waits: u32) -> String {
    format!("{} burn={works} sleep={waits}", workload().display())
}

/// alumet, before everybody else where that is allowed: then times do not depend on what else the machine does.
fn undisturbed() -> Command {
    let chrt = || {
        let mut chrt = Command::new("chrt");
        chrt.args(["--rr", "5"]);
        chrt
    };
    if chrt().arg("true").status().is_ok_and(|status| status.success()) {
        let mut first = chrt();
        first.arg(support::binary());
        return first;
    }
    Command::new(support::binary())
}

/// A comparison with JSON.
fn run(words: &[&str], versions: &[&str]) -> (Done, Value) {
    run_with(Command::new(support::binary()), words, versions)
}

fn run_with(alumet: Command, words: &[&str], versions: &[&str]) -> (Done, Value) {
    let mut run = Alumet::with(alumet, [words, &["--json", "c.json"], versions].concat());
    let done = run.run();
    let json = std::fs::read_to_string(run.path("c.json")).unwrap_or_else(|_| "null".into());
    (done, first(&json))
}

/// What a document says of the second version.
fn first(document: &str) -> Value {
    serde_json::from_str::<Value>(document).unwrap()["comparisons"][0].clone()
}

fn row<'a>(comparison: &'a Value, metric: &str) -> &'a Value {
    let rows = comparison["rows"].as_array().unwrap_or_else(|| panic!("no rows in {comparison:#}"));
    rows.iter().find(|row| row["metric"] == metric).unwrap_or_else(|| panic!("no {metric} in {comparison:#}"))
}

/// Whether something else had the CPUs: then even what only sleeps varies by more than this, or the ends of runs were seen
/// late.
fn was_disturbed(comparison: &Value, most: f64) -> bool {
    let time = row(comparison, "time");
    let spread = |side: &str| time[side]["stddev"].as_f64().unwrap() / time[side]["mean"].as_f64().unwrap();
    time["decision"].is_null() || spread("baseline").max(spread("change")) > most
}

/// How often comparisons that were disturbed are made again.
const AGAIN: usize = 4;

/// So many comparisons of versions that sleep, all at once, and again those that were disturbed, which is said.
fn of_sleepers(n: usize, most: f64, compare: impl Fn() -> (Done, Value) + Sync) -> Vec<(Done, Value)> {
    let mut all = Vec::new();
    for _ in 0..=AGAIN {
        let made = std::thread::scope(|scope| {
            let made: Vec<_> = (all.len()..n).map(|_| scope.spawn(&compare)).collect();
            made.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        all.extend(made.into_iter().filter(|(_, json)| !was_disturbed(json, most)));
        if all.len() == n {
            return all;
        }
        eprintln!("again: {} of {n} comparisons, because what only sleeps varied", n - all.len());
    }
    let disturbed = n - all.len();
    support::skip(
        &format!("{disturbed} of {n} comparisons"),
        &format!("the machine is so busy that sleeps vary by more than {} %", 100.0 * most),
    );
    all
}

/// Without what takes time and is not compared here.
const QUICK: [&str; 3] = ["compare", "--without", "perf,nvml,estimate,hwmon"];

#[test]
fn a_program_against_itself_raises_no_alarm_in_twenty_gates() {
    let mut verdicts = Vec::new();
    for _ in 0..20 {
        let (done, json) = run(&QUICK, &[&burn(30), &burn(30)]);
        assert_ne!(done.status, 3, "{json:#}\n{done:?}");
        verdicts.push(json["verdict"].as_str().unwrap().to_owned());
    }
    // CPU time of equal work varies little: most of them can be told.
    assert!(verdicts.iter().filter(|verdict| *verdict == "pass").count() >= 10, "{verdicts:?}");
}

#[test]
fn ten_percent_more_time_at_equal_cpu_time_is_a_regression_in_twenty_of_twenty_and_none_is_none() {
    // They wait side by side, and long enough that a busy machine hardly shows.
    let slower = || run_with(undisturbed(), &QUICK, &[&wait(2, 400), &wait(2, 440)]);
    for (done, json) in of_sleepers(20, 0.03, slower) {
        let time = row(&json, "time");
        let done = done.status(3);
        assert_eq!((&time["decides"], &time["guards"]), (&Value::from(false), &Value::from(true)));
        assert_eq!(time["decision"]["verdict"], "regression", "{json:#}");
        assert!(words(&done.stdout).contains("x slower than "), "{}", done.stdout);
    }
    let mut passes = 0;
    for _ in 0..20 {
        let (done, json) = run(&QUICK, &[&wait(20, 20), &wait(20, 20)]);
        assert_ne!(done.status, 3, "{json:#}\n{done:?}");
        passes += usize::from(json["verdict"] == "pass");
    }
    assert!(passes >= 10, "{passes}");
}

#[test]
fn a_gate_that_was_named_decides_without_the_time() {
    let words = [&QUICK[..], &["--gate", "cpu=50%", "--pairs", "8"]].concat();
    let (done, json) = run(&words, &[&wait(10, 100), &wait(10, 300)]);
    done.status(0);
    assert_eq!(row(&json, "time")["guards"], false);
    assert_eq!(row(&json, "time")["decision"]["finding"], "worse", "{json:#}");
}

#[test]
fn ten_percent_more_work_is_a_regression_in_twenty_of_twenty() {
    for _ in 0..20 {
        let (done, json) = run(&QUICK, &[&burn(30), &burn(33)]);
        let done = done.status(3);
        assert_eq!(json["verdict"], "regression", "{json:#}");
        let cpu = row(&json, "cpu");
        assert_eq!(cpu["decides"], true);
        let change = cpu["decision"]["change"].as_f64().unwrap();
        assert!((0.05..0.15).contains(&change), "{change}");
        assert!(words(&done.stdout).contains("% more CPU"), "{}", done.stdout);
    }
}

#[test]
fn five_percent_more_energy_in_equal_time_is_found_and_energy_decides() {
    let control = tempfile::NamedTempFile::new().unwrap();
    let option = format!("control={}", control.path().display());
    let meter = Meter::start(&[PACKAGE, &option, "1000@40"]);
    let version = |factor: &str| {
        format!("sh -c 'echo {factor} > {0}; sleep 0.8; echo 1 > {0}'", control.path().display())
    };
    let without = ["--without", "perf,nvml,estimate,attribution,hwmon"];
    let options = [&["compare", "--sysfs", meter.root()], &without[..]].concat();
    // The longer the sleep, the less it varies, and the meter's energy with it.
    let compare = || run_with(undisturbed(), &options, &[&version("1"), &version("1.05")]);
    let compared = of_sleepers(1, 0.015, compare).pop();
    let Some((done, json)) = compared else { return };
    assert_eq!(json["verdict"], "regression", "{json:#}\n{done:?}");
    let energy = row(&json, "energy");
    assert_eq!((&energy["decides"], &energy["provenance"]), (&true.into(), &"measured".into()));
    let change = energy["decision"]["change"].as_f64().unwrap();
    assert!((0.03..0.07).contains(&change), "{change}");
    assert!(row(&json, "time")["decision"]["change"].as_f64().unwrap().abs() < 0.03);
    assert!(words(&done.status(3).stdout).contains("decides: energy (measured"));
}

#[test]
fn an_early_end_needs_fewer_pairs_and_says_so() {
    let (done, json) = run(&[&QUICK[..], &["--adaptive"]].concat(), &[&burn(10), &burn(20)]);
    done.status(3);
    let design = &json["design"];
    assert_eq!((&design["kind"], &design["adaptive"]), (&"interleaved".into(), &true.into()));
    assert!((8..20).contains(&design["pairs"].as_u64().unwrap()), "{design}");
}

#[test]
fn time_that_is_up_leaves_what_cannot_be_told_inconclusive() {
    let limited = ["compare", "--max-time", "1s", "--warmup", "0"];
    let (done, json) = run(&limited, &["sleep 0.3", "sleep 0.3"]);
    assert_eq!(json["verdict"], "inconclusive", "{json:#}");
    assert!(words(&done.stdout).contains("the time was up after 2 of at most 10 pairs"), "{done:?}");
    // Two pairs can decide nothing: that is let through by no setting, and by no pipeline that allows status 4.
    done.status(125).says("2 pairs could decide nothing, it takes 5 at least");
    for settled in ["pass", "fail"] {
        let words = [&limited[..], &["--inconclusive", settled]].concat();
        run(&words, &["sleep 0.3", "sleep 0.3"]).0.status(125);
    }
}

#[test]
fn too_few_pairs_for_several_gates_pass_nothing() {
    let enough_for_one =
        ["--warmup", "0", "--max-time", "4s", "--gate", "time=90%,cpu=9000%", "--inconclusive", "pass"];
    let version = "sh -c 'echo >> log; test $(wc -l < log) -lt 9 || sleep 2.5'";
    let (done, json) = run(&[&QUICK[..], &enough_for_one].concat(), &[version, version]);
    assert_eq!(json["design"]["pairs"], 5, "{json:#}");
    assert_eq!((done.status, &json["verdict"]), (125, &"inconclusive".into()), "{json:#}");
    assert_eq!((&json["needed"], &json["ended"]), (&6.into(), &"out_of_time".into()));
}

#[test]
fn several_gates_are_judged_together_each_by_its_own_threshold() {
    let gates = |gates: &str| run(&[&QUICK[..], &["--gate", gates]].concat(), &[&burn(20), &burn(26)]);
    let (done, json) = gates("cpu=2%,time=90%");
    assert_eq!(json["verdict"], "regression", "{json:#}\n{done:?}");
    assert_eq!(row(&json, "time")["decides"], true);
    assert_eq!(row(&json, "time")["decision"]["threshold"], 0.9);
    let (done, json) = gates("cpu=60%");
    assert_eq!((done.status, &json["verdict"]), (0, &"pass".into()), "{json:#}");
    let (done, _) = gates("energy=2%");
    done.refuses(125, "there is nothing valid to compare: energy was not measured");
}

#[test]
fn any_number_of_versions_are_one_table_each_compared_to_the_first_by_its_name() {
    let files = [
        "--json",
        "c.json",
        "--csv",
        "c.csv",
        "--junit",
        "c.xml",
        "--openmetrics",
        "c.txt",
        "--markdown",
        "c.md",
    ];
    let named = ["-n", "old", "-n", "new", "-n", "beta"];
    let versions = [burn(15), burn(15), burn(30)];
    let mut run =
        Alumet::new([&QUICK[..], &files, &named, &versions.each_ref().map(String::as_str)].concat());
    let done = run.run().status(3);
    let json = run.profile("c.json");
    let names: Vec<_> = json["versions"].as_array().unwrap().iter().map(|version| &version["name"]).collect();
    assert_eq!(names, ["old", "new", "beta"]);
    assert_eq!(json["versions"][2]["command"], burn(30).as_str());
    let comparisons = json["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 2, "{json:#}");
    assert_ne!(comparisons[0]["verdict"], "regression", "{json:#}");
    assert_eq!(
        (&comparisons[1]["change"], &comparisons[1]["verdict"]),
        (&"beta".into(), &"regression".into())
    );
    assert_eq!(json["verdict"], "regression");
    // One table, and a person's words: the gate's are for `check`.
    let line = |name: &str| {
        done.stdout.lines().filter(|line| line.trim_start().starts_with(&format!("{name}  "))).count()
    };
    assert_eq!(["old", "new", "beta"].map(line), [1, 1, 1], "{}", done.stdout);
    let text = words(&done.stdout);
    assert!(text.contains("beta is ") && text.contains("x slower than old ["), "{}", done.stdout);
    assert!(text.contains("10 rounds in balanced order") && !text.contains("REGRESSION"), "{}", done.stdout);
    let rows = run.rows("c.csv");
    let cpu = |name: &str| rows.iter().find(|row| row["version"] == name && row["metric"] == "cpu").unwrap();
    assert_eq!(
        (&*cpu("beta")["finding"], &*cpu("beta")["baseline"], &*cpu("old")["finding"]),
        ("worse", "old", "")
    );
    assert!(cpu("beta")["change_low"].parse::<f64>().unwrap() > 0.5);
    let junit = run.read("c.xml");
    assert!(
        junit.contains("classname=\"new\" name=\"cpu\"")
            && junit.contains("classname=\"beta\" name=\"time\""),
        "{junit}"
    );
    let metrics = run.read("c.txt");
    assert!(
        metrics.contains("alumet_verdict{command=\"") && metrics.contains("name=\"beta\"} 2"),
        "{metrics}"
    );
    assert!(run.read("c.md").contains("| <code>beta</code> |"), "{}", run.read("c.md"));
}

#[test]
fn the_values_of_a_parameter_are_versions_of_one_command() {
    let command = format!("{} burn={{ms}}", workload().display());
    let options = ["--pairs", "6", "-L", "ms", "10,20", "--cleanup", "echo {ms} >> log", "--json", "c.json"];
    let mut run = Alumet::new([&QUICK[..], &options, &[&command]].concat());
    let done = run.run().status(3);
    let json = run.profile("c.json");
    assert_eq!(json["versions"][1]["parameters"]["ms"], "20");
    assert_eq!(
        (&json["versions"][1]["name"], &json["versions"][1]["command"]),
        (&"ms = 20".into(), &burn(20).into())
    );
    assert_eq!(run.read("log"), "10\n20\n");
    assert!(words(&done.stdout).contains("ms = 20 is "), "{}", done.stdout);
    // Of several commands each has all values.
    let both = [
        "--pairs",
        "7",
        "-P",
        "n",
        "1",
        "2",
        "-n",
        "a",
        "true {n}",
        "true -{n}",
        "--gate",
        "cpu=900%",
        "--json",
        "c.json",
    ];
    let mut run = Alumet::new([&QUICK[..], &both].concat());
    run.run().status(0);
    let names: Vec<_> =
        run.profile("c.json")["versions"].as_array().unwrap().iter().map(|v| v["name"].clone()).collect();
    assert_eq!(names, ["a, n = 1", "a, n = 2", "true -1", "true -2"]);
    for (words, says) in [
        (&["true"][..], "there is one version and nothing to compare it to"),
        (&["-L", "n", "1", "true {n}"], "there is one version and nothing to compare it to"),
        (&["-L", "m", "1,2", "true {n}"], "the parameter `m` changes nothing"),
        (&["-n", "a", "-n", "b", "-n", "c", "true", "true"], "there are 3 names for 2 versions"),
        (&["-L", "n", "1,2", "p.json", "true {n}"], "-L and -P are for commands"),
    ] {
        let mut run = Alumet::new([&["compare"], words].concat());
        run.write("p.json", "{}");
        run.run().refuses(2, says);
    }
}

#[test]
fn equal_versions_are_told_apart_by_a_number() {
    let gate = ["--pairs", "7", "--gate", "cpu=900%", "--json", "c.json", "true", "true", "true"];
    let mut run = Alumet::new([&QUICK[..], &gate].concat());
    run.run().status(0);
    let json = run.profile("c.json");
    assert_eq!(
        (&json["versions"][2]["name"], &json["versions"][2]["command"]),
        (&"true (3)".into(), &"true".into())
    );
}

#[test]
fn versions_take_turns_so_that_each_follows_each_other() {
    let version = |name: &str| format!("sh -c 'echo {name} >> log'");
    let versions = ["a", "b", "c"].map(version);
    let gate = ["--pairs", "6", "--warmup", "0", "--gate", "cpu=900%"];
    let mut run = Alumet::new([&QUICK[..], &gate, &versions.each_ref().map(String::as_str)].concat());
    let done = run.run();
    assert!([0, 4].contains(&done.status), "{done:?}");
    assert_eq!(run.read("log").replace('\n', ""), "abc".to_owned() + "cba" + "bca" + "acb" + "cab" + "bac");
}

#[test]
fn a_version_that_fails_is_nothing_to_compare_unless_that_is_accepted() {
    // The fourth of its runs fails.
    let flaky = "sh -c 'echo >> log; test $(wc -l < log) != 4 || exit 9'";
    let (done, _) = run(&QUICK, &["sleep 0.01", flaky]);
    done.refuses(125, "ended with status 9");
    let (done, json) = run(&[&QUICK[..], &["--ignore-failure=9"]].concat(), &["sleep 0.01", flaky]);
    assert!([0, 3, 4].contains(&done.status), "{done:?}");
    assert_eq!(json["design"]["pairs"], 10);
    let (done, _) = run(&QUICK, &["true", "/no/such/program"]);
    done.refuses(127, "/no/such/program: not found");
    let (done, _) = run(&[&QUICK[..], &["--timeout", "200ms"]].concat(), &["true", "sleep 5"]);
    done.refuses(125, "warm-up 1 of sleep 5 was ended by --timeout after 200ms");
}

#[test]
fn work_that_is_left_behind_by_either_version_is_nothing_to_compare() {
    let script = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(script.path(), format!("{} >/dev/null 2>&1 & exit 0\n", burn(100))).unwrap();
    let leaves = format!("sh {}", script.path().display());
    let (done, _) = run(&[&QUICK[..], &["--pairs", "5", "--wait-all"]].concat(), &[&burn(100), &leaves]);
    assert!([0, 3, 4].contains(&done.status), "{done:?}");
    // A baseline that leaves something behind is no licence for the change to move its work there.
    for versions in [[&burn(100), &leaves], [&leaves, &burn(100)], [&leaves, &leaves]] {
        let (done, _) = run(&[&QUICK[..], &["--pairs", "5"]].concat(), &versions.map(String::as_str));
        done.refuses(125, "left processes behind, whose work is not counted: --wait-all waits for it");
    }
}

/// What a warm-up leaves behind may do the work of all runs after it.
#[test]
fn a_server_that_the_warm_up_starts_is_nothing_to_compare_either() {
    let starts = "sh -c 'test -e started || { sleep 20 >/dev/null 2>&1 & }; touch started'";
    for versions in [[starts, "true"], ["true", starts]] {
        let (done, _) = run(&[&QUICK[..], &["--pairs", "5"]].concat(), &versions);
        done.refuses(125, "there is nothing valid to compare: warm-up 1 of sh -c");
    }
}

#[test]
fn an_interruption_compares_the_complete_pairs() {
    let script = "\"$@\" & pid=$!; until test \"$(cat log 2>/dev/null | wc -l)\" -ge 6; do sleep 0.05; done; \
                  kill -TERM $pid; wait $pid";
    let version = "sh -c 'echo >> log; exec sleep 0.2'";
    let files = ["--json", "c.json", "--junit", "c.xml", "--markdown", "c.md"];
    let mut run = Alumet::sh(script, &[&QUICK[..], &files, &["--warmup", "0", version, version]].concat());
    let done = run.run().status(143);
    assert!(done.stderr.contains("complete runs are shown, without a verdict"), "{done:?}");
    assert!(words(&done.stdout).contains("interrupted after"), "{done:?}");
    // However clear the pairs are.
    let script = script.replace("-ge 6", "-ge 15");
    let gate = ["--gate", "time=900%", "--warmup", "0"];
    let mut run = Alumet::sh(&script, &[&QUICK[..], &files, &gate, &[version, version]].concat());
    run.run().status(143);
    let json = first(&run.read("c.json"));
    assert!(json["design"]["pairs"].as_u64().unwrap() >= 5, "{json:#}");
    assert_eq!((&json["verdict"], &json["ended"]), (&"inconclusive".into(), &"interrupted".into()));
    assert!(run.read("c.xml").contains("<failure type=\"INCONCLUSIVE\" message=\"interrupted after"));
    assert!(run.read("c.md").starts_with("<!-- alumet -->\n- interrupted after"));
}

#[test]
fn everything_is_done_around_the_runs_and_the_output_is_hidden() {
    let options =
        ["--pairs", "5", "--warmup", "2", "--prepare", "echo p >> log", "--cleanup", "echo c >> log"];
    let versions = ["sh -c 'echo a >> log; echo out'", "sh -c 'echo b >> log; echo out'"];
    let mut run = Alumet::new([&QUICK[..], &options, &versions].concat());
    let done = run.run();
    assert!([0, 3, 4].contains(&done.status), "{done:?}");
    assert!(!done.stdout.lines().any(|line| line == "out"), "{done:?}");
    // In turn: A B, B A, A B, ...
    let expected = "papb".to_owned() + "pbpa" + "papb" + "pbpa" + "papb" + "pbpa" + "papb" + "c";
    assert_eq!(run.read("log").replace('\n', ""), expected);
    let shell =
        Alumet::new([&QUICK[..], &["--pairs", "5", "--shell", "sh", "true | true", "true && true"]].concat())
            .run();
    assert!([0, 3, 4].contains(&shell.status), "{shell:?}");
}

#[test]
fn wrong_usage_is_one_line() {
    for (options, says) in [
        (&["--pairs", "4"][..], "--pairs: 4 cannot decide anything; it takes 5 at least"),
        (&["--pairs", "19", "--adaptive"], "it takes 20 at least with --adaptive"),
        (&["--threshold", "much"], "--threshold: `much` is no percentage"),
        (&["--threshold", "-1%"], "--threshold: `-1%` is no percentage"),
        (&["--alpha", "0"], "--alpha: `0` is no probability"),
        (&["--gate", "energy,energy"], "--gate: `energy` is there twice"),
        (&["--gate", ""], "--gate: `` names nothing"),
        (&["--max-time", "x"], "--max-time: `x` is not a duration"),
        (&["--gate", "TIME"], "--gate: `TIME`: it is written `time`"),
        (&["--gate", "cpu", "--require-measured"], "--require-measured wants energy to decide"),
        (&["--pairs", "5", "--gate", "cpu,time"], "it takes 6 at least"),
        (&["--pairs", "6", "--alpha", "0.01"], "it takes 7 at least"),
        (&["--threshold", "2%%"], "--threshold: `2%%` is no percentage"),
        (&["--warmup", "18446744073709551615"], "is more than 1000000"),
    ] {
        Alumet::new([&["compare"], options, &["true", "true"]].concat()).run().refuses(2, says);
    }
    Alumet::new(["compare"]).run().refuses(2, "");
    Alumet::new(["compare", "--pairs", "5", "true", "true", "true"]).run().refuses(2, "it takes 6 at least");
    Alumet::new(["compare", "'", "true"]).run().refuses(2, "`'`: a quote is not closed");
    Alumet::new(["compare", "", "true"]).run().refuses(2, "a command is empty");
}

/// Five runs of a program that does next to nothing, each with this done to its metrics.
fn stored(base: &Value, change: impl Fn(&mut Vec<Value>)) -> String {
    let mut profile = base.clone();
    for run in profile["runs"].as_array_mut().unwrap() {
        change(run["metrics"].as_array_mut().unwrap());
    }
    profile.to_string()
}

fn base() -> Value {
    let words = ["exec", "-r", "5", "-q", "--without", "perf,nvml,estimate,hwmon", "--json", "p.json", "--"];
    let mut run = Alumet::new(words);
    run.command.arg(workload()).arg("burn=5");
    run.run().status(0);
    run.profile("p.json")
}

/// Compares two stored profiles, with every file that there can be.
fn compare_stored(options: &[&str], a: &str, b: &str) -> (Done, Alumet) {
    let files = ["--json", "c.json", "--markdown", "c.md", "--junit", "c.xml", "--openmetrics", "c.txt"];
    let mut compare = Alumet::new([&["compare"], options, &files, &["a.json", "b.json"]].concat());
    compare.write("a.json", a).write("b.json", b);
    (compare.run(), compare)
}

#[test]
fn a_bound_decides_no_gate_and_keeps_its_mark_in_every_file() {
    let base = base();
    let peak = |bytes: f64, bound: &'static str| {
        stored(&base, |metrics| {
            let is_peak = |m: &&mut Value| {
                m["metric"] == "process.memory.peak" && m["labels"]["process.memory.peak.scope"] == "tree"
            };
            let peak = metrics.iter_mut().find(is_peak).unwrap();
            for (key, value) in [("mean", bytes), ("min", bytes), ("max", bytes)] {
                peak[key] = value.into();
            }
            (peak["method"], peak["bound"]) = ("samples".into(), bound.into());
            peak["bound_reason"] = "nobody has seen more".into();
        })
    };
    for (bound, mark) in [("at_least", "at least"), ("at_most", "at most")] {
        let (a, b) = (peak(50e6, bound), peak(200e6, bound));
        let why = format!("memory cannot decide: it is {mark} so much: nobody has seen more");
        compare_stored(&["--gate", "memory"], &a, &b).0.refuses(125, &why);

        let (done, files) = compare_stored(&["--gate", "cpu=900%"], &a, &b);
        let done = done.status(0);
        let marked = [format!("{mark} 50 MB"), format!("{mark} 200 MB")];
        let table = words(&done.stdout);
        assert!(marked.iter().all(|value| table.contains(value)), "{}", done.stdout);
        assert!(table.contains(&format!("Memory is not judged: it is {mark} so much")), "{}", done.stdout);
        let markdown = files.read("c.md");
        assert!(marked.iter().all(|value| markdown.contains(value)), "{markdown}");
        let json = first(&files.read("c.json"));
        let memory = row(&json, "memory");
        assert_eq!(
            (&memory["baseline"]["bound"], &memory["change"]["bound"]),
            (&bound.into(), &bound.into())
        );
        assert!(memory["not_judged"].as_str().unwrap().contains(mark), "{memory:#}");
        let openmetrics = files.read("c.txt");
        assert_eq!(openmetrics.matches(&format!("bound=\"{mark}\"")).count(), 2, "{openmetrics}");
        assert!(!files.read("c.xml").contains("memory"), "only what may fail is a test case");
    }
}

#[test]
fn stored_runs_that_were_obtained_in_another_way_are_refused_with_what_differs() {
    let base = base();
    let counted = |name: &'static str, value: f64| {
        stored(&base, |metrics| {
            let mut count = metrics.iter().find(|m| m["metric"] == "process.cpu.time").unwrap().clone();
            (count["metric"], count["unit"], count["value"]) = (name.into(), "1".into(), value.into());
            (count["method"], count["labels"]) =
                ("perf_event_open, inherited".into(), Value::Object(Default::default()));
            metrics.push(count);
        })
    };
    let (all, user) = (counted("perf.instructions", 4e6), counted("perf.instructions:u", 3e6));
    let gate = ["--gate", "instructions=5%"];
    compare_stored(&gate, &all, &counted("perf.instructions", 4.2e6)).0.status(0);
    compare_stored(&gate, &all, &counted("perf.instructions", 4.2e6 + 1.0)).0.status(3);
    for (a, b) in [(&all, &user), (&user, &all)] {
        compare_stored(&gate, a, b)
            .0
            .refuses(125, "instructions was obtained in another way in a.json than in b.json");
    }
    let (done, files) = compare_stored(&[], &all, &user);
    assert!(matches!(done.status, 0 | 4), "{done:?}");
    let json = first(&files.read("c.json"));
    let why = row(&json, "instructions")["not_judged"].as_str().unwrap().to_owned();
    assert!(why.contains("in user mode alone"), "{why}");

    // The kernel's other account of CPU time is another number, too.
    let by_wait = stored(&base, |metrics| {
        let of_cpu =
            metrics.iter_mut().filter(|m| m["metric"] == "process.cpu.time" && m["consumer"] == "target");
        of_cpu.for_each(|m| m["method"] = "some other account".into());
    });
    let (done, _) = compare_stored(&[], &base.to_string(), &by_wait);
    done.refuses(125, "cpu was obtained in another way in a.json than in b.json");
}
