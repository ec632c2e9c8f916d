//! GPUs from end to end, on a driver without a GPU (`support/nvml_stub.rs`).

#[path = "support/nvml.rs"]
mod stub;
mod support;

use serde_json::Value;
use stub::Stub;
use support::{Alumet, Done, workload};

/// `alumet exec` with this driver, on an application that runs for so many milliseconds.
fn exec(stub: &Stub, options: &[&str], ms: u32) -> Alumet {
    let library = format!("nvml.library={}", stub.path().display());
    let mut words: Vec<String> = ["exec", "-v", "--set", &library].map(String::from).into();
    words.extend(options.iter().map(|option| (*option).to_owned()));
    words.extend(["--".to_owned(), workload().display().to_string(), format!("sleep={ms}")]);
    Alumet::new(words)
}

fn metric<'a>(profile: &'a Value, name: &str, gpu: &str, consumer: &str) -> &'a Value {
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let is_it = |m: &&Value| {
        let task = &m["labels"]["hw.gpu.task"];
        m["metric"] == name
            && m["resource"] == "gpu"
            && m["resource_id"] == gpu
            && m["consumer"] == consumer
            && (consumer != "machine" || m["labels"]["hw.energy.part"].is_null())
            && (task.is_null() || task == "general")
    };
    metrics.iter().find(is_it).unwrap_or_else(|| panic!("no {name} of GPU {gpu} in {profile:#}"))
}

/// The text in one line: where lines are broken is not the matter here.
#[track_caller]
fn says(done: &Done, expected: &str) {
    let text = done.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(expected), "not found: {expected}\n{}", done.stderr);
}

fn gaps(profile: &Value) -> String {
    profile["missing"].to_string()
}

#[test]
fn the_summary_has_the_gpu_that_was_used_and_the_files_have_all() {
    let stub = Stub::new("watts=100:100 process=0:child:1200000000:compute process=1:1:1:compute");
    let mut alumet = exec(&stub, &["-o", "s.csv", "--json", "p.json"], 700);
    let done = alumet.run().status(0);
    for part in [" of the board; ", " W mean, ", " % busy, ", " GB of memory (Stub 9000)"] {
        says(&done, part);
    }
    let profile = alumet.profile("p.json");
    let joules = |gpu| metric(&profile, "hw.energy", gpu, "machine")["value"].as_f64().unwrap();
    // GPU 1 draws twice as much, and the row is about GPU 0 alone.
    let ratio = joules("1") / joules("0");
    assert!((1.8..2.2).contains(&ratio), "{ratio}");
    // With how sure it is.
    says(&done, &format!(", of {:.1} J ± ", joules("0")));
    assert_eq!(metric(&profile, "hw.gpu.used_by_target", "0", "target")["max"], 1.0);
    assert_eq!(metric(&profile, "hw.gpu.used_by_target", "1", "target")["max"], 0.0);
    assert_eq!(
        metric(&profile, "hw.gpu.memory.usage", "0", "process")["labels"]["process.executable.name"],
        "workload"
    );
    assert!(metric(&profile, "hw.energy.uncertainty", "0", "machine")["mean"].as_f64().unwrap() > 0.0);

    let rows = alumet.rows("s.csv");
    for gpu in ["0", "1"] {
        let of_gpu = rows.iter().filter(|row| row["resource"] == "gpu" && row["resource_id"] == gpu);
        let sum: f64 = of_gpu
            .filter(|row| row["metric"] == "hw.energy" && row["provenance"] == "measured")
            .map(|row| row["value"].parse::<f64>().unwrap())
            .sum();
        assert!((sum - joules(gpu)).abs() < 1e-6, "{sum} J in the CSV, {} in the profile", joules(gpu));
    }
}

