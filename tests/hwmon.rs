//! Sensors that a test makes up and advances, through the built binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};

use support::{Alumet, Done, is_root, soon};

/// What an application does whose start a test waits for, and whose end it brings about.
const APPLICATION: &str = "touch started; while ! [ -e enough ]; do sleep 0.01; done; exit 3";

/// A chip below `sys` with these files.
fn chip(alumet: &Alumet, number: u32, files: &[(&str, &str)]) {
    let directory = format!("sys/class/hwmon/hwmon{number}");
    fs::create_dir_all(alumet.path(&directory)).unwrap();
    for (name, text) in files {
        alumet.write(&format!("{directory}/{name}"), text);
    }
}

/// Sets a sensor as the kernel does: who has its file open reads the old value or the new one.
fn set(alumet: &Alumet, file: &str, text: &str) {
    let file = fs::OpenOptions::new().write(true).open(alumet.path(file)).unwrap();
    file.write_all_at(text.as_bytes(), 0).unwrap();
}

/// Runs it, with `meanwhile` once the application has started.
fn run(alumet: &mut Alumet, meanwhile: impl FnOnce(&Alumet) + Send) -> Done {
    alumet.command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let child = alumet.command.spawn().unwrap();
    assert!(soon(|| alumet.path("started").exists()));
    meanwhile(alumet);
    alumet.write("enough", "");
    Done::of(child.wait_with_output().unwrap())
}

#[test]
fn a_sensor_is_in_the_series_and_in_the_profile() {
    let arguments = ["exec", "--sysfs", "sys", "-o", "s.csv", "--json", "p.json", "-i", "10ms"];
    let mut alumet = Alumet::new(arguments.iter().chain(&["sh", "-c", APPLICATION]));
    let energy = "sys/class/hwmon/hwmon0/energy1_input";
    chip(
        &alumet,
        0,
        &[
            ("name", "board\n"),
            ("energy1_input", "0009000000\n"),
            ("energy1_label", "=SUM(A1),\"x\";y\n"),
            ("power1_average", "0005000000\n"),
        ],
    );
    let done = run(&mut alumet, |alumet| {
        set(alumet, energy, "0009250000");
        // Some readings at this power.
        std::thread::sleep(std::time::Duration::from_millis(200));
        set(alumet, "sys/class/hwmon/hwmon0/power1_average", "0007000000");
        set(alumet, energy, "0012000000");
    });
    done.status(3);
    let rows = alumet.rows("s.csv");
    let of = |metric: &str| {
        // The CPUs' energy may be estimated beside it.
        let is_it =
            |row: &&BTreeMap<String, String>| row["metric"] == metric && row["provenance"] == "measured";
        rows.iter().filter(is_it).collect::<Vec<_>>()
    };
    let sum: f64 = of("hw.energy").iter().map(|row| row["value"].parse::<f64>().unwrap()).sum();
    assert_eq!(sum, 3.0);
    for (metric, unit) in [("hw.energy", "J"), ("hw.power", "W")] {
        for row in of(metric) {
            let cells =
                ["unit", "provenance", "resource", "resource_id", "consumer"].map(|column| &*row[column]);
            assert_eq!(cells, [unit, "measured", "sensor", "hwmon0 board", "machine"]);
        }
    }
    let powers: Vec<_> = of("hw.power").iter().map(|row| row["value"].clone()).collect();
    assert!(powers.len() > 5 && powers.iter().all(|power| power == "5" || power == "7"), "{powers:?}");

    let profile = alumet.profile("p.json");
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let metric =
        |name: &str| metrics.iter().find(|m| m["metric"] == name && m["provenance"] == "measured").unwrap();
    let energy = metric("hw.energy");
    assert_eq!((&energy["value"], &energy["method"]), (&3.0.into(), &"hwmon energy1_input".into()));
    assert_eq!(energy["labels"]["hw.sensor.chip"], "board");
    assert_eq!(energy["labels"]["hw.sensor.name"], "=SUM(A1),\"x\";y");
    let power = metric("hw.power");
    assert_eq!((&power["min"], &power["max"]), (&5.0.into(), &7.0.into()));
}

/// A Cray node after so many updates, at 400 W.
fn cray(alumet: &Alumet, updates: u32) {
    fs::create_dir_all(alumet.path("sys/cray/pm_counters")).unwrap();
    for (file, value, unit) in [("energy", 10_000 + 40 * updates, "J"), ("power", 400, "W")] {
        let text = format!("{value:>9} {unit} 15882634120000{updates:02} us\n");
        alumet.write(&format!("sys/cray/pm_counters/{file}"), &text);
    }
    alumet.write("sys/cray/pm_counters/freshness", &format!("{updates}\n"));
}

