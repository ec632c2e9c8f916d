//! What the machine uses when nothing runs: measured before a run, or saved for this machine.

#[path = "support/metered.rs"]
mod metered;
mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metered::{Meter, PACKAGE, Run};
use support::Alumet;

/// The kernel's words about a machine on which so many ticks were busy since it booted.
fn proc_of(busy: u64) -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    let stat = format!("cpu  {busy} 0 0 1000 0 0 0 0 0 0\n");
    for (file, text) in [
        ("cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\n\n"),
        ("stat", &stat),
        ("meminfo", "MemTotal: 1000 kB\nMemFree: 500 kB\n"),
    ] {
        fs::write(proc.path().join(file), text).unwrap();
    }
    proc
}

fn exec(meter: &Meter, proc: &Path, options: &str, command: &[&str]) -> Run {
    meter.exec(&format!("--procfs {} {options}", proc.display()), command)
}

/// Value and uncertainty of a part.
fn part(run: &Run, part: &str) -> (f64, f64) {
    let is_it = |m: &&serde_json::Value| m["labels"]["hw.energy.part"] == part;
    let m = run.metrics("hw.energy").find(is_it).unwrap_or_else(|| panic!("no {part} in {:#}", run.profile));
    (m["value"].as_f64().unwrap(), m["uncertainty"].as_f64().unwrap())
}

