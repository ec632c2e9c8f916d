//! Energy, against a meter whose truth is known: `tests/support/meter.rs` advances counters like those of the kernel
//! along a curve of watts.

#[path = "support/metered.rs"]
mod metered;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use metered::{Meter, PACKAGE, Run};
use serde_json::Value;
use support::{Alumet, Done, is_root, skip};

/// Sleeps of so many seconds on this meter, each with the truth about it. Counters that the test machine advances too late,
/// as no real one does, are no fault of the reader: such a run is made again, and most of all must come to something.
fn on_time(meter: &[&str], options: &str, times: &[String]) -> Vec<(Run, f64)> {
    let (mut pending, mut done) = (times.to_vec(), Vec::new());
    for _ in 0..5 {
        let meter = Meter::start(&[&[PACKAGE], meter].concat());
        let runs: Vec<Run> = pending.iter().map(|time| meter.exec(options, &["sleep", time])).collect();
        let truth = meter.truth();
        let (good, late): (Vec<_>, Vec<_>) =
            runs.into_iter().zip(pending).partition(|(run, _)| truth.was_on_time(run));
        done.extend(good.into_iter().map(|(run, _)| (truth.of(&run), run)).map(|(truth, run)| (run, truth)));
        pending = late.into_iter().map(|(_, time)| time).collect();
        if pending.is_empty() {
            break;
        }
    }
    eprintln!("{} of {} on time", done.len(), times.len());
    assert!(
        2 * done.len() > times.len(),
        "the meter kept its times in {} of {} runs",
        done.len(),
        times.len()
    );
    done
}

/// One of a few may well be more than two standard deviations off.
#[track_caller]
fn assert_true(run: &Run, truth: f64) {
    let (energy, uncertainty) = (run.energy("package"), run.uncertainty("package"));
    eprintln!("{:.3} s: {energy:.4} J ± {uncertainty:.4}, truth {truth:.4}", run.wall());
    assert!((energy - truth).abs() <= 0.002 * truth + 3.0 * uncertainty, "{energy} is not {truth}");
}

#[test]
fn energy_is_the_truth_for_short_and_for_long_runs() {
    let times = ["0.05", "0.05", "0.05", "0.5", "0.5", "0.5", "3", "60"].map(str::to_owned);
    let mut runs = on_time(&["15@40-60", "15@60-40"], "", &times);
    runs.iter().for_each(|(run, truth)| assert_true(run, *truth));
    runs.sort_by(|(a, _), (b, _)| a.wall().total_cmp(&b.wall()));
    let Some((longest, _)) = runs.last() else { return };
    let text = longest.summary();
    assert!(text.contains("package measured: RAPL through powercap"), "{text}");
    // The application's own mean, and what the machine drew.
    assert!(text.contains("W mean machine ") && text.contains(" W peak"), "{text}");
}

#[test]
fn a_run_of_some_milliseconds_is_too_short_for_the_sensor_alone_and_repeated() {
    let meter = Meter::start(&[PACKAGE, "500@40"]);
    // How often the profile says so, if the summary says it as well.
    let says = |options: &str, time: &str| {
        let run = meter.exec(options, &["sleep", time]);
        let gaps = run.profile["missing"].as_array().unwrap().iter();
        let short = gaps.filter(|gap| gap["reason"] == "too short for the sensor").count();
        let text = " of it (too short for the sensor: lengthen or repeat the run)";
        assert_eq!(run.summary().contains(text), short > 0, "{}", run.summary());
        short
    };
    // A test machine that stands still makes a short run long, or a meter late.
    let once_of_five = |options: &str, time: &str, expected| (0..5).any(|_| says(options, time) == expected);
    assert!(once_of_five("", "0.02", 1));
    assert!(once_of_five("-r 3", "0.02", 1), "once, and not for each run");
    assert!(once_of_five("", "1", 0));
}

/// The smallest range that a package can have used up in its second, at the largest power that there can be.
#[test]
fn wraps_every_second_lose_nothing() {
    let times = vec!["1.5".to_owned(); 5];
    for (run, truth) in on_time(&["range=1900000000", "500@1900"], "", &times) {
        assert_true(&run, truth);
        let gaps = run.profile["missing"].as_array().unwrap().iter();
        assert_eq!(gaps.filter(|gap| gap["what"].as_str().unwrap().contains("package 0")).count(), 0);
    }
}

