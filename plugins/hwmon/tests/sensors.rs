//! The source over a small `/sys` in a directory, at fake time.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alumet::testing::{Collect, ManualClock};
use alumet::{
    Agent, Availability, Bound, Consumer, Host, Interval, Kind, Missing, Plugin, Provenance, Report, Totals,
};
use alumet_plugin_hwmon::{Config, Hwmon};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// A machine whose files are what a test writes into them.
struct Machine {
    root: TempDir,
    clock: Arc<ManualClock>,
    collected: Collect,
    totals: Totals,
}

impl Machine {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let machine =
            Self { root, clock: ManualClock::new(), collected: Collect::new(), totals: Totals::new() };
        machine.set(files);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn set(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// Makes a device of `/sys/devices`, and a chip of `/sys/class` that belongs to it.
    fn link(&self, hwmon: &str, device: &str) {
        fs::create_dir_all(self.path(device)).unwrap();
        fs::create_dir_all(self.path(hwmon)).unwrap();
        symlink(self.path(device), self.path(hwmon).join("device")).unwrap();
    }

    fn host(&self) -> Host {
        Host::new(self.root.path(), self.path("proc"))
    }

    /// An agent with the plugin, read once a second.
    fn agent(&self) -> anyhow::Result<Agent> {
        let mut agent = Agent::on(self.host(), self.clock.clone());
        agent.plugin::<Hwmon>(Config { interval: Interval::from_millis(1000) })?;
        agent.setup().output("collect", self.collected.clone());
        agent.setup().output("totals", self.totals.clone());
        Ok(agent)
    }

    fn probe(&self) -> Availability {
        Hwmon::probe(&Config::default(), &self.host())
    }

    /// Starts, sets the files of each step before the next second, and ends.
    fn seconds(&self, steps: &[&[(&str, &str)]]) -> Report {
        let run = async {
            let running = self.agent().unwrap().start().await.unwrap();
            for files in steps {
                self.set(files);
                self.clock.advance(SECOND);
            }
            running.finish().await
        };
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run)
    }

    /// What was collected: `metric resource id chip/name`, and its values.
    fn series(&self) -> Vec<(String, Vec<f64>)> {
        let mut all: Vec<(String, Vec<f64>)> = Vec::new();
        for (series, point) in self.collected.points() {
            let label = |key| series.label_value(key).unwrap();
            let resource = format!("{} {}", series.resource.kind, series.resource.id);
            let sensor = format!("{}/{}", label("hw.sensor.chip"), label("hw.sensor.name"));
            let name = format!("{} {resource} {sensor}", series.metric.name);
            match all.iter_mut().find(|(other, _)| *other == name) {
                Some((_, values)) => values.push(point.value),
                None => all.push((name, vec![point.value])),
            }
        }
        all
    }

    /// What was measured. How sure that is stands apart.
    #[track_caller]
    fn expect(&self, expected: &[(&str, &[f64])]) {
        let expected: Vec<_> =
            expected.iter().map(|(name, values)| (name.to_string(), values.to_vec())).collect();
        let measured = self.series().into_iter().filter(|(name, _)| !name.contains(".uncertainty "));
        assert_eq!(measured.collect::<Vec<_>>(), expected);
    }

    /// How the total of each energy is to be understood.
    fn bounds(&self) -> Vec<(f64, Bound, String)> {
        let totals = self.totals.get();
        let energies = totals.iter().filter(|total| total.series.metric.name == "hw.energy");
        energies.map(|total| (total.value, total.bound, total.bound_reason.to_string())).collect()
    }

    /// How sure a total is.
    fn uncertainty(&self, of: &str) -> Option<f64> {
        let name = format!("hw.energy.uncertainty {of}");
        self.series().into_iter().find(|(series, _)| *series == name).map(|(_, values)| values[0])
    }
}

/// `what (reason)` of everything that is missing.
fn missing(report: &Report) -> Vec<String> {
    report.missing.iter().map(|Missing { what, reason, .. }| format!("{what} ({reason})")).collect()
}

const CARD: &str = "class/hwmon/hwmon3";
const CARD_ENERGY: &str = "class/hwmon/hwmon3/energy1_input";