#[test]
fn the_energy_of_a_gpu_is_split_by_its_time_where_that_is_told() {
    // The application has three quarters of the load of GPU 0, and all that there is of GPU 1 is somebody else's.
    let processes =
        "process=0:child:1000000:compute:60 process=0:1:1000000:compute:20 process=1:1:1:compute:50";
    let stub = Stub::new(&format!("watts=100:100 {processes}"));
    let mut alumet = exec(&stub, &["--json", "p.json", "-o", "s.csv"], 1500);
    let done = alumet.run().status(0);
    let profile = alumet.profile("p.json");
    let part = |gpu: &str, part: &str| -> &Value {
        let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
        let is_it = |m: &&Value| {
            m["metric"] == "hw.energy" && m["resource_id"] == gpu && m["labels"]["hw.energy.part"] == part
        };
        metrics.iter().find(is_it).unwrap_or_else(|| panic!("no {part} of GPU {gpu} in {profile:#}"))
    };
    let value = |m: &Value| m["value"].as_f64().unwrap();
    let board = value(metric(&profile, "hw.energy", "0", "machine"));
    let (target, other) = (part("0", "target"), part("0", "other"));
    assert!((value(target) + value(other) - board).abs() <= 1e-9 * board);
    let share = value(target) / board;
    // Before the driver's first sample it has none.
    assert!((0.6..0.76).contains(&share), "{share}");
    assert_eq!(target["provenance"], "attributed");
    assert_eq!(target["method"], "share of the GPU time, idle power included");
    assert!(target["uncertainty"].as_f64().unwrap() > 0.0);
    let row = done.stderr.lines().find(|line| line.trim_start().starts_with("GPU ")).unwrap();
    assert!(row.contains("attributed to this application, of "), "{row}");
    // Nobody of the application is on GPU 1, so nothing of it is told to be the application's.
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let of_1 =
        |m: &&Value| m["metric"] == "hw.energy" && m["resource_id"] == "1" && m["consumer"] == "target";
    assert_eq!(metrics.iter().find(of_1), None);
}

#[test]
fn a_gpu_whose_time_is_not_told_is_given_as_a_whole() {
    let stub = Stub::new("watts=100:100 mig=0 process=0:child:1000000:compute");
    let mut alumet = exec(&stub, &["--json", "p.json"], 700);
    let done = alumet.run().status(0);
    let profile = alumet.profile("p.json");
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    assert!(metrics.iter().all(|m| m["resource_id"] != "0" || m["labels"]["hw.energy.part"].is_null()));
    let row = done.stderr.lines().find(|line| line.trim_start().starts_with("GPU ")).unwrap();
    assert!(!row.contains("attributed") && row.contains(" at most "), "{row}");
    says(&done, "energy of the application on GPU 0 (it is split into instances (MIG)");
    // It is everybody's, so the application's is no more than that.
    let sysfs = tempfile::tempdir().unwrap();
    let options =
        ["--price", "0.25", "--without", "estimate,rapl", "--sysfs", sysfs.path().to_str().unwrap()];
    says(&exec(&stub, &options, 200).run().status(0), "Cost at most ");
}

#[test]
fn a_board_whose_processes_have_no_load_is_given_as_such_with_the_reason() {
    let stub = Stub::new("watts=100:100 process=0:child:1:compute:0 process=0:1:1:compute:0");
    let mut alumet = exec(&stub, &["--json", "p.json"], 700);
    let done = alumet.run().status(0);
    let row = done.stderr.lines().find(|line| line.trim_start().starts_with("GPU ")).unwrap();
    let joules = metric(&alumet.profile("p.json"), "hw.energy", "0", "machine")["value"].as_f64().unwrap();
    assert!(row.contains(&format!("{joules:.1} J ± ")) && !row.contains("attributed"), "{joules}: {row}");
    says(
        &done,
        "the application's share of the energy of GPU 0 (the driver has told of no load of any process",
    );
}

#[test]
fn the_energy_of_a_gpu_that_is_lost_is_at_least_so_much() {
    let stub = Stub::new("watts=100:100 lost=0:250 process=0:child:1:compute");
    let mut alumet = exec(&stub, &["-i", "20ms", "--json", "p.json"], 900);
    let done = alumet.run().status(0);
    let row = done.stderr.lines().find(|line| line.trim_start().starts_with("GPU ")).unwrap();
    assert!(row.contains(" at least ") && !row.contains("W mean"), "{row}");
    let profile = alumet.profile("p.json");
    let energies = profile["runs"][0]["metrics"].as_array().unwrap().iter();
    let of_0: Vec<_> = energies.filter(|m| m["metric"] == "hw.energy" && m["resource_id"] == "0").collect();
    assert!(!of_0.is_empty() && of_0.iter().all(|m| m["uncertainty"].is_null()), "{of_0:#?}");
}