/// Every run is longer than the curve, so that it has seen what power there was before it.
#[test]
fn the_stated_uncertainty_covers_the_truth() {
    let runs = std::env::var("ALUMET_TEST_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let times: Vec<String> = (0..runs).map(|i| format!("{:.4}", 0.06 + 0.0013 * f64::from(i % 40))).collect();
    let curve = ["20@12", "15@55", "10@90", "10@20-80", "5@3"];
    let runs = on_time(&curve, "--without perf -i 10ms", &times);
    if runs.len() < 20 {
        return skip("the_stated_uncertainty_covers_the_truth", "the meter did not keep its times");
    }
    let error = |(run, truth): &(Run, f64)| (run.energy("package") - truth) / run.uncertainty("package");
    let errors: Vec<f64> = runs.iter().map(error).collect();
    let covered = errors.iter().filter(|error| error.abs() <= 2.0).count();
    let square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    eprintln!("{covered} of {}; the errors are {:.2} of the stated ones", errors.len(), square.sqrt());
    // 95 %, and what may be bad luck in so few runs.
    let enough = 0.95 * errors.len() as f64 - 1.5 * (0.95 * 0.05 * errors.len() as f64).sqrt();
    assert!(covered as f64 >= enough, "{covered} of {}: {errors:.2?}", errors.len());
    // It is not so large that it says nothing.
    assert!(square.sqrt() > 0.1, "{square}");
}

#[test]
fn two_sockets_with_memory_add_up_and_their_parts_do_not() {
    let zones = [
        "zone=intel-rapl:0/package-1/1",
        "zone=intel-rapl:0:0/core/0.7",
        "zone=intel-rapl:0:1/dram/0.1",
        "zone=intel-rapl:1/package-3/0.5",
        "zone=intel-rapl:1:0/dram/0.05",
        "zone=intel-rapl:2/psys/2",
        "zone=intel-rapl-mmio:0/package-1/1",
    ];
    let meter = Meter::start(&[&zones[..], &["1000@100"]].concat());
    // On AMD's CPUs there is no zone of all cores.
    fs::write(meter.root.path().join("cpuinfo"), "vendor_id\t: GenuineIntel\n").unwrap();
    let run = meter.exec(&format!("--procfs {}", meter.root()), &["sleep", "1"]);
    let sum: f64 = run
        .metrics("hw.energy")
        .filter(|m| ["package", "dram"].iter().any(|domain| m["labels"]["hw.energy.domain"] == *domain))
        .map(|m| m["value"].as_f64().unwrap())
        .sum();
    let meters = || run.metrics("hw.energy").filter(|m| m["labels"]["hw.energy.domain"].is_string());
    assert_eq!(meters().count(), 6);
    let expected = 1.65 * meter.truth().of(&run);
    assert!((sum / expected - 1.0).abs() < 0.05, "{sum} is not {expected}");
    let text = run.summary();
    assert!(text.contains("package + dram measured"), "{text}");
    // Without the kernel's files no CPU time is known, and so no share of it.
    let shown: f64 = text.split("Energy ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((shown / sum - 1.0).abs() < 1e-3, "{sum}: {text}");
    let ids: Vec<_> = meters().map(|m| m["resource_id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"1") && ids.contains(&"3") && !ids.contains(&"0"), "{ids:?}");
}

#[test]
fn without_one_of_its_packages_a_machine_has_used_at_least_so_much_and_no_gate_decides_by_it() {
    let meter = Meter::start(&[PACKAGE, "zone=intel-rapl:1/package-1/1", "300@50"]);
    fs::remove_file(zone_file(&meter, "intel-rapl:1")).unwrap();
    fs::write(zone_file(&meter, "intel-rapl:1"), "?\n").unwrap();
    let run = meter.exec("", &["sleep", "0.3"]);
    let text = run.summary();
    assert!(text.contains("Machine at least ") && !text.contains('±'), "{text}");
    assert!(text.contains("energy of package 1 (cannot read "), "{text}");
    assert!(run.metrics("hw.energy").all(|m| m["uncertainty"].is_null()), "{:#}", run.profile);
    let mut compare = Alumet::new([
        "compare",
        "--sysfs",
        meter.root(),
        "--pairs",
        "5",
        "--gate",
        "energy",
        "sleep 0.2",
        "sleep 0.2",
    ]);
    let done = compare.run();
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("a part of it was not measured"), "{} {text}", done.status);
    assert_eq!(done.status, 125, "{text}");
}

#[test]
fn a_counter_that_freezes_in_mid_run_has_counted_at_least_so_much() {
    let control = tempfile::NamedTempFile::new().unwrap();
    let file = control.path().to_str().unwrap();
    let meter = Meter::start(&[PACKAGE, &format!("control={file}"), "1000@50"]);
    let run = meter.exec("", &["sh", "-c", &format!("sleep 0.5; echo 0 > {file}; sleep 3")]);
    let package = run.of_domain("hw.energy", "package");
    assert_eq!(
        (&package["bound"], &package["bound_reason"]),
        (&"at_least".into(), &"the counter stood still".into())
    );
    for part in ["target", "other"] {
        let part = run.metrics("hw.energy").find(|m| m["labels"]["hw.energy.part"] == part).unwrap();
        assert_eq!((&part["bound"], part.get("uncertainty")), (&"at_least".into(), None), "{part:#}");
    }
    assert_eq!(run.metrics("hw.energy.uncertainty").count(), 0);
    let summary = run.summary();
    assert!(
        summary.contains("Machine at least ") && summary.contains("(the counter stood still)"),
        "{summary}"
    );
}

#[test]
fn memory_alone_is_not_the_machine_whose_energy_is_estimated_then() {
    let meter = Meter::start(&[PACKAGE, "zone=intel-rapl:0:0/dram/0.1", "300@50"]);
    fs::remove_file(zone_file(&meter, "intel-rapl:0")).unwrap();
    fs::write(zone_file(&meter, "intel-rapl:0"), "0\n").unwrap();
    let burn = [support::workload().to_str().unwrap(), "burn=300"];
    let run = meter.exec("--set estimate.tdp=100W", &burn);
    let text = run.summary();
    assert!(text.contains("Energy ~ ") && text.contains("; machine ~ "), "{text}");
    assert!(text.contains("energy of package 0 (not supported here: its counter stays at 0)"), "{text}");
    assert!(run.energy("dram") > 0.0);
    let split = run.metrics("hw.energy").filter(|m| m["provenance"] == "attributed").count();
    assert_eq!(split, 0, "the memory's energy is nobody's share of the machine");
    let done = Alumet::new(["doctor", "--sysfs", meter.root(), "--set", "estimate.tdp=100W"]).run().status(0);
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!text.contains("energy is measured"), "{text}");
    assert!(text.contains("nothing measures this machine's energy"), "{text}");
}

#[test]
fn every_row_is_an_increase_and_they_add_up_to_the_total() {
    let meter = Meter::start(&[PACKAGE, "300@50"]);
    let mut run =
        Alumet::new(["exec", "-o", "s.csv", "--json", "p.json", "-i", "10ms", "--sysfs", meter.root()]);
    run.command.args(["sleep", "0.3"]);
    run.run().status(0);
    let rows = run.rows("s.csv");
    let of = |metric: &str| -> Vec<f64> {
        let rows =
            rows.iter().filter(|row| row["metric"] == metric && row["labels"].contains("domain=package"));
        rows.map(|row| row["value"].parse().unwrap()).collect()
    };
    let profile = run.profile("p.json");
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let total = metrics.iter().find(|m| m["metric"] == "hw.energy").unwrap()["value"].as_f64().unwrap();
    let energies = of("hw.energy");
    assert!(energies.iter().all(|energy| *energy >= 0.0) && energies.len() > 5, "{energies:?}");
    assert!((energies.iter().sum::<f64>() / total - 1.0).abs() < 1e-9);
    assert_eq!(of("hw.energy.uncertainty").len(), 1);
}

#[test]
fn without_counters_energy_is_missing_with_the_reason_and_cannot_be_asked_for() {
    let empty = tempfile::tempdir().unwrap();
    let sysfs = empty.path().to_str().unwrap();
    let done = Alumet::new(["exec", "-v", "--sysfs", sysfs, "--without", "estimate", "true"]).run().status(0);
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("energy (no RAPL"), "{text}");
    assert!(!text.contains("Energy"), "{text}");
    let mut run = Alumet::new(["exec", "-v", "--sysfs", sysfs, "--plugins", "rapl", "touch", "started"]);
    run.run().refuses(125, "plugin `rapl` cannot be used here: no RAPL");
    assert!(!run.path("started").exists());
    for (backend, says) in
        [("perf", "the kernel has no PMU `power`"), ("powercap", "powercap has no RAPL zones")]
    {
        let set = format!("rapl.backend={backend}");
        Alumet::new(["exec", "-v", "--sysfs", sysfs, "--plugins", "rapl", "--set", &set, "true"])
            .run()
            .refuses(125, says);
    }
    Alumet::new(["exec", "-v", "--set", "rapl.backend=msr", "true"])
        .run()
        .refuses(2, "unknown variant `msr`");
}

/// For an ordinary user.
fn as_nobody(meter: &Meter, words: &[&str]) -> Done {
    let words = [&words[..1], &["--sysfs", meter.root()], &words[1..]].concat();
    Alumet::as_nobody("exec \"$@\"", &words).run()
}

fn zone_file(meter: &Meter, zone: &str) -> std::path::PathBuf {
    meter.root.path().join("class/powercap").join(zone).join("energy_uj")
}

#[test]
fn a_user_is_told_what_only_root_may_read_and_gets_the_rest() {
    if !is_root("a_user_is_told_what_only_root_may_read_and_gets_the_rest") {
        return;
    }
    let meter = Meter::start(&[PACKAGE, "zone=intel-rapl:0:0/dram/0.1", "300@50"]);
    fs::set_permissions(meter.root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let only_root =
        |zone| fs::set_permissions(zone_file(&meter, zone), PermissionsExt::from_mode(0o400)).unwrap();
    only_root("intel-rapl:0:0");
    let done = as_nobody(&meter, &["exec", "-v", "sleep", "0.2"]).status(0);
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("energy of dram 0 (not permitted: only root may read energy_uj in powercap: sudo /"),
        "{text}"
    );
    // The memory's is missing from the total.
    assert!(text.contains("Machine at least ") && text.contains("package measured"), "{text}");
    assert!(text.contains("Energy at least ") && !text.contains('±'), "{text}");

    only_root("intel-rapl:0");
    let done = as_nobody(&meter, &["exec", "-v", "true"]).status(0);
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("energy (not permitted: only root may read energy_uj"), "{text}");

    // Where perf has a PMU, its capability is the smaller right.
    let pmu = meter.root.path().join("bus/event_source/devices/power");
    pmu_of(&pmu, "1", "0x00", "5e-8");
    topology_of(meter.root.path());
    let Some(_restored) = support::Paranoid::set("a user is told", 2) else { return };
    let done = as_nobody(&meter, &["exec", "-v", "true"]).status(0);
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("RAPL needs CAP_PERFMON (perf_event_paranoid is 2): sudo setcap cap_perfmon=ep"),
        "{text}"
    );
}