#[test]
fn an_amd_gpu_has_its_power_under_its_address() {
    let power = "class/hwmon/hwmon4/power1_average";
    let machine = Machine::new(&[
        ("class/hwmon/hwmon4/name", "amdgpu\n"),
        (power, "35000000\n"),
        ("class/hwmon/hwmon4/power1_label", "PPT\n"),
        ("class/hwmon/hwmon4/power1_cap", "200000000\n"),
        ("class/hwmon/hwmon4/power1_average_interval", "50\n"),
        ("class/hwmon/hwmon4/in0_input", "900\n"),
    ]);
    machine.link("class/hwmon/hwmon4", "devices/pci0000:00/0000:03:00.0");
    let report = machine.seconds(&[&[(power, "41500000\n")], &[(power, "12000000\n")]]);
    machine.expect(&[("hw.power gpu 0000:03:00.0 amdgpu/PPT", &[41.5, 12.0, 12.0])]);
    assert_eq!(missing(&report), [""; 0]);
    let (series, _) = &machine.collected.points()[0];
    assert_eq!(series.method, "hwmon power1_average");
    assert_eq!((&*series.metric.unit, series.metric.kind), ("W", Kind::Gauge));
    assert_eq!((series.consumer, series.provenance), (Consumer::Machine, Provenance::Measured));
}

#[test]
fn energy_is_the_increase_and_what_was_before_the_run_is_not_in_it() {
    let machine = Machine::new(&[
        ("class/hwmon/hwmon3/name", "xe"),
        (CARD_ENERGY, "99999000000\n"),
        ("class/hwmon/hwmon3/energy1_label", "card\n"),
        ("class/hwmon/hwmon3/energy2_input", "7\n"),
        ("class/hwmon/hwmon3/energy2_label", "pkg\n"),
    ]);
    let report = machine.seconds(&[
        &[(CARD_ENERGY, "99999250000\n"), ("class/hwmon/hwmon3/energy2_input", "8\n")],
        &[],
        &[(CARD_ENERGY, "100001750000\n")],
    ]);
    // Where a counter stands still there is no point.
    machine
        .expect(&[("hw.energy gpu hwmon3 xe/card", &[0.25, 2.5]), ("hw.energy gpu hwmon3 xe/pkg", &[1e-6])]);
    assert_eq!(missing(&report), [""; 0]);
    // Both edges may lack up to one advance of the counter, which is 1.375 J on average.
    let uncertainty = machine.uncertainty("gpu hwmon3 xe/card").unwrap();
    assert!((uncertainty - 1.375 / 3f64.sqrt()).abs() < 1e-12, "{uncertainty}");
    let (series, _) = &machine.collected.points()[0];
    assert_eq!((&*series.metric.unit, series.metric.kind), ("J", Kind::Counter));
    assert_eq!(series.method, "hwmon energy1_input");
}

#[test]
fn a_counter_that_wraps_or_is_reset_loses_that_interval_and_no_more() {
    let machine = Machine::new(&[("class/hwmon/hwmon3/name", "board"), (CARD_ENERGY, "4294000000")]);
    let steps = ["4295000000", "500000", "1500000", "0", "250000"].map(|energy| [(CARD_ENERGY, energy)]);
    let report = machine.seconds(&steps.each_ref().map(|step| &step[..]));
    machine.expect(&[("hw.energy sensor hwmon3 board board/energy1", &[1.0, 1.0, 0.25])]);
    let expected = "energy1 of hwmon3 board (not counted in 2 intervals: the counter was reset or wrapped)";
    assert_eq!(missing(&report), [expected]);
    assert_eq!(machine.bounds(), [(2.25, Bound::AtLeast, "its counter was reset or wrapped".to_owned())]);
}

#[test]
fn a_counter_that_never_advances_is_missing_and_not_0() {
    let machine = Machine::new(&[("class/hwmon/hwmon3/name", "board"), (CARD_ENERGY, "0\n")]);
    let report = machine.seconds(&[&[], &[]]);
    machine.expect(&[]);
    let [gap] = &missing(&report)[..] else { panic!("{report:?}") };
    assert!(gap.starts_with("energy1 of hwmon3 board (it did not advance"), "{gap}");
}

#[test]
fn sensors_and_chips_with_the_same_name_are_series_of_their_own() {
    let mut files = Vec::new();
    for (hwmon, sensor) in [(2, 1), (2, 2), (2, 3), (10, 1)] {
        let file = |item: &str| format!("class/hwmon/hwmon{hwmon}/{item}");
        files.push((file("name"), "ina2xx".to_owned()));
        files.push((file(&format!("power{sensor}_input")), format!("{hwmon}{sensor}000000")));
        files.push((file(&format!("power{sensor}_label")), "VDD".to_owned()));
    }
    // It bears the name that another one would have without a label.
    files.push(("class/hwmon/hwmon2/power1_label".to_owned(), "power2".to_owned()));
    files.push(("class/hwmon/hwmon2/power2_label".to_owned(), String::new()));
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let machine = Machine::new(&files);
    machine
        .set(&[("class/hwmon/hwmon2/power4_input", "24000000"), ("class/hwmon/hwmon2/power4_label", "VDD")]);
    machine.seconds(&[]);
    machine.expect(&[
        ("hw.power sensor hwmon2 ina2xx ina2xx/power2", &[21.0]),
        ("hw.power sensor hwmon2 ina2xx ina2xx/power2 (hwmon power2_input)", &[22.0]),
        ("hw.power sensor hwmon2 ina2xx ina2xx/VDD", &[23.0]),
        ("hw.power sensor hwmon2 ina2xx ina2xx/VDD (hwmon power4_input)", &[24.0]),
        ("hw.power sensor hwmon10 ina2xx ina2xx/VDD", &[101.0]),
    ]);
}