#[test]
fn of_repeated_runs_too_it_is_said_that_they_are_too_short_for_the_sensor() {
    let stub = Stub::new("watts=100:100 period=100 process=0:child:1:compute");
    let mut alumet = exec(&stub, &["-r", "3", "--json", "p.json"], 500);
    let done = alumet.run().status(0);
    let profile = alumet.profile("p.json");
    let short = profile["missing"].as_array().unwrap().iter();
    let short: Vec<_> = short.filter(|gap| gap["reason"] == "too short for the sensor").collect();
    assert_eq!(short.len(), 1, "once, not for each run: {profile:#}");
    says(&done, "(too short for the sensor: lengthen or repeat the run)");
}

#[test]
fn a_gpu_that_nobody_used_is_in_the_files_and_not_in_the_summary() {
    let stub = Stub::new("");
    let mut alumet = exec(&stub, &["--json", "p.json"], 300);
    let done = alumet.run().status(0);
    assert!(!done.stderr.contains("GPU"), "{}", done.stderr);
    assert!(metric(&alumet.profile("p.json"), "hw.energy", "0", "machine")["value"].as_f64().unwrap() > 0.0);
}

#[test]
fn without_a_driver_there_is_one_line_about_it_and_everything_else() {
    let mut alumet = Alumet::new([
        "exec",
        "-v",
        "--set",
        "nvml.library=/no/such/libnvidia-ml.so.1",
        "--json",
        "p.json",
        "true",
    ]);
    let done = alumet.run().status(0);
    says(&done, "GPU (cannot load nvml.library: ");
    let profile = alumet.profile("p.json");
    let nvml = profile["sources"].as_array().unwrap().iter().find(|source| source["name"] == "nvml").unwrap();
    assert_eq!(nvml["status"], "unavailable");
}

#[test]
fn a_gpu_that_falls_off_the_bus_ends_nothing() {
    let stub = Stub::new("lost=1:60");
    let mut alumet = exec(&stub, &["--json", "p.json"], 900);
    says(&alumet.run().status(0), "the GPU has fallen off the bus");
    let profile = alumet.profile("p.json");
    assert!(gaps(&profile).contains("GPU 1 after "), "{}", gaps(&profile));
    let energy = |gpu| metric(&profile, "hw.energy", gpu, "machine");
    let wall = profile["runs"][0]["wall_s"].as_f64().unwrap();
    let (whole, part) = (energy("0")["value"].as_f64().unwrap(), energy("1")["value"].as_f64().unwrap());
    // The one draws 100 W from before the start to after the end, the other twice as much, and not for so long.
    assert!(
        whole > 100.0 * (wall - 0.021) && part < 200.0 * wall && part > 0.0,
        "{whole} and {part} J in {wall} s"
    );
    assert!(energy("0")["uncertainty"].is_number() && energy("1")["uncertainty"].is_null(), "{profile:#}");
}

#[test]
fn a_driver_call_that_hangs_delays_neither_the_application_nor_the_status() {
    let begun = std::time::Instant::now();
    let stub = Stub::new("hang=nvmlDeviceGetTemperature:2");
    says(&exec(&stub, &["--json", "p.json"], 500).run().status(0), "its reading did not return");
    let stub = Stub::new("hang=nvmlInit_v2:0");
    says(&exec(&stub, &["--json", "p.json"], 300).run().status(0), "the driver has not answered within");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn plugins_says_what_it_finds() {
    let stub = Stub::new("fail=nvmlInit_v2:18");
    let library = format!("nvml.library={}", stub.path().display());
    let done = Alumet::new(["plugins", "--set", &library]).run().status(0);
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("library and kernel module have different versions"), "{text}");
}