#[test]
fn what_a_node_measures_of_itself_is_shown_and_not_estimated() {
    let arguments =
        ["exec", "-v", "--sysfs", "sys", "--set", "estimate.tdp=100W", "-i", "10ms", "--json", "p.json"];
    let mut alumet = Alumet::new(arguments.iter().chain(&["sh", "-c", APPLICATION]));
    cray(&alumet, 1);
    let done = run(&mut alumet, |alumet| {
        cray(alumet, 3);
        // Some ticks of the machine's CPU times, by which it would be estimated.
        std::thread::sleep(std::time::Duration::from_millis(300));
    })
    .status(3);
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("Sensor 80 J ± "), "{text}");
    assert!(
        text.contains("energy of pm_counters, of all that ran: measured by pm_counters energy, "),
        "{text}"
    );
    assert!(!text.contains('~'), "{text}");
    let profile = alumet.profile("p.json");
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    assert!(metrics.iter().all(|metric| metric["provenance"] != "estimated"), "{metrics:#?}");
    let mut doctor = Alumet::new(["doctor", "--sysfs", "sys", "--set", "estimate.tdp=100W"]);
    chip(&doctor, 0, &[("name", "power_meter"), ("power1_average", "350000000")]);
    let done = doctor.run().status(0);
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("estimate not needed a sensor measures it"), "{text}");
}

#[test]
fn sensors_that_are_for_root_alone_are_named_and_the_others_are_read() {
    let arguments = ["exec", "--sysfs", "sys", "--json", "p.json", "-i", "10ms", "sh", "-c", APPLICATION];
    let mut alumet = match is_root("the same as an ordinary user") {
        true => Alumet::as_nobody("exec \"$@\"", &arguments),
        false => Alumet::new(arguments),
    };
    let cores: Vec<_> = (1..=6).map(|i| format!("energy{i}_input")).collect();
    let mut files: Vec<_> = cores.iter().map(|file| (file.as_str(), "1000")).collect();
    files.extend([("name", "amd_energy"), ("power1_input", "5000000")]);
    chip(&alumet, 2, &files);
    for core in &cores {
        let file = alumet.path(&format!("sys/class/hwmon/hwmon2/{core}"));
        fs::set_permissions(file, PermissionsExt::from_mode(0o000)).unwrap();
    }
    let done = run(&mut alumet, |_| ()).status(3);
    done.says("not measured");
    let profile = alumet.profile("p.json");
    let missing = profile["missing"].as_array().unwrap();
    let gap = missing.iter().find(|gap| gap["what"].as_str().unwrap().contains("hwmon2")).unwrap();
    assert_eq!(gap["what"], "energy1, energy2, energy3 and 3 more of hwmon2 amd_energy");
    assert_eq!(gap["reason"], "permission denied");
    // To be copied: sudo looks for programs in few places.
    let remedy = gap["remedy"].as_str().unwrap();
    assert!(
        remedy.starts_with("sudo /") && remedy.ends_with("/alumet exec --user \"$USER\" ..."),
        "{remedy}"
    );
    assert!(
        profile["runs"][0]["metrics"].as_array().unwrap().iter().any(|metric| metric["metric"] == "hw.power")
    );
}

#[test]
fn a_machine_without_sensors_is_refused_only_when_they_are_asked_for() {
    let mut alumet = Alumet::new(["exec", "--sysfs", "/none", "--plugins", "hwmon", "true"]);
    alumet.run().refuses(125, "plugin `hwmon` cannot be used here: no energy or power sensor here");
    // Most machines have none: the summary does not speak of it, the profile does.
    let mut alumet = Alumet::new(["exec", "--sysfs", "/none", "--json", "p.json", "true"]);
    let done = alumet.run().status(0);
    assert!(!done.stderr.contains("sensor"), "{}", done.stderr);
    let sources = alumet.profile("p.json")["sources"].clone();
    let hwmon = sources.as_array().unwrap().iter().find(|source| source["name"] == "hwmon").unwrap().clone();
    assert!(hwmon["reason"].as_str().unwrap().contains("no energy or power sensor here"), "{hwmon}");
}

#[test]
fn sensors_that_only_root_may_read_are_named() {
    if !is_root("sensors_that_only_root_may_read_are_named") {
        return;
    }
    // As the driver amd_energy makes them since CVE-2020-12912.
    let words = ["exec", "-v", "--sysfs", "sys", "--json", "p.json", "true"];
    let mut alumet = Alumet::as_nobody("exec \"$@\"", &words);
    chip(
        &alumet,
        3,
        &[("name", "amd_energy\n"), ("energy1_input", "9000000\n"), ("energy1_label", "Esocket0\n")],
    );
    let file = alumet.path("sys/class/hwmon/hwmon3/energy1_input");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let done = alumet.run().status(0);
    done.says(
        "sensors of hwmon3 amd_energy (cannot open sys/class/hwmon/hwmon3/energy1_input: permission denied",
    );
    let missing = alumet.profile("p.json")["missing"].clone();
    let of_sensors = |gap: &&serde_json::Value| gap["plugin"] == "hwmon";
    let gap = missing.as_array().unwrap().iter().find(of_sensors).unwrap();
    assert!(gap["remedy"].as_str().unwrap().starts_with("sudo "), "{gap}");
}