#[test]
fn odd_names_are_kept_as_far_as_they_can_be_printed() {
    let machine = Machine::new(&[
        ("class/hwmon/hwmon0/name", "=cmd|' /C calc'!A0\n"),
        ("class/hwmon/hwmon0/power1_input", "1000000"),
        ("class/hwmon/hwmon0/power1_label", " a;b=c,\"d\"\n\x1b[31mµ\0 \n"),
        ("class/hwmon/hwmon0/power2_input", "2000000"),
        ("class/hwmon/hwmon0/power2_label", "\n"),
        ("class/hwmon/hwmon1/power1_input", "3000000"),
    ]);
    fs::write(machine.path("class/hwmon/hwmon0/power3_label"), [0xff; 4096]).unwrap();
    machine.set(&[("class/hwmon/hwmon0/power3_input", "4000000")]);
    machine.seconds(&[]);
    let names: Vec<_> = machine.series().into_iter().map(|(name, _)| name).collect();
    assert!(names[0].ends_with("=cmd|' /C calc'!A0/a;b=c,\"d\"\u{fffd}\u{fffd}[31mµ\u{fffd}"), "{names:?}");
    assert!(names[1].ends_with("/power2"), "{names:?}");
    assert!(names[2].ends_with("\u{fffd}") && names[2].chars().count() < 200, "{names:?}");
    assert_eq!(names[3], "hw.power sensor hwmon1 hwmon1 hwmon1/power1");
}

#[test]
fn an_average_is_preferred_to_an_instant() {
    let machine = Machine::new(&[
        ("class/hwmon/hwmon0/name", "meter"),
        ("class/hwmon/hwmon0/power1_input", "1000000"),
        ("class/hwmon/hwmon0/power1_average", "2000000"),
    ]);
    machine.seconds(&[]);
    machine.expect(&[("hw.power sensor hwmon0 meter meter/power1", &[2.0])]);
}

#[test]
fn of_two_files_of_the_same_power_the_one_that_can_be_read_is_read() {
    let average = "class/hwmon/hwmon0/power1_average";
    let machine = |text: &str| {
        let input = ("class/hwmon/hwmon0/power1_input", "9000000");
        Machine::new(&[("class/hwmon/hwmon0/name", "meter"), input, (average, text)])
    };
    for nothing in ["", "unknown", "\n"] {
        let machine = machine(nothing);
        assert_eq!(missing(&machine.seconds(&[])), [""; 0]);
        machine.expect(&[("hw.power sensor hwmon0 meter meter/power1", &[9.0])]);
        assert_eq!(machine.collected.points()[0].0.method, "hwmon power1_input");
    }
    let machine = machine("");
    fs::remove_file(machine.path(average)).unwrap();
    fs::create_dir(machine.path(average)).unwrap();
    machine.seconds(&[]);
    machine.expect(&[("hw.power sensor hwmon0 meter meter/power1", &[9.0])]);
    // If neither can, what is wrong is said of the better one.
    let machine = Machine::new(&[(average, ""), ("class/hwmon/hwmon0/power1_input", "")]);
    assert_eq!(missing(&machine.seconds(&[])), ["power1 of hwmon0 hwmon0 (it is empty)"]);
}

#[test]
fn a_channel_that_is_switched_off_is_none() {
    fn set(machine: &Machine, files: &[(&str, &str)]) {
        files.iter().for_each(|(name, text)| machine.set(&[(&format!("class/hwmon/hwmon1/{name}"), *text)]));
    }
    let machine = Machine::new(&[]);
    set(&machine, &[("name", "board"), ("power1_input", "1000000"), ("power1_enable", "0\n")]);
    set(
        &machine,
        &[
            ("power2_input", "2000000"),
            ("power2_enable", "1"),
            ("energy3_input", "5"),
            ("energy3_enable", "0"),
        ],
    );
    machine.seconds(&[]);
    machine.expect(&[("hw.power sensor hwmon1 board board/power2", &[2.0])]);
    let rails = Machine::new(&[]);
    set(&rails, &[("name", "ina3221"), ("in1_label", "VDD_IN"), ("in1_input", "5000"), ("curr1_input", "0")]);
    set(&rails, &[("in2_label", "CPU"), ("in2_input", "5000"), ("curr2_input", "100"), ("in1_enable", "0")]);
    assert_eq!(missing(&rails.seconds(&[])), [""; 0]);
    rails.expect(&[("hw.power sensor hwmon1 ina3221 ina3221/CPU", &[0.5])]);
}