/// A PMU `power` with one event.
fn pmu_of(dir: &Path, type_: &str, event: &str, scale: &str) {
    fs::create_dir_all(dir.join("events")).unwrap();
    for (file, text) in [
        ("type", type_),
        ("cpumask", "0"),
        ("events/energy-pkg", &format!("event={event}")),
        ("events/energy-pkg.scale", scale),
        ("events/energy-pkg.unit", "Joules"),
    ] {
        fs::write(dir.join(file), format!("{text}\n")).unwrap();
    }
}

fn topology_of(root: &Path) {
    let topology = root.join("devices/system/cpu/cpu0/topology");
    fs::create_dir_all(&topology).unwrap();
    fs::write(topology.join("physical_package_id"), "2\n").unwrap();
}

/// The kernel's clock on one CPU, which counts nanoseconds, with a scale that makes 50 W of them.
#[test]
fn perf_counts_from_mark_to_mark_and_comes_first() {
    if !is_root("perf_counts_from_mark_to_mark_and_comes_first") {
        return;
    }
    let meter = Meter::start(&[PACKAGE, "300@7"]);
    pmu_of(&meter.root.path().join("bus/event_source/devices/power"), "1", "0x00", "5e-8");
    topology_of(meter.root.path());
    let run = meter.exec("", &["sleep", "0.5"]);
    let energy = run.of_domain("hw.energy", "package");
    assert_eq!(
        (&energy["method"], &energy["resource_id"]),
        (&Value::from("RAPL through perf"), &Value::from("2"))
    );
    let (joules, expected) = (run.energy("package"), 50.0 * run.wall());
    assert!(
        (joules - expected).abs() < 0.002 * expected + 2.0 * run.uncertainty("package"),
        "{joules} {expected}"
    );
    let run = meter.exec("--set rapl.backend=powercap", &["sleep", "0.1"]);
    assert_eq!(run.of_domain("hw.energy", "package")["method"], "RAPL through powercap");
}

