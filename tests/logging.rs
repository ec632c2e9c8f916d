//! With `ALUMET_LOG`, alumet says on stderr what it decides and why; without it, nothing of that.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/nvml.rs"]
mod stub;
mod support;

use stub::Stub;
use support::{Alumet, Done};

/// Runs a script that writes to both streams, on a machine without a sensor, and writes a profile.
fn exec(log: Option<&str>, options: &[&str], script: &str) -> Alumet {
    let options = [&["exec", "-q", "--sysfs", "nothing", "--json", "p.json"], options].concat();
    let mut alumet = Alumet::new([&options[..], &["sh", "-c", script]].concat());
    std::fs::create_dir(alumet.path("nothing")).unwrap();
    log.map(|log| alumet.command.env("ALUMET_LOG", log));
    alumet
}

/// The line that holds all of these.
#[track_caller]
fn line<'a>(done: &'a Done, parts: &[&str]) -> &'a str {
    let line = done.stderr.lines().find(|line| parts.iter().all(|part| line.contains(part)));
    line.unwrap_or_else(|| panic!("no line with {parts:?}: {}", done.stderr))
}

const STREAMS: &str = "echo out; echo err >&2";

#[test]
fn what_was_started_and_what_was_left_out_is_said_with_the_reason() {
    let done = exec(Some("debug"), &["--without", "perf"], STREAMS).run().status(0);
    assert_eq!(done.stdout, "out\n", "that is the application's");
    assert!(done.stderr.lines().any(|line| line == "err"), "{}", done.stderr);
    line(&done, &[" INFO ", "started the plugin plugin=\"procfs\""]);
    line(&done, &[" INFO ", "left out a plugin plugin=\"hwmon\"", "reason=\"no energy or power sensor here"]);
    line(&done, &[" INFO ", "left out a plugin plugin=\"perf\" reason=\"it is not wanted\""]);
    line(&done, &[" INFO ", "way=\"RAPL through powercap\"", "reason=\"powercap has no RAPL zones\""]);
    line(&done, &["DEBUG alumet::target", "created the application's process"]);
    line(&done, &["DEBUG alumet::files", "writes a document path=p.json"]);
    assert!(!done.stderr.contains("started the plugin plugin=\"perf\""), "{}", done.stderr);
}

#[test]
fn without_it_stderr_is_the_applications() {
    for log in [None, Some(""), Some("off")] {
        let done = exec(log, &[], STREAMS).run().status(0);
        assert_eq!((&*done.stdout, &*done.stderr), ("out\n", "err\n"), "{log:?}");
    }
}

#[test]
fn a_level_and_a_target_leave_out_the_rest() {
    let done = exec(Some("info"), &[], "true").run().status(0);
    line(&done, &[" INFO ", "started the plugin"]);
    assert!(!done.stderr.contains("DEBUG"), "{}", done.stderr);
    let done = exec(Some("alumet_plugin_rapl=trace"), &[], "true").run().status(0);
    assert!(done.stderr.lines().count() > 0, "there is a way to energy, or a reason why there is none");
    assert!(done.stderr.lines().all(|line| line.contains(" alumet_plugin_rapl")), "{}", done.stderr);
}

#[test]
fn a_wrong_value_is_one_line_and_nothing_is_run() {
    for (log, says) in [
        ("debgu", "ALUMET_LOG: `debgu` is no level; did you mean `debug`?"),
        (
            "alumet_plugin_raple=debug",
            "`alumet_plugin_raple` is no target; did you mean `alumet_plugin_rapl`?",
        ),
    ] {
        let mut alumet = exec(Some(log), &[], "touch run");
        alumet.run().refuses(2, says);
        assert!(!alumet.path("run").exists());
    }
}

#[test]
fn the_variables_that_were_read_are_named_without_their_values_and_the_application_has_them() {
    let alumet = exec(Some("debug"), &[], "echo $ALUMET_LOG $ALUMET_PRICE");
    let done = alumet.env("ALUMET_PRICE", "0.7654321").run().status(0);
    assert_eq!(done.stdout, "debug 0.7654321\n");
    line(&done, &[" INFO ", "variable=\"ALUMET_PRICE\""]);
    assert!(!done.stderr.contains("0.7654321") && !done.stderr.contains("ALUMET_LOG"), "{}", done.stderr);
    let config = Alumet::new(["config"]).env("ALUMET_LOG", "error").run().status(0);
    assert_eq!(config.stderr, "");
    assert!(!config.stdout.contains("log"), "it is no key: {}", config.stdout);
}

#[test]
fn a_configuration_file_is_named() {
    let mut alumet = exec(Some("info"), &["--config", "own.toml"], "true");
    alumet.write("own.toml", "interval = \"50ms\"\n");
    line(&alumet.run().status(0), &["read the configuration file path=own.toml"]);
}

#[test]
fn a_name_neither_ends_the_line_nor_speaks_to_the_terminal() {
    let name = "a\n\u{1b}[31m::error::\u{202e}.csv";
    let done = exec(Some("debug"), &["-o", name], "true").run().status(0);
    let line = line(&done, &["opened a file for output", ".csv"]);
    assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line}");
    assert!(!done.stderr.lines().any(|line| line.starts_with("::")), "{}", done.stderr);
}

#[test]
fn a_signal_that_is_passed_on_is_said() {
    let script = "trap 'got=1' USR1; kill -USR1 $PPID; while [ -z \"$got\" ]; do sleep 0.01; done; echo $got";
    let done = exec(Some("debug"), &[], script).run().status(0);
    assert_eq!(done.stdout, "1\n");
    line(&done, &["took a signal signal=SIGUSR1"]);
    line(&done, &["passes on a signal signal=SIGUSR1"]);
}

#[test]
fn a_gpu_is_named_and_a_source_that_hangs_with_who_takes_over() {
    let stub = Stub::new("hang=nvmlDeviceGetTemperature:2");
    let library = format!("nvml.library={}", stub.path().display());
    let done = exec(Some("info"), &["--set", &library], "sleep 0.5").run().status(0);
    line(&done, &[" INFO ", "loads the driver's library library=", &stub.path().display().to_string()]);
    line(&done, &[" INFO ", "found a GPU gpu=0 name=\"Stub 9000\""]);
    line(&done, &[" WARN ", "the reading of a source does not return element=\"nvml/gpus\" after=2s"]);
    line(&done, &[" WARN ", "a new thread takes over"]);
}

#[test]
fn the_looks_of_a_comparison_are_said_with_what_they_led_to() {
    let words = ["compare", "-q", "--adaptive", "--pairs", "20", "--metric", "cpu", "true", "true"];
    let done = Alumet::new(words).env("ALUMET_LOG", "alumet::comparison=debug").run();
    line(&done, &["planned to look after so many pairs pairs=[8, 12, 20]"]);
    let look = line(&done, &["looked at the pairs so far pairs=8"]);
    assert!(look.contains("goes_on=true") == look.contains("verdicts=[Inconclusive]"), "{look}");
}