#[test]
fn what_feeds_the_whole_machine_is_known_by_its_name() {
    for (chip, label, name) in [
        ("macsmc_hwmon", "power1_label", "Total System Power"),
        // The board names the chip.
        ("ina238", "label", "VIN"),
        ("ina3221", "power1_label", "POM_5V_IN"),
    ] {
        let label = format!("class/hwmon/hwmon2/{label}");
        let machine = Machine::new(&[
            ("class/hwmon/hwmon2/name", chip),
            (&label, name),
            ("class/hwmon/hwmon2/power1_input", "7000000"),
        ]);
        machine.seconds(&[]);
        machine.expect(&[(&format!("hw.power machine hwmon2 {chip} {chip}/{name}"), &[7.0])]);
    }
}

#[test]
fn amds_system_management_has_a_chip_for_each_socket() {
    let machine =
        Machine::new(&[("class/hwmon/hwmon4/name", "nvme"), ("class/hwmon/hwmon4/power1_input", "1000000")]);
    for (hwmon, power) in [(3, "100000000"), (12, "200000000")] {
        machine.set(&[
            (&format!("class/hwmon/hwmon{hwmon}/name"), "amd_hsmp_hwmon"),
            (&format!("class/hwmon/hwmon{hwmon}/power1_input"), power),
        ]);
    }
    machine.seconds(&[]);
    machine.expect(&[
        ("hw.power cpu_package 0 amd_hsmp_hwmon/power1", &[100.0]),
        ("hw.power sensor hwmon4 nvme nvme/power1", &[1.0]),
        ("hw.power cpu_package 1 amd_hsmp_hwmon/power1", &[200.0]),
    ]);
}

#[test]
fn what_is_on_and_shows_0_watts_does_not_work() {
    let machine = battery(&[("status", "Discharging\n"), ("power_now", "0\n")]);
    assert_eq!(missing(&machine.seconds(&[&[]])), ["power of battery BAT0 (it shows 0 W of what is on)"]);
    machine.expect(&[]);
    let machine = Machine::new(&[
        ("class/hwmon/hwmon1/name", "power_meter"),
        ("class/hwmon/hwmon1/power1_average", "0"),
        ("class/hwmon/hwmon2/name", "amd_hsmp_hwmon"),
        ("class/hwmon/hwmon2/power1_input", "0"),
        // A rail may be unused.
        ("class/hwmon/hwmon3/power1_input", "0"),
    ]);
    assert_eq!(missing(&machine.seconds(&[])).len(), 2);
    machine.expect(&[("hw.power sensor hwmon3 hwmon3 hwmon3/power1", &[0.0])]);
}

#[test]
fn a_counter_that_freezes_is_said_and_its_total_is_at_least_so_much() {
    let machine = Machine::new(&[("class/hwmon/hwmon3/name", "board"), (CARD_ENERGY, "0")]);
    let frozen: Vec<_> = (1..=20u64).map(|second| (second.min(8) * 1_000_000).to_string()).collect();
    let steps: Vec<_> = frozen.iter().map(|energy| [(CARD_ENERGY, energy.as_str())]).collect();
    let report = machine.seconds(&steps.iter().map(|step| &step[..]).collect::<Vec<_>>());
    assert_eq!(
        missing(&report),
        ["energy1 of hwmon3 board (not counted for 12.0s: the counter stood still)"]
    );
    assert_eq!(machine.uncertainty("sensor hwmon3 board board/energy1"), None);
    assert_eq!(machine.bounds(), [(8.0, Bound::AtLeast, "its counter stood still".to_owned())]);
    // One that has steps of some seconds is not frozen for so long.
    let machine = Machine::new(&[("class/hwmon/hwmon3/name", "board"), (CARD_ENERGY, "0")]);
    let slow: Vec<_> = (1..=20u64).map(|second| (second / 3 * 36_000_000).to_string()).collect();
    let steps: Vec<_> = slow.iter().map(|energy| [(CARD_ENERGY, energy.as_str())]).collect();
    let report = machine.seconds(&steps.iter().map(|step| &step[..]).collect::<Vec<_>>());
    assert_eq!(missing(&report), [""; 0]);
    assert_eq!(machine.bounds(), [(216.0, Bound::Exact, String::new())]);
}