/// A shell in a private mount namespace where `overlays` say what lies over which directory, or why there is none.
fn with_overlays(test: &str, overlays: &[(&Path, &str)], words: &[&str]) -> Option<Done> {
    if !is_root(test) {
        return None;
    }
    let mounts = overlays.iter().map(|(over, at)| {
        format!("mount -t overlay overlay -o lowerdir={}:{at} {at} || exit 99; ", over.display())
    });
    let script = mounts.collect::<String>() + "exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(support::binary());
    let mut run = Alumet::with(command, words);
    let done = run.run();
    if done.status == 99 || done.stderr.starts_with("unshare:") {
        skip(test, &format!("no overlay can be mounted: {}", done.stderr.trim()));
        return None;
    }
    Some(Done { stdout: run.read("p.json"), ..done.status(0) })
}

#[test]
fn the_default_paths_lead_to_powercap() {
    let test = "the_default_paths_lead_to_powercap";
    if Path::new("/sys/class/powercap/intel-rapl").exists() {
        return skip(test, "this machine has RAPL");
    }
    let meter = Meter::start(&[PACKAGE, "zone=intel-rapl:0:0/dram/0.1", "300@50"]);
    let root = meter.root.path().to_owned();
    let (class, devices) = (root.join("class"), root.join("devices/virtual"));
    let overlays = [(class.as_path(), "/sys/class"), (devices.as_path(), "/sys/devices/virtual")];
    let words = ["exec", "--json", "p.json", "sleep", "0.5"];
    let Some(done) = with_overlays(test, &overlays, &words) else { return };
    let run = Run { profile: serde_json::from_str(&done.stdout).unwrap(), done };
    let (energy, expected) = (run.energy("package"), 50.0 * run.wall());
    let within = 0.02 * expected + 2.0 * run.uncertainty("package");
    assert!((energy - expected).abs() < within, "{energy} is not {expected}");
    assert_eq!(run.of_domain("hw.energy", "dram")["method"], "RAPL through powercap");
}

