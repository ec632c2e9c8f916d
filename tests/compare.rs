//! Two versions against each other: real processes with a known amount of work, energy from a meter that is known, and
//! what is refused.

#[path = "support/metered.rs"]
mod metered;
mod support;

use metered::{Meter, PACKAGE};
use serde_json::Value;
use support::{Alumet, Done, workload};

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn burn(ms: u32) -> String {
    format!("{} burn={ms}", workload().display())
}

/// A comparison with JSON.
fn run(words: &[&str], versions: &[&str]) -> (Done, Value) {
    let mut run = Alumet::new([words, &["--json", "c.json"], versions].concat());
    let done = run.run();
    let json = std::fs::read_to_string(run.path("c.json")).unwrap_or_else(|_| "null".into());
    (done, serde_json::from_str(&json).unwrap())
}

fn row<'a>(comparison: &'a Value, metric: &str) -> &'a Value {
    let rows = comparison["rows"].as_array().unwrap_or_else(|| panic!("no rows in {comparison:#}"));
    rows.iter().find(|row| row["metric"] == metric).unwrap_or_else(|| panic!("no {metric} in {comparison:#}"))
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
fn ten_percent_more_work_is_a_regression_in_twenty_of_twenty() {
    for _ in 0..20 {
        let (done, json) = run(&QUICK, &[&burn(30), &burn(33)]);
        let done = done.status(3);
        assert_eq!(json["verdict"], "regression", "{json:#}");
        let cpu = row(&json, "cpu");
        assert_eq!(cpu["decides"], true);
        let change = cpu["decision"]["change"].as_f64().unwrap();
        assert!((0.05..0.15).contains(&change), "{change}");
        assert!(words(&done.stdout).contains("REGRESSION: CPU time is "), "{}", done.stdout);
    }
}

#[test]
fn five_percent_more_energy_in_equal_time_is_found_and_energy_decides() {
    let control = tempfile::NamedTempFile::new().unwrap();
    let option = format!("control={}", control.path().display());
    let meter = Meter::start(&[PACKAGE, &option, "1000@40"]);
    let version = |factor: &str| {
        format!("sh -c 'echo {factor} > {0}; sleep 0.3; echo 1 > {0}'", control.path().display())
    };
    let without = ["--without", "perf,nvml,estimate,attribution,hwmon"];
    let (done, json) = run(
        &[&["compare", "--sysfs", meter.root()], &without[..]].concat(),
        &[&version("1"), &version("1.05")],
    );
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
fn each_version_is_compared_to_the_first() {
    let (done, json) = run(&QUICK, &[&burn(15), &burn(15), &burn(30)]);
    let done = done.status(3);
    assert_eq!(json.as_array().unwrap().len(), 2, "{json:#}");
    assert_eq!((&json[1]["change"], &json[1]["verdict"]), (&burn(30).into(), &"regression".into()));
    let text = words(&done.stdout);
    assert_eq!(text.matches("10 pairs in ABBA order").count(), 2, "{}", done.stdout);
    assert!(text.contains("REGRESSION"), "{text}");
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
    assert!(words(&done.stdout).contains("INCONCLUSIVE: interrupted after"), "{done:?}");
    // However clear the pairs are.
    let script = script.replace("-ge 6", "-ge 15");
    let gate = ["--gate", "time=900%", "--warmup", "0"];
    let mut run = Alumet::sh(&script, &[&QUICK[..], &files, &gate, &[version, version]].concat());
    run.run().status(143);
    let json = run.profile("c.json");
    assert!(json["design"]["pairs"].as_u64().unwrap() >= 5, "{json:#}");
    assert_eq!((&json["verdict"], &json["ended"]), (&"inconclusive".into(), &"interrupted".into()));
    assert!(run.read("c.xml").contains("<failure type=\"INCONCLUSIVE\" message=\"interrupted after"));
    assert!(run.read("c.md").starts_with("**INCONCLUSIVE**: interrupted after"));
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
    Alumet::new(["compare", "true"]).run().refuses(2, "");
    Alumet::new(["compare", "--pairs", "5", "true", "true", "true"]).run().refuses(2, "it takes 6 at least");
    Alumet::new(["compare", "'", "true"]).run().refuses(2, "`'`: a quote is not closed");
    Alumet::new(["compare", "", "true"]).run().refuses(2, "a command is empty");
}