#[test]
fn an_acpi_power_meter_keeps_its_files_in_its_device_and_is_named_by_its_maker() {
    let machine = Machine::new(&[]);
    for (i, (info, power)) in [("Grace Power Socket 0\n", "150000000"), ("CPU Power Socket 0\n", "125000000")]
        .into_iter()
        .enumerate()
    {
        let device = format!("devices/LNXSYSTM:00/ACPI000D:0{i}");
        machine.link(&format!("class/hwmon/hwmon{i}"), &device);
        machine.set(&[
            (&format!("{device}/name"), "power_meter\n"),
            (&format!("{device}/power1_average"), power),
            (&format!("{device}/power1_oem_info"), info),
            (&format!("{device}/power1_accuracy"), "100.0%\n"),
        ]);
    }
    machine.seconds(&[]);
    machine.expect(&[
        ("hw.power cpu_package 0 power_meter/Grace Power Socket 0", &[150.0]),
        ("hw.power cpu_package 0 power_meter/CPU Power Socket 0", &[125.0]),
    ]);
}

#[test]
fn what_measures_a_socket_or_the_whole_machine_is_about_that() {
    let machine = Machine::new(&[
        ("class/hwmon/hwmon0/name", "amd_energy"),
        ("class/hwmon/hwmon0/energy1_input", "1000000"),
        ("class/hwmon/hwmon0/energy1_label", "Ecore000"),
        ("class/hwmon/hwmon0/energy2_input", "1000000"),
        ("class/hwmon/hwmon0/energy2_label", "Esocket1"),
        ("class/hwmon/hwmon1/name", "power_meter"),
        ("class/hwmon/hwmon1/power1_average", "350000000"),
    ]);
    machine.seconds(&[&[
        ("class/hwmon/hwmon0/energy1_input", "3000000"),
        ("class/hwmon/hwmon0/energy2_input", "61000000"),
    ]]);
    machine.expect(&[
        ("hw.energy sensor hwmon0 amd_energy amd_energy/Ecore000", &[2.0]),
        ("hw.energy cpu_package 1 amd_energy/Esocket1", &[60.0]),
        ("hw.power machine hwmon1 power_meter power_meter/power1", &[350.0, 350.0]),
    ]);
}

#[test]
fn a_jetson_has_the_power_of_its_labelled_rails() {
    let file = |name| format!("class/hwmon/hwmon1/{name}");
    let files = [
        ("name", "ina3221"),
        ("in1_input", "19168"),
        ("in1_label", "VDD_IN"),
        ("curr1_input", "264"),
        ("in2_input", "19160"),
        ("in2_label", "VDD_CPU_GPU_CV"),
        ("curr2_input", "-40"),
        // Not connected, shunt voltages, and sums.
        ("in3_input", "5000"),
        ("curr3_input", "10"),
        ("in4_input", "1320"),
        ("curr4_input", "304"),
        ("in7_input", "1520"),
        ("in7_label", "sum of shunt voltages"),
    ];
    let files = files.map(|(name, text)| (file(name), text));
    let machine = Machine::new(&files.each_ref().map(|(name, text)| (name.as_str(), *text)));
    machine.seconds(&[&[(&file("curr1_input"), "500")]]);
    machine.expect(&[
        ("hw.power machine hwmon1 ina3221 ina3221/VDD_IN", &[9.584, 9.584]),
        ("hw.power sensor hwmon1 ina3221 ina3221/VDD_CPU_GPU_CV", &[-0.7664, -0.7664]),
    ]);
    assert_eq!(machine.collected.points()[0].0.method, "hwmon in1_input * curr1_input");
    // A driver that multiplies by itself knows better.
    let machine = Machine::new(&files.each_ref().map(|(name, text)| (name.as_str(), *text)));
    machine.set(&[(&file("power1_input"), "5100000")]);
    machine.seconds(&[]);
    machine.expect(&[("hw.power sensor hwmon1 ina3221 ina3221/power1", &[5.1])]);
}

/// A battery with these files.
fn battery(files: &[(&str, &str)]) -> Machine {
    let machine = Machine::new(&[
        ("class/power_supply/AC/type", "Mains\n"),
        ("class/power_supply/AC/online", "0\n"),
        ("class/power_supply/BAT0/type", "Battery\n"),
        // As the kernel shows it once more, whatever its state.
        ("class/hwmon/hwmon0/name", "BAT0\n"),
        ("class/hwmon/hwmon0/power1_input", "77000000\n"),
    ]);
    for (name, text) in files {
        machine.set(&[(&format!("class/power_supply/BAT0/{name}"), *text)]);
    }
    machine.link("class/hwmon/hwmon0", "class/power_supply/BAT0");
    machine
}

const STATUS: &str = "class/power_supply/BAT0/status";
const LEFT: &str = "class/power_supply/BAT0/energy_now";