#[test]
fn the_default_paths_lead_to_the_pmu() {
    let test = "the_default_paths_lead_to_the_pmu";
    let devices = Path::new("/sys/bus/event_source/devices");
    if devices.join("power").exists() || !devices.join("msr/type").exists() {
        return skip(test, "this machine has RAPL, or no PMU `msr` to stand in for it");
    }
    let root = tempfile::tempdir().unwrap();
    // The CPU's time stamp counter, at a nanojoule each.
    let type_ = fs::read_to_string(devices.join("msr/type")).unwrap();
    pmu_of(&root.path().join("power"), type_.trim(), "0x00", "1e-9");
    let overlays = [(root.path(), "/sys/bus/event_source/devices")];
    let mut powers = Vec::new();
    for time in ["0.3", "0.6"] {
        let words = ["exec", "--json", "p.json", "sleep", time];
        let Some(done) = with_overlays(test, &overlays, &words) else { return };
        let run = Run { profile: serde_json::from_str(&done.stdout).unwrap(), done };
        assert_eq!(run.of_domain("hw.energy", "package")["method"], "RAPL through perf");
        powers.push(
            [run.energy("package"), 2.0 * run.uncertainty("package")].map(|joules| joules / run.wall()),
        );
    }
    // Nobody knows its frequency here, but it is constant.
    eprintln!("{powers:?}");
    let [[a, of_a], [b, of_b]] = powers.try_into().unwrap();
    assert!((a - b).abs() < 0.01 * a + of_a + of_b, "{a} {b}");
}

