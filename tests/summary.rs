//! What a person reads at the end: short by default, whole with `-v`, and as wide as the terminal.

mod support;

use std::process::Command;

use support::{Alumet, binary, skip, workload};

fn exec(options: &[&str], command: &[&str]) -> Alumet {
    Alumet::new([&["exec"], options, &["--"], command].concat())
}

#[test]
fn what_is_so_in_every_run_is_said_only_if_asked_for() {
    let command = [workload().to_str().unwrap(), "burn=150"];
    let [short, whole] = [&[][..], &["-v"]].map(|options| exec(options, &command).run().status(0).stderr);
    for fact in ["Time ", "CPU ", " cores)", "Memory ", "alumet used "] {
        assert!(short.contains(fact), "{fact}: {short}");
    }
    assert!(short.lines().filter(|line| !line.is_empty()).count() <= 8, "{short}");
    for usual in
        [" burn=150 ", "ended with status 0", " samples, interval ", "cgroup", "0 major", "output totals: "]
    {
        assert!(!short.contains(usual), "{usual}: {short}");
    }
    let whole = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    for usual in ["ended with status 0", " samples, interval ", "alumet itself used", "output totals: "] {
        assert!(whole.contains(usual), "{usual}: {whole}");
    }
}

#[test]
fn how_it_ended_is_said_if_that_was_not_well() {
    exec(&[], &["sh", "-c", "exit 3"]).run().status(3).says("ended with status 3");
    exec(&["--timeout", "100ms"], &["sleep", "9"]).run().status(124).says("was ended after 100ms");
}

#[test]
fn an_estimate_says_between_what_it_lies() {
    let command = [workload().to_str().unwrap(), "burn=50"];
    let text = exec(&["--plugins", "procfs,estimate"], &command).run().status(0).stderr;
    let line = text.lines().find_map(|line| line.split_once("Energy ~ ")).expect(&text).1;
    let (value, rest) =
        line.split_once(" J (estimate, ").or_else(|| line.split_once(" mJ (estimate, ")).expect(&text);
    assert!(value.parse::<f64>().unwrap() > 0.0 && rest.contains(" … "), "{text}");
}

#[test]
fn what_is_missing_is_named_and_in_whole_explained() {
    let options = ["--without", "estimate", "--sysfs", "/var/empty"];
    let short = exec(&options, &["true"]).run().status(0).stderr;
    let text = short.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("; `alumet doctor` says why") && text.contains("not measured: "), "{text}");
    let whole = exec(&[&options[..], &["-v"]].concat(), &["true"]).run().status(0).stderr;
    let text = whole.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!text.contains("says why") && text.contains("energy ("), "{text}");
}

/// What `alumet ARGUMENTS` shows on a terminal that is so wide.
fn on_terminal(columns: usize, arguments: &str, locale: &str) -> Option<String> {
    if Command::new("script").arg("--version").output().is_err() {
        return None;
    }
    let alumet = binary().display();
    let line =
        format!("stty rows 60 cols {columns}; TERM=dumb LC_ALL={locale} exec {alumet} {arguments} 2>&1");
    let mut script = Alumet::with(Command::new("script"), ["-qec", &line, "/dev/null"]);
    Some(script.run().stdout.replace('\r', ""))
}

const COMMANDS: [&str; 12] = [
    "exec sleep 0.1",
    "exec -v sleep 0.1",
    "exec --per-process -e task-clock,page-faults -- sh -c 'sleep 0.1; exit 3'",
    "exec --per-thread -- sh -c 'sleep 0.1; true'",
    "exec --carbon 56 --price 0.3 sleep 0.1",
    "attach --duration 100ms 1",
    "plugins",
    "exec -r 3 sleep 0.01",
    "exec -r 2 -L s 0.01,0.02 sleep {s}",
    "compare --pairs 5 'sleep 0.01' 'sleep 0.02'",
    "compare --pairs 6 -n old 'sleep 0.01' -n new 'sleep 0.02' -n beta 'sleep 0.01'",
    "check --pairs 5 --gate time --baseline-cmd 'sleep 0.01' -- sleep 0.02",
];

#[test]
fn every_command_fits_a_terminal_of_40_80_and_120_columns() {
    for columns in [40, 80, 120] {
        for arguments in COMMANDS {
            let Some(text) = on_terminal(columns, arguments, "C.UTF-8") else {
                return skip(
                    "every_command_fits_a_terminal_of_40_80_and_120_columns",
                    "script is not installed",
                );
            };
            assert!(!text.contains('\u{1b}'), "{arguments}: {text:?}");
            // What is to be copied is not wrapped, and a message is one line in a log, too.
            let is_prose =
                |line: &&str| !line.starts_with("alumet: ") && !line.trim_start().starts_with("sudo ");
            let prose = text.lines().filter(is_prose);
            let widest = prose.max_by_key(|line| line.chars().count()).unwrap_or_default();
            assert!(widest.chars().count() <= columns, "{arguments} at {columns}: `{widest}`\n{text}");
        }
    }
}

#[test]
fn where_the_locale_has_no_utf_8_everything_is_ascii() {
    for arguments in COMMANDS {
        let Some(text) = on_terminal(80, arguments, "C") else {
            return skip("where_the_locale_has_no_utf_8_everything_is_ascii", "script is not installed");
        };
        assert!(text.is_ascii(), "{arguments}: {text}");
    }
}