#[test]
fn a_battery_counts_only_while_it_is_discharging() {
    let machine =
        battery(&[("status", "Discharging\n"), ("power_now", "8000000\n"), ("energy_now", "50000000\n")]);
    let report = machine.seconds(&[
        &[(LEFT, "49990000\n")],
        &[(STATUS, "Charging\n"), (LEFT, "49995000\n")],
        &[(STATUS, "Not charging\n"), (LEFT, "49980000\n")],
        &[(STATUS, "Discharging\n"), (LEFT, "49970000\n")],
        &[(LEFT, "49969000\n")],
        &[(LEFT, "49969500\n")],
    ]);
    let series = machine.series();
    assert_eq!(series[0], ("hw.power battery BAT0 BAT0/power".into(), vec![8.0; 5]));
    // 10 mWh and 1 mWh; what changed while it was not discharging, or changed hands meanwhile, is not in it.
    assert_eq!(series[1].0, "hw.energy battery BAT0 BAT0/energy");
    for (got, expected) in series[1].1.iter().zip([36.0, 3.6]) {
        assert!((got - expected).abs() < 1e-9, "{series:?}");
    }
    assert_eq!((series.len(), series[1].1.len()), (2, 2));
    let expected = [
        "battery BAT0 (it was not discharging at 2 of 8 readings)",
        "energy of battery BAT0 (not counted in 1 interval: the counter was reset or wrapped)",
    ];
    assert_eq!(missing(&report), expected);
}

#[test]
fn a_battery_on_the_mains_gives_nothing_and_says_so() {
    let machine = battery(&[("status", "Full\n"), ("power_now", "0\n"), ("energy_now", "50000000\n")]);
    assert_eq!(machine.probe(), Availability::Available);
    // Without an adapter that is online there is nothing to unplug.
    for (online, expected) in [(None, ""), (Some("0\n"), ""), (Some("1\n"), "unplug the mains")] {
        let machine = battery(&[("status", "Full\n"), ("power_now", "0\n"), ("energy_now", "50000000\n")]);
        if let Some(online) = online {
            machine.set(&[("class/power_supply/AC/online", online)]);
        }
        let report = machine.seconds(&[&[]]);
        machine.expect(&[]);
        let [Missing { what, reason, remedy, .. }] = &report.missing[..] else { panic!("{report:?}") };
        assert_eq!((what.as_str(), reason.as_str()), ("battery BAT0", "it is not discharging"));
        assert_eq!(remedy, expected);
    }
}

#[test]
fn a_battery_without_a_power_file_has_current_times_voltage_whatever_the_sign() {
    let files = [("status", "Discharging\n"), ("voltage_now", "12233000\n"), ("charge_now", "3143000\n")];
    for current in ["-386000\n", "386000\n"] {
        let machine = battery(&files);
        machine.set(&[("class/power_supply/BAT0/current_now", current)]);
        machine.seconds(&[]);
        machine.expect(&[("hw.power battery BAT0 BAT0/power", &[4.721_938])]);
        assert_eq!(machine.collected.points()[0].0.method, "power_supply current_now * voltage_now");
    }
}

#[test]
fn the_battery_of_a_mouse_is_not_the_machines() {
    let machine = battery(&[("status", "Discharging\n"), ("scope", "Device\n"), ("power_now", "1\n")]);
    assert!(matches!(machine.probe(), Availability::Unavailable(_)));
}

/// The files of a Cray node after so many updates, at 400 W.
fn cray(updates: u64, machine: &Machine) {
    let line = |value: u64, unit: &str| format!("{value} {unit} 15882634120000{updates:02} us\n");
    for (file, value, unit) in [
        ("energy", 10_000 + 40 * updates, "J"),
        ("cpu_energy", 5_000 + 20 * updates, "J"),
        ("memory_energy", 1_000 + 5 * updates, "J"),
        ("accel0_energy", 700 + 10 * updates, "J"),
        ("power", 400, "W"),
        ("power_cap", 0, "W"),
    ] {
        machine.set(&[(&format!("cray/pm_counters/{file}"), &line(value, unit))]);
    }
    machine.set(&[("cray/pm_counters/freshness", &format!("{updates}\n"))]);
}

#[test]
fn a_cray_node_has_its_parts_and_is_read_when_there_is_something_new() {
    let machine = Machine::new(&[]);
    cray(0, &machine);
    let run = async {
        let running = machine.agent().unwrap().start().await.unwrap();
        for updates in [1, 1, 3] {
            cray(updates, &machine);
            machine.clock.advance(SECOND);
        }
        running.finish().await
    };
    let report = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run);
    machine.expect(&[
        ("hw.power machine  pm_counters/power", &[400.0, 400.0]),
        ("hw.energy machine  pm_counters/energy", &[40.0, 80.0]),
        ("hw.energy cpu_package  pm_counters/cpu_energy", &[20.0, 40.0]),
        ("hw.energy gpu 0 pm_counters/accel0_energy", &[10.0, 20.0]),
        ("hw.energy dram  pm_counters/memory_energy", &[5.0, 10.0]),
    ]);
    assert_eq!(missing(&report), [""; 0]);
}

