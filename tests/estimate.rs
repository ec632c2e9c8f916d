//! Energy where nothing measures it: by a model, and never without saying so.

mod support;

use serde_json::Value;
use support::{Alumet, skip, workload};

fn text(stderr: &str) -> String {
    stderr.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn energies(profile: &Value) -> Vec<&Value> {
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    metrics.iter().filter(|m| m["metric"] == "hw.energy").collect()
}

/// Nothing below here measures energy.
fn without_meters() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn an_estimate_is_labelled_with_method_and_band_and_its_parts_add_up() {
    let sysfs = without_meters();
    let options = ["--sysfs", sysfs.path().to_str().unwrap(), "--set", "estimate.tdp=100W", "-o", "s.csv"];
    let mut run = Alumet::new([&["exec", "--json", "p.json"], &options[..], &["--"]].concat());
    run.command.arg(workload()).arg("threads=2:400");
    let done = run.run().status(0);
    let words = text(&done.stderr);
    for expected in [
        "Energy ~ ",
        "estimated from CPU load (curve over 100 W TDP, as set, ",
        "−45 % … +80 %",
        "; machine ~ ",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    assert!(words.contains("energy (no RAPL"), "{words}");
    let profile = run.profile("p.json");
    let all = energies(&profile);
    assert!(!all.is_empty() && all.iter().all(|m| m["provenance"] == "estimated"), "{all:#?}");
    let value = |is_it: &dyn Fn(&Value) -> bool| -> f64 {
        all.iter().filter(|m| is_it(m)).map(|m| m["value"].as_f64().unwrap()).sum()
    };
    let machine = value(&|m| m["labels"]["hw.energy.part"].is_null());
    let parts = value(&|m| m["labels"]["hw.energy.part"].is_string());
    assert!((parts - machine).abs() <= 1e-9 * machine, "{parts} of {machine}");
    let target = all.iter().find(|m| m["consumer"] == "target").unwrap();
    let (joules, band) = (target["value"].as_f64().unwrap(), target["band"].as_array().unwrap());
    assert!(
        (band[0].as_f64().unwrap() / joules - 0.55).abs() < 1e-9
            && (band[1].as_f64().unwrap() / joules - 1.8).abs() < 1e-9
    );
    assert!(target["method"].as_str().unwrap().contains("curve over 100 W TDP"));
    assert!(target.get("uncertainty").is_none(), "a model has no standard deviation");
    let rows = run.rows("s.csv");
    assert!(
        rows.iter().filter(|row| row["metric"] == "hw.energy").all(|row| row["provenance"] == "estimated")
    );
}

#[test]
fn it_can_be_left_out_and_grows_with_the_design_power() {
    let sysfs = without_meters();
    let run = |more: &[&str]| {
        let options = ["exec", "--json", "p.json", "--sysfs", sysfs.path().to_str().unwrap()];
        let mut run = Alumet::new([&options[..], more].concat());
        run.command.arg("--").arg(workload()).arg("burn=300");
        let done = run.run().status(0);
        (done, run.profile("p.json"))
    };
    let (done, profile) = run(&["--without", "estimate"]);
    assert!(energies(&profile).is_empty() && !done.stderr.contains("Energy"), "{}", done.stderr);
    let machine = |tdp: &str| {
        let (_, profile) = run(&["--set", tdp]);
        let wall = profile["runs"][0]["wall_s"].as_f64().unwrap();
        let of_machine = |m: &&&Value| m["labels"]["hw.energy.domain"] == "package";
        energies(&profile).iter().find(of_machine).unwrap()["value"].as_f64().unwrap() / wall
    };
    let (little, much) = (machine("estimate.tdp=10W"), machine("estimate.tdp=1000"));
    assert!(much > 15.0 * little, "{much} W, {little} W");
}

#[test]
fn energy_becomes_carbon_and_money_only_when_asked() {
    let sysfs = without_meters();
    let options =
        ["exec", "--json", "p.json", "--sysfs", sysfs.path().to_str().unwrap(), "--set", "estimate.tdp=100W"];
    let run = |more: &[&str]| {
        let mut run = Alumet::new([&options[..], more].concat());
        run.command.arg("--").arg(workload()).arg("burn=300");
        let done = run.run().status(0);
        (text(&done.stderr), run.profile("p.json"))
    };
    let (words, profile) = run(&["--carbon", "3600000", "--price", "7.2e6"]);
    assert!(
        words.contains("Carbon ~ ") && words.contains(" CO2e at 3600000 g CO2e per kWh, for CPU (estimated)"),
        "{words}"
    );
    assert!(words.contains("Cost ~ ") && words.contains(" at 7200000 per kWh"), "{words}");
    let derived = profile["runs"][0]["derived"].as_array().unwrap();
    let value =
        |metric: &str| derived.iter().find(|d| d["metric"] == metric).unwrap()["value"].as_f64().unwrap();
    let all = energies(&profile);
    let joules = all.iter().find(|m| m["consumer"] == "target").unwrap()["value"].as_f64().unwrap();
    assert!((value("energy.carbon") / joules - 1.0).abs() < 1e-9, "a joule is a gram at this rate");
    assert!((value("energy.cost") / joules - 2.0).abs() < 1e-9);

    let (words, profile) = run(&[]);
    assert!(!words.contains("Carbon") && !words.contains("Cost"), "{words}");
    assert!(!profile["runs"][0]["derived"].to_string().contains("energy."));
    let (words, _) = run(&["--carbon", "56", "--without", "estimate"]);
    assert!(words.contains("carbon (no energy is known)"), "{words}");
    Alumet::new(["exec", "--carbon", "-1", "true"]).run().refuses(2, "--carbon: -1 is no amount per kWh");
    Alumet::new(["exec", "--price", "cheap", "true"]).run().refuses(2, "--price: cheap is no amount per kWh");
}

/// On a virtual machine without any meter, as many are that software is built on.
#[test]
fn on_a_machine_without_a_meter_there_is_an_estimate_and_one_line_why_there_is_no_measurement() {
    let test = "on_a_machine_without_a_meter_there_is_an_estimate_and_one_line_why_there_is_no_measurement";
    if std::path::Path::new("/sys/class/powercap/intel-rapl").exists()
        || std::path::Path::new("/sys/bus/event_source/devices/power").exists()
    {
        return skip(test, "this machine has RAPL");
    }
    let mut run = Alumet::new(["exec", "stress-ng", "--quiet", "--cpu", "2", "-t", "5"]);
    let done = run.run();
    if done.status == 127 {
        return skip(test, "stress-ng is not installed");
    }
    let words = text(&done.status(0).stderr);
    // Whose CPU nobody knows has to say what it is.
    if words.contains("an estimate of the energy (nothing is known of the CPU") {
        return skip(test, "nothing is published of this machine's CPU");
    }
    assert!(words.contains("Energy ~ ") && words.contains("−45 % … +80 %"), "{words}");
    assert_eq!(words.matches("energy (no").count(), 1, "{words}");
}