/// Where there is no cgroup, what a process has used last is known only when it has ended.
#[test]
fn an_ordinary_user_gets_the_energy_of_work_that_shows_only_at_the_end() {
    if !is_root("an_ordinary_user_gets_the_energy_of_work_that_shows_only_at_the_end") {
        return;
    }
    let meter = Meter::start(&[PACKAGE, "1000@40"]);
    fs::set_permissions(meter.root.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let options =
        ["exec", "--sysfs", meter.root(), "--without", "perf", "--json", "p.json", "bin/workload", "burn=30"];
    let mut run = Alumet::as_nobody("exec \"$@\"", &options).with_workload();
    let done = run.run().status(0);
    let run = Run { profile: run.profile("p.json"), done };
    let [target, ..] = parts(&run);
    let machine = run.energy("package");
    // It was nothing.
    assert!(target > least_share(&run) * machine, "{target} of {machine}");
}

/// The application's share of the busy CPU time if all CPUs were busy all the time, as on a busy machine; less what the
/// kernel's ticks may take from it.
fn least_share(run: &Run) -> f64 {
    let cpus = std::thread::available_parallelism().unwrap().get() as f64;
    0.7 * support::counter(&run.profile, "process.cpu.time", "") / (run.wall() * cpus)
}

/// The parts of what a run's machine has used: of the application, idle, and of all others.
fn parts(run: &Run) -> [f64; 3] {
    ["target", "idle", "other"].map(|part| {
        let is_it = |m: &&Value| m["labels"]["hw.energy.part"] == part;
        run.metrics("hw.energy").find(is_it).map_or(0.0, |m| m["value"].as_f64().unwrap())
    })
}

#[test]
fn the_application_gets_its_share_and_the_parts_add_up_to_the_machine() {
    let meter = Meter::start(&[PACKAGE, "zone=intel-rapl:0:0/dram/0.1", "1000@40"]);
    let busy = support::workload().to_str().unwrap();
    for (options, command) in [
        ("", vec![busy, "threads=4:400"]),
        ("--per-process -i 20ms", vec![busy, "child=300", "burn=300"]),
        ("--set attribution.idle_power=30", vec![busy, "threads=2:300"]),
        ("--set attribution.idle_power=1000", vec![busy, "burn=100"]),
        ("", vec!["sleep", "0.3"]),
    ] {
        let run = meter.exec(options, &command);
        let machine = run.energy("package") + run.energy("dram");
        let [target, idle, other] = parts(&run);
        let sum = target + idle + other;
        assert!(
            (sum - machine).abs() <= 1e-9 * machine,
            "{options}: {target} + {idle} + {other} is not {machine}"
        );
        let text = run.summary();
        assert!(text.contains("attributed to this application: share of the busy CPU time"), "{text}");
        match (options, command[0]) {
            // Whoever is alone with next to nothing gets all of it, by this rule.
            (_, "sleep") => assert!(target <= machine * (1.0 + 1e-9), "{target} of {machine}"),
            ("--set attribution.idle_power=1000", _) => {
                assert!(target <= 1e-9 * machine && idle >= machine * (1.0 - 1e-9), "{idle} of {machine}")
            }
            ("--set attribution.idle_power=30", _) => {
                assert!((idle / (30.0 * run.wall()) - 1.0).abs() < 0.1, "{idle} in {} s", run.wall());
            }
            _ => assert!(target > least_share(&run) * machine && idle == 0.0, "{target} of {machine}"),
        }
        let row = run.metrics("hw.energy").find(|m| m["consumer"] == "target").unwrap();
        assert_eq!(row["provenance"], "attributed");
        if options.contains("--per-process") {
            let of_processes = run.metrics("hw.energy").filter(|m| m["consumer"] == "process");
            let of_processes: f64 = of_processes.map(|m| m["value"].as_f64().unwrap()).sum();
            assert!(
                of_processes > 0.5 * target && of_processes <= target * (1.0 + 1e-9),
                "{of_processes} of {target}"
            );
        }
    }
}