#[test]
fn a_library_that_others_can_write_is_refused_to_root() {
    if !support::is_root("a_library_that_others_can_write_is_refused_to_root") {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let stub = Stub::new("");
    std::fs::set_permissions(stub.path(), std::fs::Permissions::from_mode(0o666)).unwrap();
    exec(&stub, &["--plugins", "nvml"], 10).run().refuses(125, "it can be written by others");
}

/// The application is on both GPUs of this driver, which tells its load on the first alone.
const LOAD_OF_ONE: &str =
    "gpus=2 watts=100:100 process=0:child:1200000000:compute:60 process=1:child:500000000:compute:0";

/// Without what else would have an energy here.
fn without_cpus() -> (tempfile::TempDir, [String; 4]) {
    let sysfs = tempfile::tempdir().unwrap();
    let path = sysfs.path().to_str().unwrap().to_owned();
    (sysfs, ["--without".into(), "estimate,rapl,hwmon".into(), "--sysfs".into(), path])
}

/// Of each run: the application's part of GPU 0, and the board of GPU 1.
fn used(profile: &Value) -> Vec<f64> {
    let energy = |run: &Value, gpu: &str, consumer: &str| {
        let is_it = |m: &&Value| {
            m["metric"] == "hw.energy"
                && m["resource_id"] == gpu
                && m["consumer"] == consumer
                && (consumer == "target" || m["labels"]["hw.energy.part"].is_null())
        };
        run["metrics"].as_array().unwrap().iter().find(is_it).unwrap()["value"].as_f64().unwrap()
    };
    let runs = profile["runs"].as_array().unwrap().iter();
    runs.map(|run| energy(run, "0", "target") + energy(run, "1", "machine")).collect()
}

#[test]
fn the_energy_of_two_gpus_is_one_number_in_summary_carbon_and_files() {
    let stub = Stub::new(LOAD_OF_ONE);
    let (_sysfs, without) = without_cpus();
    let options: Vec<&str> =
        without.iter().map(String::as_str).chain(["--carbon", "3600000", "--json", "p.json"]).collect();
    let mut alumet = exec(&stub, &options, 1500);
    let done = alumet.run().status(0);
    let profile = alumet.profile("p.json");
    let joules = used(&profile)[0];
    let row = |label: &str| {
        let line = done.stderr.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
        line.trim_start()[label.len()..].trim_start().to_owned()
    };
    assert!(row("GPU").starts_with(&format!("{joules:.0} J ± ")), "{joules}: {}", row("GPU"));
    says(&done, "attributed to this application on 1 of 2 GPUs, of ");
    // A gram a joule.
    let carbon = &profile["runs"][0]["derived"]
        .as_array()
        .unwrap()
        .iter()
        .find(|d| d["metric"] == "energy.carbon")
        .unwrap()["value"];
    assert!((carbon.as_f64().unwrap() / joules - 1.0).abs() < 1e-9, "{carbon} {joules}");
    assert!(row("Carbon").starts_with(&format!("{joules:.0} g")), "{joules}: {}", row("Carbon"));
}

#[test]
fn the_energy_of_two_gpus_is_that_number_in_the_table_of_runs_and_no_gate_passes_when_the_other_doubles() {
    let stub = Stub::new(LOAD_OF_ONE);
    let (_sysfs, without) = without_cpus();
    let options: Vec<&str> =
        without.iter().map(String::as_str).chain(["-r", "6", "--json", "a.json"]).collect();
    let mut alumet = exec(&stub, &options, 400);
    let done = alumet.run().status(0);
    let profile = alumet.profile("a.json");
    let joules = used(&profile);
    let row =
        done.stderr.lines().find(|line| line.trim_start().starts_with("GPU energy")).unwrap().to_owned();
    let words: Vec<_> = row.split_whitespace().collect();
    let mean: f64 = words[2].parse().unwrap();
    let expected = joules.iter().sum::<f64>() / 6.0;
    assert!((mean / expected - 1.0).abs() < 0.006 && words[3] == "J", "{expected}: {row}");

    let mut doubled = profile.clone();
    for run in doubled["runs"].as_array_mut().unwrap() {
        for metric in run["metrics"].as_array_mut().unwrap() {
            if metric["metric"] == "hw.energy" && metric["resource_id"] == "1" {
                metric["value"] = (metric["value"].as_f64().unwrap() * 2.0).into();
            }
        }
    }
    let gate = |change: &Value| {
        let words = ["compare", "--gate", "gpu", "--json", "c.json", "a.json", "b.json"];
        let mut compare = Alumet::new(words);
        compare.write("a.json", &profile.to_string()).write("b.json", &change.to_string());
        let done = compare.run();
        (done, compare.profile("c.json")["comparisons"][0].clone())
    };
    let (done, comparison) = gate(&doubled);
    done.status(3);
    let row =
        &comparison["rows"].as_array().unwrap().iter().find(|row| row["metric"] == "gpu").unwrap().clone();
    let of = |side: &str| row[side]["mean"].as_f64().unwrap();
    let now = used(&doubled).iter().sum::<f64>() / 6.0;
    assert!(
        (of("baseline") / expected - 1.0).abs() < 1e-9 && (of("change") / now - 1.0).abs() < 1e-9,
        "{row:#}"
    );
    gate(&profile).0.status(0);
}
