//! What `alumet doctor` says of machines that have this and that, and whether the remedies that it prints help.
//! `UPDATE=1 cargo test --test doctor` writes the texts in `tests/doctor/` anew.

#[path = "support/metered.rs"]
mod metered;
#[path = "support/nvml.rs"]
mod stub;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use metered::{Meter, PACKAGE};
use stub::Stub;
use support::{Alumet, Done, is_root, skip};

const DRAM: &str = "zone=intel-rapl:0:0/dram/0.1";

/// What the kernel of a machine that is no virtual one says of it.
fn proc_of(vendor: &str) -> tempfile::TempDir {
    let proc = tempfile::tempdir().unwrap();
    fs::set_permissions(proc.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let cpu = format!("processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: A CPU that nobody knows\n\n");
    for (file, text) in [
        ("cpuinfo", &*cpu),
        ("stat", "cpu  0 0 0 1000 0 0 0 0 0 0\n"),
        ("meminfo", "MemTotal: 1000 kB\nMemFree: 500 kB\n"),
    ] {
        fs::write(proc.path().join(file), text).unwrap();
    }
    proc
}

/// A run of the doctor on such a machine, by root or by somebody else.
fn doctor(sysfs: &Path, vendor: &str, more: &[&str], root: bool) -> Done {
    let proc = proc_of(vendor);
    let places = ["--sysfs", sysfs.to_str().unwrap(), "--procfs", proc.path().to_str().unwrap()];
    // What perf can do depends on the machine that the test runs on.
    let words = [&["doctor"][..], &places, &["--without", "perf"], more].concat();
    match root {
        true => Alumet::new(words).run(),
        false => Alumet::as_nobody("exec \"$@\"", &words).run(),
    }
}

/// The rows of these names, without what differs from run to run.
fn rows(done: &Done, names: &[&str]) -> String {
    let mut text = String::new();
    let mut wanted = false;
    for line in done.stdout.lines() {
        if let Some(name) = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            wanted = names.iter().any(|wanted| name.starts_with(wanted));
        }
        if wanted {
            text.push_str(&redacted(line));
            text.push('\n');
        }
    }
    text
}

fn redacted(line: &str) -> String {
    let mut words: Vec<_> = line.split(' ').map(str::to_owned).collect();
    for i in 0..words.len() {
        if words[i].contains("/bin/alumet") {
            words[i] = "/.../alumet".into();
        }
        // Times and energies.
        if i > 0 && ["every", "of"].contains(&&*words[i - 1]) && words[i].parse::<f64>().is_ok() {
            words[i] = "N".into();
            let unit = words[i + 1].trim_start_matches(['m', 'µ', 'n']).to_owned();
            words[i + 1] = unit;
        }
    }
    words.join(" ")
}

/// Compares a text with the one that is kept, or keeps it.
#[track_caller]
fn snapshot(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/doctor").join(name);
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, kept,
        "{name} is not what is kept; if it is right, run `UPDATE=1 cargo test --test doctor`"
    );
}

const ENERGY: [&str; 3] = ["rapl ", "meter ", "estimate "];

#[test]
fn trees_of_every_kind_are_told_apart() {
    let trees: [(&str, &str, &[&str]); 5] = [
        ("package-and-memory.txt", "GenuineIntel", &[PACKAGE, DRAM]),
        ("mmio-mirror.txt", "GenuineIntel", &[PACKAGE, "zone=intel-rapl-mmio:0/package-0/1"]),
        (
            "mirrored-dies.txt",
            "AuthenticAMD",
            &["zone=intel-rapl:0/package-0-die-0/1", "zone=intel-rapl:1/package-0-die-1/1"],
        ),
        ("hexadecimal.txt", "GenuineIntel", &["zone=intel-rapl:a/package-10/1"]),
        ("zero-only.txt", "GenuineIntel", &["zone=intel-rapl:0/package-0/0"]),
    ];
    for (name, vendor, zones) in trees {
        let meter = Meter::start(&[zones, &["1000@50"]].concat());
        let done = doctor(meter.root.path(), vendor, &[], true).status(0);
        snapshot(name, &rows(&done, &ENERGY));
    }
}