#[test]
fn a_cray_node_whose_counters_are_no_longer_updated_has_used_at_least_what_they_show() {
    let machine = Machine::new(&[]);
    cray(0, &machine);
    let run = async {
        let running = machine.agent().unwrap().start().await.unwrap();
        for updates in 1..=20 {
            cray(10 * u64::min(updates, 6), &machine);
            machine.clock.advance(SECOND);
        }
        running.finish().await
    };
    let report = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run);
    assert!(missing(&report)[0].contains("not counted for 14.0s: the counter stood still"), "{report:?}");
    assert!(machine.bounds().iter().all(|(_, bound, _)| *bound == Bound::AtLeast));
    assert_eq!((machine.bounds().len(), machine.bounds()[0].0), (4, 2400.0));
}

#[test]
fn counters_of_a_cray_node_that_are_never_updated_are_missing_and_not_0() {
    let machine = Machine::new(&[]);
    cray(0, &machine);
    let report = machine.seconds(&[&[], &[]]);
    machine.expect(&[]);
    assert_eq!(missing(&report), ["pm_counters (the counters were not updated during the run)"]);
}

#[test]
fn what_cannot_be_read_is_a_gap_and_the_others_go_on() {
    let machine = Machine::new(&[
        ("class/hwmon/hwmon0/name", "board"),
        ("class/hwmon/hwmon0/power1_input", "1000000"),
        ("class/hwmon/hwmon0/power2_input", "2000000"),
        ("class/hwmon/hwmon0/power3_input", ""),
        ("class/hwmon/hwmon0/energy1_input", "1000000"),
    ]);
    // A directory is not opened, for neither would be a FIFO, at which one would wait for ever.
    fs::create_dir(machine.path("class/hwmon/hwmon0/power4_input")).unwrap();
    let fifo = machine.path("class/hwmon/hwmon0/power5_input");
    assert!(std::process::Command::new("mkfifo").arg(fifo).status().unwrap().success());
    // Opening a link to nowhere fails.
    symlink("nowhere", machine.path("class/hwmon/hwmon0/power6_input")).unwrap();
    let report = machine.seconds(&[
        &[("class/hwmon/hwmon0/power2_input", "unknown\n"), ("class/hwmon/hwmon0/energy1_input", "-5\n")],
        &[("class/hwmon/hwmon0/power2_input", ""), ("class/hwmon/hwmon0/power3_input", "3000000")],
        &[("class/hwmon/hwmon0/energy1_input", "3500000")],
    ]);
    machine.expect(&[
        ("hw.power sensor hwmon0 board board/power1", &[1.0; 4]),
        ("hw.power sensor hwmon0 board board/power3", &[3.0; 3]),
        // The increase after a failure covers the time of the failure.
        ("hw.energy sensor hwmon0 board board/energy1", &[2.5]),
    ]);
    let expected = [
        "power4, power5 of hwmon0 board (it is no regular file)",
        "power6 of hwmon0 board (no such file or directory)",
        "energy1 of hwmon0 board (2 of 5 readings failed: it is not a number)",
        "power2 of hwmon0 board (4 of 5 readings failed: it is empty)",
        "power3 of hwmon0 board (2 of 5 readings failed: it is empty)",
    ];
    assert_eq!(missing(&report), expected);
}

#[test]
fn what_no_machine_can_draw_is_no_value_and_said() {
    let (energy, power) = ("class/hwmon/hwmon0/energy1_input", "class/hwmon/hwmon0/power1_input");
    let machine =
        Machine::new(&[("class/hwmon/hwmon0/name", "board"), (energy, "1000000"), (power, "90000000")]);
    let report = machine.seconds(&[
        &[(energy, "31000000"), (power, "-5")],
        // 1 EJ, and 1 EW.
        &[(energy, "1000000000000031000000"), (power, "1000000000000000000000000")],
        &[(energy, "1000000000000000000"), (power, "1000000000000000000")],
        &[(energy, "1000000000020000000"), (power, "80000000")],
    ]);
    machine.expect(&[
        ("hw.energy sensor hwmon0 board board/energy1", &[30.0, 20.0]),
        ("hw.power sensor hwmon0 board board/power1", &[80.0, 80.0]),
    ]);
    assert_eq!(machine.uncertainty("sensor hwmon0 board board/energy1"), None);
    let expected = [
        "energy1 of hwmon0 board (1 of 6 readings failed: it is not a number)",
        "energy1 of hwmon0 board (not counted in 1 interval: the counter went on by more than a machine can use)",
        "power1 of hwmon0 board (3 of 6 readings failed: it is a power that cannot be)",
    ];
    assert_eq!(missing(&report), expected);
}