#[test]
fn what_a_quiet_machine_uses_before_the_run_is_idle_in_it() {
    let meter = Meter::start(&[PACKAGE, "zone=intel-rapl:0:0/dram/0.1", "1000@40"]);
    let proc = proc_of(0);
    let run = exec(&meter, proc.path(), "--idle 500ms", &["sleep", "1"]);
    let machine = run.energy("package") + run.energy("dram");
    let [(target, of_target), (idle, of_idle), (other, _)] =
        ["target", "idle", "other"].map(|p| part(&run, p));
    assert!((target + idle + other - machine).abs() <= 1e-9 * machine);
    // The meter says 44 W before the run and in it: so all of it is idle, as sure as it was measured.
    assert!((idle / machine - 1.0).abs() < 0.05, "{idle} of {machine}");
    assert!(target + other <= 3.0 * (of_target + of_idle), "{target} ± {of_target}, {other}");
    let options = &run.profile["options"]["attribution"];
    assert!((options["idle_power"].as_f64().unwrap() / 44.0 - 1.0).abs() < 0.05, "{options}");
    let text = run.summary();
    for expected in [" of idle power", " idle and ", " above", "idle power 4", " before the run"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let derived = run.profile["runs"][0]["derived"].as_array().unwrap();
    let above =
        derived.iter().find(|d| d["metric"] == "energy.above_idle").unwrap()["value"].as_f64().unwrap();
    assert!((above - target - other).abs() <= 1e-6 * machine, "{above}");
    // The application started when the window had passed, and the window is no part of the run.
    assert!((0.9..3.0).contains(&run.wall()), "{}", run.wall());
}

#[test]
fn a_machine_that_is_not_quiet_has_no_idle_power_and_says_so() {
    let meter = Meter::start(&[PACKAGE, "1000@40"]);
    let proc = proc_of(0);
    let (stat, stop) = (proc.path().join("stat"), Arc::new(AtomicBool::new(false)));
    let ticking = Arc::clone(&stop);
    let busy = std::thread::spawn(move || {
        let mut ticks = 0;
        while !ticking.load(Ordering::Relaxed) {
            ticks += 2;
            // Never half of it: a new file takes the place of the old one only when it is read anew.
            use std::os::unix::fs::FileExt;
            let file = fs::OpenOptions::new().write(true).open(&stat).unwrap();
            file.write_all_at(format!("cpu  {ticks:>9} 0 0 1000 0 0 0 0 0 0\n").as_bytes(), 0).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let run = exec(&meter, proc.path(), "--idle 500ms", &["sleep", "0.2"]);
    stop.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    let text = run.summary();
    assert!(text.contains("energy above idle (the machine was not quiet before the run:"), "{text}");
    assert!(text.contains("idle power included"), "{text}");
    assert!(run.profile["options"]["attribution"].get("idle_power").is_none());
}

#[test]
fn without_all_of_the_machines_energy_there_is_no_idle_power_and_what_is_missing_is_named() {
    let meter = Meter::start(&[PACKAGE, "zone=intel-rapl:0:0/dram/0.1", "1000@40"]);
    let memory = meter.root.path().join("class/powercap/intel-rapl:0:0/energy_uj");
    fs::remove_file(&memory).unwrap();
    fs::write(&memory, "?").unwrap();
    let proc = proc_of(0);
    let run = exec(&meter, proc.path(), "--idle 300ms", &["sleep", "0.2"]);
    let says = "not known without all of the machine's energy: energy of dram 0, cannot read ";
    assert!(run.summary().contains(says), "{}", run.summary());
    let places = ["--sysfs", meter.root(), "--procfs", proc.path().to_str().unwrap()];
    let mut doctor = Alumet::new([&["doctor", "--save-idle=300ms"], &places[..]].concat());
    doctor.run().refuses(125, says);
}

#[test]
fn a_saved_idle_power_is_used_on_the_same_machine_and_on_no_other() {
    let meter = Meter::start(&[PACKAGE, "1000@45"]);
    let proc = proc_of(0);
    let places = ["--sysfs", meter.root(), "--procfs", proc.path().to_str().unwrap()];
    let saved = |words: &[&str]| Alumet::new([words, &places].concat());
    let mut doctor = saved(&["doctor", "--save-idle=500ms"]);
    let done = doctor.run().status(0);
    assert!(
        done.stdout.contains(" idle (package 0, for 5") && done.stdout.contains("saved in "),
        "{}",
        done.stdout
    );
    let kept = doctor.read("idle.json");

    let exec = |idle: &str| {
        let mut run = saved(&["exec", "-v", "--json", "p.json"]);
        run.command.args(["sleep", "0.3"]);
        run.write("idle.json", idle);
        let done = run.run().status(0);
        Run { profile: run.profile("p.json"), done }
    };
    let run = exec(&kept);
    assert!((part(&run, "idle").0 / run.energy("package") - 1.0).abs() < 0.1);
    assert!(run.summary().contains("idle power 4"), "{}", run.summary());

    // What was written by hand counts more than what was saved.
    let mut set = saved(&["exec", "-v", "--set", "attribution.idle_power=1", "--json", "p.json"]);
    set.command.args(["sleep", "0.2"]);
    set.write("idle.json", &kept);
    set.run().status(0);
    assert_eq!(set.profile("p.json")["options"]["attribution"]["idle_power"], 1.0);

    let kernel = serde_json::from_str::<serde_json::Value>(&kept).unwrap()["host"]["kernel"]
        .as_str()
        .unwrap()
        .to_owned();
    for (idle, says) in [
        (kept.replace(&kernel, "2.6.32"), "it is of another machine: kernel (2.6.32, now "),
        (kept.replace("package 0", "package 7"), "domains (package 7, now package 0)"),
        (kept.replace("alumet.idle/1", "alumet.idle/9"), "its format is alumet.idle/9"),
        (kept[..kept.len() / 2].to_owned(), "it is no idle profile: "),
        ("[]".into(), "it is no idle profile: "),
        (kept.replace("\"power_w\": 4", "\"power_w\": -4"), "it is no idle profile: "),
    ] {
        let run = exec(&idle);
        let text = run.summary();
        assert!(text.contains("is not used: ") && text.contains(says), "{says}: {text}");
        assert!(text.contains("idle power included"), "{text}");
    }
}

#[test]
fn what_others_could_have_saved_is_not_believed_by_root() {
    if !support::is_root("what_others_could_have_saved_is_not_believed_by_root") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let meter = Meter::start(&[PACKAGE, "1000@40"]);
    let mut run = Alumet::new(["exec", "-v", "--sysfs", meter.root(), "sleep", "0.1"]);
    run.write("idle.json", "{}");
    fs::set_permissions(run.path("idle.json"), PermissionsExt::from_mode(0o666)).unwrap();
    let done = run.run().status(0);
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("is not used: it can be written by others"), "{text}");
}

#[test]
fn an_idle_window_needs_its_plugins_and_a_time_and_can_be_ended() {
    for (words, says) in [
        (
            &["--idle", "1s", "--without", "rapl"][..],
            "--idle needs the rapl plugin, which --plugins or --without leaves out",
        ),
        (&["--idle", "1s", "--plugins", "rapl,procfs"], "--idle needs the attribution plugin"),
        (&["--idle", "soon"], "--idle: `soon` is not a duration"),
        (&["--idle", "0s"], "--idle: it must be longer than 0"),
        (&["--idle", "99ms"], "--idle: it takes 100ms at least"),
        (&["--idle", "1s", "--set", "attribution.idle_power=9W"], "leave one of them out"),
        (&["--set", "attribution.idle_power=-5"], "attribution.idle_power: `-5` is not a power"),
        (&["--set", "attribution.idle_power=nan"], "is not a power"),
    ] {
        let mut run = Alumet::new([&["exec"], words, &["touch", "started"]].concat());
        run.run().refuses(2, says);
        assert!(!run.path("started").exists());
    }
    Alumet::new(["doctor", "--save-idle=1ns"]).run().refuses(2, "--save-idle: it takes 100ms at least");
    let meter = Meter::start(&[PACKAGE, "1000@40"]);
    let script = "\"$@\" & pid=$!; sleep 0.5; kill -TERM $pid; wait $pid";
    let words = ["exec", "--sysfs", meter.root(), "--idle", "30s", "touch", "started"];
    let mut run = Alumet::sh(script, &words);
    run.run().refuses(143, "ended by SIGTERM before the application started");
    assert!(!run.path("started").exists());
    // Where nothing measures there is nothing to wait for.
    let empty = tempfile::tempdir().unwrap();
    let begun = std::time::Instant::now();
    Alumet::new(["exec", "--sysfs", empty.path().to_str().unwrap(), "--idle", "50s", "true"]).run().status(0);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn an_idle_profile_is_saved_over_nothing_else() {
    let mut alumet = Alumet::new(["doctor", "--save-idle=10s"]);
    alumet.write("idle.json", "precious");
    let says =
        "idle.json: it holds what alumet has not written as this; remove it first, or name another file";
    alumet.run().refuses(2, says);
    assert_eq!(alumet.read("idle.json"), "precious");
}
