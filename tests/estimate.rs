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
    let mut run = Alumet::new([&["exec", "-v", "--json", "p.json"], &options[..], &["--"]].concat());
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
    let options = [
        "exec",
        "-v",
        "--json",
        "p.json",
        "--sysfs",
        sysfs.path().to_str().unwrap(),
        "--set",
        "estimate.tdp=100W",
    ];
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
    Alumet::new(["exec", "-v", "--carbon", "-1", "true"])
        .run()
        .refuses(2, "--carbon: -1 is no amount per kWh");
    Alumet::new(["exec", "-v", "--price", "cheap", "true"])
        .run()
        .refuses(2, "--price: cheap is no amount per kWh");
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
    assert!(words.contains("Energy ~ ") && words.contains(" %); machine ~ "), "{words}");
    assert_eq!(words.matches("energy (no").count(), 1, "{words}");
}

/// A first try is often made on a cloud's machine, which hides what it is, on a small board, or on what no list has.
#[test]
fn there_is_an_energy_on_every_machine_and_its_band_is_as_wide_as_little_is_known() {
    let x86 = "processor : 0\nvendor_id : GenuineIntel\ncpu family : 6\nmodel : ";
    let machines = [
        // What clouds show: a desktop's number, and what only a server of a later generation can do.
        (
            format!(
                "{x86}167\nmodel name : Intel(R) Xeon(R) Processor\nflags : hypervisor avx512f amx_tile\n"
            ),
            "like Intel Xeon Platinum 8480+, 1 of 112 CPUs",
            [0.35, 3.5],
        ),
        (
            format!("{x86}6\nmodel name : QEMU Virtual CPU version 2.5+\nflags : fpu hypervisor\n"),
            "like an average server",
            [0.35, 3.5],
        ),
        (
            "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd08\n".to_owned(),
            "like Raspberry Pi 4",
            [0.43, 2.7],
        ),
        (
            "processor : 0\nCPU implementer : 0x61\nCPU part : 0x022\n".to_owned(),
            "like Apple M1",
            [0.43, 2.7],
        ),
        ("processor : 0\nmodel name : Elbrus\n".to_owned(), "an unknown CPU, 1 CPU", [0.2, 5.0]),
        (String::new(), "an unknown CPU, ", [0.2, 5.0]),
    ];
    for (cpuinfo, expected, factors) in machines {
        let (sysfs, procfs) = (without_meters(), tempfile::tempdir().unwrap());
        for file in ["stat", "meminfo"] {
            std::os::unix::fs::symlink(format!("/proc/{file}"), procfs.path().join(file)).unwrap();
        }
        std::fs::write(procfs.path().join("cpuinfo"), cpuinfo).unwrap();
        let roots = [sysfs.path(), procfs.path()].map(|path| path.to_str().unwrap().to_owned());
        let mut run = Alumet::new([
            "exec", "-v", "--json", "p.json", "--sysfs", &roots[0], "--procfs", &roots[1], "--",
        ]);
        run.command.arg(workload()).arg("burn=300");
        let words = text(&run.run().status(0).stderr);
        assert!(words.contains("Energy ~ ") && words.contains(expected), "{expected}: {words}");
        let [low, high] = factors.map(|factor| (factor - 1.0) * 100.0);
        assert!(words.contains(&format!("; −{:.0} % … +{high:.0} %)", -low)), "{words}");
        let profile = run.profile("p.json");
        let estimated = energies(&profile);
        assert!(estimated.len() >= 2, "the machine and its parts: {estimated:#?}");
        for energy in estimated {
            let (value, band) = (energy["value"].as_f64().unwrap(), energy["band"].as_array().unwrap());
            for (end, factor) in band.iter().zip(factors) {
                assert!((end.as_f64().unwrap() - factor * value).abs() <= 1e-9 * value, "{energy:#?}");
            }
        }
        let is_vague = factors[0] < 0.43;
        assert_eq!(words.contains("a closer estimate of the energy ("), is_vague, "{words}");
    }
}