#[test]
fn a_missing_range_is_no_obstacle_and_no_zones_are_one() {
    let meter = Meter::start(&[PACKAGE, "1000@50"]);
    let zone = meter.root.path().join("class/powercap/intel-rapl:0");
    fs::remove_file(zone.join("max_energy_range_uj")).unwrap();
    let done = doctor(meter.root.path(), "GenuineIntel", &[], true).status(0);
    snapshot("no-range.txt", &rows(&done, &ENERGY));

    let empty = tempfile::tempdir().unwrap();
    fs::create_dir_all(empty.path().join("class/powercap")).unwrap();
    let done = doctor(empty.path(), "GenuineIntel", &[], true).status(0);
    snapshot("no-zones.txt", &rows(&done, &["rapl ", "meter ", "estimate ", "idle power ", "hwmon "]));
}

#[test]
fn counters_that_stand_still_are_none_and_the_estimate_takes_their_place() {
    let sysfs = tempfile::tempdir().unwrap();
    let zone = sysfs.path().join("class/powercap/intel-rapl:0");
    fs::create_dir_all(&zone).unwrap();
    for (file, text) in
        [("name", "package-0\n"), ("energy_uj", "5000000\n"), ("max_energy_range_uj", "262143328850\n")]
    {
        fs::write(zone.join(file), text).unwrap();
    }
    let done = doctor(sysfs.path(), "GenuineIntel", &["--set", "estimate.tdp=65W"], true).status(0);
    snapshot("standing-still.txt", &rows(&done, &["rapl ", "meter ", "estimate ", "idle power "]));
}

#[test]
fn what_a_user_may_not_read_comes_with_the_command_that_changes_that() {
    if !is_root("what_a_user_may_not_read_comes_with_the_command_that_changes_that") {
        return;
    }
    let meter = Meter::start(&[PACKAGE, DRAM, "1000@50"]);
    let root = meter.root.path();
    fs::set_permissions(root, PermissionsExt::from_mode(0o755)).unwrap();
    let energy = |zone| root.join("class/powercap").join(zone).join("energy_uj");
    fs::set_permissions(energy("intel-rapl:0:0"), PermissionsExt::from_mode(0o400)).unwrap();
    let done = doctor(root, "GenuineIntel", &[], false).status(0);
    snapshot("memory-forbidden.txt", &rows(&done, &ENERGY));

    fs::set_permissions(energy("intel-rapl:0"), PermissionsExt::from_mode(0o400)).unwrap();
    let done = doctor(root, "GenuineIntel", &[], false).status(0);
    snapshot("all-forbidden.txt", &rows(&done, &ENERGY));

    // What the udev rule does when the machine starts, for a group that the user is in.
    let rule = done.stdout.lines().find(|line| line.contains("SUBSYSTEM==")).unwrap().to_owned();
    for part in rule.split("RUN+=\"").skip(1) {
        let command = part.split('"').next().unwrap().replace("power", "4711");
        for zone in ["intel-rapl/intel-rapl:0", "intel-rapl/intel-rapl:0/intel-rapl:0:0"] {
            let place = format!("{}/devices/virtual/powercap/{zone}", root.display());
            let command = command.replace("/sys%p", &place);
            assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
        }
    }
    let proc = proc_of("GenuineIntel");
    let places = format!("--sysfs {} --procfs {}", root.display(), proc.path().display());
    let mut member =
        Alumet::as_nobody(&format!("exec \"$@\" {places}"), &["doctor", "--plugins", "rapl,procfs"]);
    let setpriv: Vec<_> = member.command.get_args().map(|word| word.to_owned()).collect();
    let mut command = Command::new("setpriv");
    let groups = |word: &std::ffi::OsString| {
        if word == "--clear-groups" { "--groups=4711".into() } else { word.clone() }
    };
    command.args(setpriv.iter().map(groups)).current_dir(member.path(""));
    member.command = command;
    let done = member.run().status(0);
    let text = rows(&done, &["rapl "]);
    assert!(text.contains("available") && !text.contains("not permitted"), "{text}");
}