#[test]
fn no_text_makes_a_value_that_is_no_number() {
    let texts: [&[u8]; 12] = [
        b"NaN",
        b"inf",
        b"-inf",
        b"1e400",
        b"99999999999999999999999999",
        b"-9223372036854775808",
        b"9223372036854775807",
        b"18446744073709551615",
        b"\xff\xfe\0",
        b"\0\0\0\0",
        &[b'9'; 5000],
        &[b'\n'; 200],
    ];
    for text in texts {
        let machine = battery(&[
            ("status", "Discharging"),
            ("current_now", ""),
            ("voltage_now", ""),
            ("energy_now", "7"),
        ]);
        machine.set(&[("class/hwmon/hwmon5/name", "x"), ("cray/pm_counters/freshness", "")]);
        for file in [
            "class/hwmon/hwmon5/energy1_input",
            "class/hwmon/hwmon5/power1_input",
            "class/hwmon/hwmon5/power1_label",
            "class/power_supply/BAT0/current_now",
            "class/power_supply/BAT0/voltage_now",
            "cray/pm_counters/energy",
            "cray/pm_counters/freshness",
        ] {
            machine.set(&[(file, "")]);
            fs::write(machine.path(file), text).unwrap();
        }
        let report = machine.seconds(&[&[(LEFT, "0")], &[(STATUS, "\u{1}")]]);
        assert!(machine.collected.values().iter().all(|value| value.is_finite()), "{:?}", machine.series());
        assert!(report.elements.iter().all(|element| element.errors == 0), "{report:?}");
        let energies = machine.collected.points();
        let negative = energies.iter().find(|(s, point)| s.metric.kind == Kind::Counter && point.value < 0.0);
        assert_eq!(negative, None);
    }
}

#[test]
fn a_machine_without_sensors_says_so_and_a_virtual_one_says_why() {
    let machine = Machine::new(&[
        ("class/hwmon/hwmon0/name", "coretemp"),
        ("class/hwmon/hwmon0/temp1_input", "45000"),
        ("class/power_supply/AC/type", "Mains"),
        ("proc/cpuinfo", "flags\t\t: fpu vme\n"),
    ]);
    let expected = |reason: &str| Availability::unavailable(reason, "");
    assert_eq!(machine.probe(), expected("no energy or power sensor here"));
    machine.set(&[("proc/cpuinfo", "flags\t\t: fpu hypervisor\n")]);
    assert_eq!(machine.probe(), expected("no energy or power sensor here: this is a virtual machine"));
    assert!(machine.agent().is_err());
    machine.set(&[("class/hwmon/hwmon0/power1_input", "1")]);
    assert_eq!(machine.probe(), Availability::Available);
}

#[test]
fn a_sensor_that_may_not_be_opened_says_who_may() {
    let machine =
        Machine::new(&[("class/hwmon/hwmon0/name", "board"), ("class/hwmon/hwmon0/energy1_input", "1")]);
    let file = machine.path("class/hwmon/hwmon0/energy1_input");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o000)).unwrap();
    if fs::File::open(&file).is_ok() {
        let _ = writeln!(std::io::stderr(), "skipped: what may not be opened: this user may open everything");
        return;
    }
    let Availability::Unavailable(missing) = machine.probe() else { panic!("it is there") };
    assert_eq!(missing.reason, format!("cannot open {}: permission denied", file.display()));
    assert_eq!(missing.remedy, alumet::privilege::sudo("exec --user \"$USER\" ..."));
}

#[test]
fn all_series_of_a_big_machine_are_different() {
    let machine = battery(&[("status", "Discharging"), ("power_now", "1"), ("energy_now", "9")]);
    cray(0, &machine);
    for hwmon in 0..20 {
        let file = |item: String| format!("{}{hwmon}/{item}", &CARD[..CARD.len() - 1]);
        for sensor in 1..20 {
            machine.set(&[
                (&file("name".into()), "amdgpu"),
                (&file(format!("power{sensor}_input")), "1"),
                (&file(format!("power{sensor}_label")), "PPT"),
            ]);
        }
    }
    machine.link("class/hwmon/hwmon1", "devices/0000:03:00.0");
    machine.link("class/hwmon/hwmon2", "devices/0000:03:00.0");
    machine.seconds(&[]);
    let names: BTreeSet<_> = machine.series().into_iter().map(|(name, _)| name).collect();
    // All but the counters have a point, and the chip of the battery is none.
    assert_eq!(names.len(), 19 * 19 + 1);
}
