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
    let mut words: Vec<String> = ["exec", "--set", &library].map(String::from).into();
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
    let row = done.stderr.lines().find(|line| line.trim_start().starts_with("GPU ")).unwrap().to_owned();
    for part in [" J ", " W mean, ", " % busy, ", " GB of memory (Stub 9000)"] {
        assert!(row.contains(part), "{part}: {}", done.stderr);
    }
    let profile = alumet.profile("p.json");
    let joules = |gpu| metric(&profile, "hw.energy", gpu, "machine")["value"].as_f64().unwrap();
    // GPU 1 draws twice as much, and the row is about GPU 0 alone.
    let ratio = joules("1") / joules("0");
    assert!((1.8..2.2).contains(&ratio), "{ratio}");
    let shown: f64 = row.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((shown - joules("0")).abs() < 0.01 * joules("0"), "{row} for {}", joules("0"));
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
            .filter(|row| row["metric"] == "hw.energy")
            .map(|row| row["value"].parse::<f64>().unwrap())
            .sum();
        assert!((sum - joules(gpu)).abs() < 1e-6, "{sum} J in the CSV, {} in the profile", joules(gpu));
    }
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
    let mut alumet =
        Alumet::new(["exec", "--set", "nvml.library=/no/such/libnvidia-ml.so.1", "--json", "p.json", "true"]);
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
    assert!(metric(&profile, "hw.energy", "0", "machine")["value"].as_f64().unwrap() > 0.0);
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
    exec(&stub, &["--plugins", "nvml"], 10).run().refuses(125, "others than root can write to ");
}