/// The kernel's clock on a CPU stands in for the PMU: it needs the same right.
#[test]
fn the_capability_that_is_printed_opens_the_pmu() {
    let test = "the_capability_that_is_printed_opens_the_pmu";
    if !is_root(test) {
        return;
    }
    let Some(_restored) = support::Paranoid::set(test, 2) else { return };
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    support::clock_as_power_pmu(root.path());

    let proc = proc_of("GenuineIntel");
    let places = ["--sysfs", root.path().to_str().unwrap(), "--procfs", proc.path().to_str().unwrap()];
    let words = [&["doctor", "--without", "perf"][..], &places].concat();
    let mut user = Alumet::as_nobody("exec \"$@\"", &words);
    let done = user.run().status(0);
    snapshot("pmu-forbidden.txt", &rows(&done, &ENERGY));
    {
        // Where Debian and Ubuntu begin, and their kernels want more than the capability.
        let Some(_restored) = support::Paranoid::set(test, 3) else { return };
        snapshot("pmu-closed.txt", &rows(&user.run().status(0), &["rapl ", "paranoid "]));
    }

    let command = done.stdout.lines().find_map(|line| line.trim().strip_prefix("sudo setcap ")).unwrap();
    let setcap = Command::new("sh").args(["-c", &format!("setcap {command}")]).status();
    if !setcap.is_ok_and(|status| status.success()) {
        return skip(test, "setcap is not installed, or this file system has no capabilities");
    }
    // Of a directory that the user names it would not be lent: the PMU is to be one of the kernel's own.
    let at = "/sys/bus/event_source/devices";
    let devices = root.path().join("bus/event_source/devices");
    let mount = format!("mount -t overlay overlay -o lowerdir={}:{at} {at} || exit 99", devices.display());
    // A process without any capability in its bounding set cannot get it from a file either.
    let words: Vec<_> = user.command.get_args().map(|word| word.to_owned()).collect();
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &format!("{mount}; exec setpriv \"$@\""), "sh"]);
    command.args(words.iter().filter(|word| *word != "--bounding-set=-all")).current_dir(user.path(""));
    user.command = command;
    let done = user.run();
    if done.status == 99 || done.stderr.starts_with("unshare:") {
        return skip(test, &format!("no overlay can be mounted: {}", done.stderr.trim()));
    }
    let text = rows(&done.status(0), &ENERGY);
    assert!(text.contains("rapl        available") && text.contains("RAPL through perf"), "{text}");
}

#[test]
fn gpus_are_listed_with_the_period_of_their_meters() {
    let empty = tempfile::tempdir().unwrap();
    let say = |script: &str| {
        let stub = Stub::new(script);
        let library = format!("nvml.library={}", stub.path().display());
        let done = doctor(empty.path(), "GenuineIntel", &["--set", &library], true).status(0);
        rows(&done, &["nvml ", "meter "])
    };
    snapshot("two-gpus.txt", &say("period=100"));
    snapshot("driver-mismatch.txt", &say("fail=nvmlInit_v2:18"));
}

#[test]
fn the_screen_is_also_json_and_nothing_to_measure_is_a_failure() {
    let meter = Meter::start(&[PACKAGE, "1000@50"]);
    let done = doctor(meter.root.path(), "GenuineIntel", &["--json"], true).status(0);
    let json: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(json["schema"], "alumet.doctor/1");
    let source = |name: &str| json["sources"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap();
    assert_eq!(source("rapl")["status"], "available");
    assert_eq!(source("estimate")["status"], "not_needed");
    assert_eq!(source("perf")["status"], "excluded");
    let [package] = &json["meters"].as_array().unwrap()[..] else { panic!("{json:#}") };
    let period = package["period_s"].as_f64().unwrap();
    // The meter advances every millisecond, or more slowly on a busy machine.
    assert!((0.0009..0.02).contains(&period), "{period}");
    assert!(json["timer"]["late_p99_us"].as_f64().is_some() && json["own_cpu"].as_f64().unwrap() < 1.0);

    let empty = tempfile::tempdir().unwrap();
    let places = ["--sysfs", empty.path().to_str().unwrap()];
    let words = [&["doctor", "--plugins", "rapl,estimate"][..], &places].concat();
    Alumet::new(words).run().status(125);
}

#[test]
fn on_this_machine_it_fits_a_screen() {
    let done = Alumet::new(["doctor"]).run().status(0);
    let lines: Vec<_> = done.stdout.lines().collect();
    assert!(lines.len() <= 40, "{}", done.stdout);
    let too_wide = |line: &&&str| line.chars().count() > 100 && !line.contains("sudo ");
    assert_eq!(lines.iter().find(too_wide), None);
    for name in
        ["procfs", "perf", "rapl", "hwmon", "nvml", "cgroup", "timer", "overhead", "idle power", "risks"]
    {
        assert!(lines.iter().any(|line| line.starts_with(&format!("  {name} "))), "{name}: {}", done.stdout);
    }
}
