//! The machine's sources over a small `/proc` in a directory, at fake time.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use alumet::testing::{Collect, ManualClock};
use alumet::{
    Agent, Availability, Consumer, ElementState, Host, Interval, Kind, Missing, Plugin, Report, Running,
    Series,
};
use alumet_plugin_procfs::{Config, Procfs};
use tempfile::TempDir;

const SECOND: Duration = Duration::from_secs(1);

/// A machine whose files are what a test writes into them.
struct Machine {
    proc: TempDir,
    clock: Arc<ManualClock>,
    collected: Collect,
}

impl Machine {
    /// With these ticks (a hundredth of a second each) of user, nice, system, idle, iowait, irq, softirq, steal.
    fn new(ticks: [u64; 8]) -> Self {
        let proc = tempfile::tempdir().unwrap();
        let machine = Self { proc, clock: ManualClock::new(), collected: Collect::new() };
        machine.stat(ticks);
        machine.write(
            "meminfo",
            "MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 600 kB\nBuffers: 50 kB\nCached: 200 kB\n",
        );
        machine
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.proc.path().join(name), text).unwrap();
    }

    /// Of two CPUs; the lines of each may say what they will.
    fn stat(&self, ticks: [u64; 8]) {
        self.stat_of(2, ticks);
    }

    fn stat_of(&self, cpus: usize, ticks: [u64; 8]) {
        let ticks = ticks.map(|n| n.to_string()).join(" ");
        let each: String = (0..cpus).map(|cpu| format!("cpu{cpu} 9 9 9 9 0 0 0 0 0 0\n")).collect();
        self.write("stat", &format!("cpu  {ticks} 77 0\n{each}intr 12345 6 7\nctxt 99\n"));
    }

    fn host(&self) -> Host {
        Host::new("/nonexistent", self.proc.path())
    }

    /// An agent with the plugin, read once a second.
    fn agent(&self) -> anyhow::Result<Agent> {
        let mut agent = Agent::on(self.host(), self.clock.clone());
        agent.plugin::<Procfs>(Config { interval: Interval::from_millis(1000), ..Config::default() })?;
        agent.setup().output("collect", self.collected.clone());
        Ok(agent)
    }

    fn probe(&self) -> Availability {
        Procfs::probe(&Config::default(), &self.host())
    }

    /// What was collected for a metric with this label: time in whole seconds, value.
    fn points(&self, metric: &str, label: &str) -> Vec<(u64, f64)> {
        let is = |series: &Series| {
            series.metric.name == metric
                && (label.is_empty() || series.labels.iter().any(|(_, value)| value == label))
        };
        let points = self.collected.points().into_iter().filter(|(series, _)| is(series));
        points.map(|(_, point)| (point.time.as_nanos() / 1_000_000_000, point.value)).collect()
    }
}

/// Runs a test on one thread, as the sampler has its own.
fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
}

/// Starts, changes the files with `step` before each second, and ends.
fn seconds(machine: &Machine, steps: impl IntoIterator<Item = [u64; 8]>) -> Report {
    run(async {
        let running: Running = machine.agent().unwrap().start().await.unwrap();
        for ticks in steps {
            machine.stat(ticks);
            machine.clock.advance(SECOND);
        }
        running.finish().await
    })
}

#[test]
fn each_second_has_its_increase_in_seconds_and_the_time_before_the_run_is_not_in_it() {
    let machine = Machine::new([1000, 0, 500, 9000, 0, 3, 4, 0]);
    seconds(&machine, [[1050, 0, 510, 9140, 0, 4, 6, 1], [1050, 2, 530, 9300, 5, 4, 6, 1]]);
    let expected = [
        ("user", [0.5, 0.0]),
        ("nice", [0.0, 0.02]),
        ("system", [0.1, 0.2]),
        ("idle", [1.4, 1.6]),
        ("iowait", [0.0, 0.05]),
        // Hard and soft interrupts are one mode.
        ("interrupt", [0.03, 0.0]),
        ("steal", [0.01, 0.0]),
    ];
    for (mode, [first, second]) in expected {
        // The last one is the reading at the end, at the same instant as the second tick.
        let values = machine.points("system.cpu.time", mode);
        assert_eq!(values, [(1, first), (2, second), (2, 0.0)], "{mode}");
    }
}

#[test]
fn iowait_that_steps_back_is_no_negative_time_and_nothing_counts_twice() {
    let machine = Machine::new([0, 0, 0, 0, 100, 0, 0, 0]);
    seconds(&machine, [130, 120, 140, 140].map(|iowait| [0, 0, 0, 0, iowait, 0, 0, 0]));
    let values: Vec<_> =
        machine.points("system.cpu.time", "iowait").into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, [0.3, 0.0, 0.1, 0.0, 0.0]);
}

#[test]
fn memory_is_in_bytes_and_its_states_add_up() {
    let machine = Machine::new([0; 8]);
    seconds(&machine, [[1; 8]]);
    let last = |state: &str| machine.points("system.memory.usage", state).last().unwrap().1 / 1024.0;
    assert_eq!(["used", "free", "buffers", "cached"].map(last), [450.0, 300.0, 50.0, 200.0]);
    assert_eq!(machine.points("system.linux.memory.available", "").last().unwrap().1, 600.0 * 1024.0);
    for (series, _) in machine.collected.points() {
        let expected = match &*series.metric.name {
            "system.cpu.time" => ("s", Kind::Counter),
            "system.memory.usage" | "system.linux.memory.available" => ("By", Kind::Gauge),
            name => panic!("{name}"),
        };
        assert_eq!((&*series.metric.unit, series.metric.kind), expected);
        assert_eq!(series.consumer, Consumer::Machine);
    }
}

#[test]
fn a_file_that_breaks_during_the_run_is_reported_and_the_run_goes_on() {
    let machine = Machine::new([0; 8]);
    let report = run(async {
        let running = machine.agent().unwrap().start().await.unwrap();
        machine.stat([10; 8]);
        machine.clock.advance(SECOND);
        machine.write("stat", "nothing of this kind\n");
        machine.clock.advance(SECOND);
        machine.stat([30; 8]);
        machine.clock.advance(SECOND);
        running.finish().await
    });
    let source = report.elements.iter().find(|element| element.name == "procfs/cpu").unwrap();
    assert_eq!((source.errors, source.state), (1, ElementState::Active), "{source:?}");
    assert!(
        source.last_error.as_deref().unwrap().contains("/proc/stat is not in the expected form"),
        "{source:?}"
    );
    // What was counted meanwhile is in the next increase.
    assert_eq!(machine.points("system.cpu.time", "user"), [(1, 0.1), (3, 0.2), (3, 0.0)]);
}

/// What a file that cannot be read takes away: its own series, with the reason and what to do.
fn gap(machine: &Machine) -> Missing {
    let report = seconds(machine, []);
    let [gap] = &report.missing[..] else { panic!("{:?}", report.missing) };
    gap.clone()
}

#[test]
fn without_meminfo_the_cpu_times_are_measured_all_the_same() {
    let machine = Machine::new([0; 8]);
    fs::remove_file(machine.proc.path().join("meminfo")).unwrap();
    assert!(matches!(machine.probe(), Availability::Available));
    let Missing { what, reason, remedy, .. } = gap(&machine);
    assert_eq!(what, "the machine's memory");
    let expected = format!("cannot open {}/meminfo: No such file", machine.proc.path().display());
    assert!(reason.starts_with(&expected), "{reason}");
    assert!(remedy.contains("`meminfo` can be read") && remedy.contains("--procfs"), "{remedy}");
    assert!(!machine.points("system.cpu.time", "user").is_empty());
    assert!(machine.points("system.memory.usage", "").is_empty());
}

#[test]
fn with_a_stat_that_is_empty_the_memory_is_measured_all_the_same() {
    let machine = Machine::new([0; 8]);
    // As /dev/null is that somebody has mounted over it.
    machine.write("stat", "");
    let Missing { what, reason, remedy, .. } = gap(&machine);
    assert_eq!(what, "the machine's CPU time");
    assert_eq!(reason, "/proc/stat is not in the expected form");
    assert!(remedy.contains("`stat` can be read"), "{remedy}");
    assert!(machine.points("system.cpu.time", "").is_empty());
    assert!(!machine.points("system.memory.usage", "free").is_empty());
}

#[test]
fn where_proc_shows_processes_alone_the_remedy_is_that_of_services() {
    let machine = Machine::new([0; 8]);
    for name in ["stat", "meminfo"] {
        fs::remove_file(machine.proc.path().join(name)).unwrap();
    }
    std::os::unix::fs::symlink("1", machine.proc.path().join("self")).unwrap();
    assert!(matches!(machine.probe(), Availability::Available));
    let missing = seconds(&machine, []).missing;
    let what: Vec<_> = missing.iter().map(|gap| gap.what.as_str()).collect();
    assert_eq!(what, ["the machine's CPU time", "the machine's memory"]);
    assert!(missing.iter().all(|gap| gap.remedy.contains("ProcSubset=all")), "{missing:?}");
}

#[test]
fn a_probe_of_an_empty_directory_says_why_and_what_to_do() {
    let machine = Machine::new([0; 8]);
    assert!(matches!(machine.probe(), Availability::Available));
    for name in ["stat", "meminfo"] {
        fs::remove_file(machine.proc.path().join(name)).unwrap();
    }
    let Availability::Unavailable(Missing { reason, remedy, .. }) = machine.probe() else {
        panic!("it is there")
    };
    let file = format!("cannot open {}/stat", machine.proc.path().display());
    assert!(reason.starts_with(&file) && reason.contains("No such file"), "{reason}");
    assert!(remedy.contains("--procfs"), "{remedy}");
    machine.write("stat", "not this\n");
    let Availability::Unavailable(missing) = machine.probe() else { panic!("it is no /proc/stat") };
    assert!(missing.reason.contains("stat is not in the expected form"), "{}", missing.reason);
    let Err(error) = machine.agent() else { panic!("it started") };
    assert_eq!(format!("{error:#}"), missing.reason);
}

/// The idle time of each second, and what is said to be missing.
fn idle(machine: &Machine, steps: &[[u64; 8]]) -> (Vec<f64>, Vec<Missing>) {
    let report = seconds(machine, steps.iter().copied());
    let values = machine.points("system.cpu.time", "idle").into_iter().map(|(_, value)| value);
    (values.take(steps.len()).collect(), report.missing)
}

#[test]
fn a_cpu_that_goes_off_line_adds_no_time_that_the_cpus_did_not_have() {
    let machine = Machine::new([0, 0, 0, 5000, 0, 0, 0, 0]);
    // Each second: 0.5 s busy, 1.5 s idle. In the second one the idle time of a CPU comes from another place.
    let (idle, missing) = idle(
        &machine,
        &[
            [50, 0, 0, 5150, 0, 0, 0, 0],
            [100, 0, 0, 5150 + 720, 0, 0, 0, 0],
            [150, 0, 0, 5150 + 720 + 150, 0, 0, 0, 0],
        ],
    );
    assert_eq!(idle, [1.5, 1.5, 1.5]);
    assert_eq!(machine.points("system.cpu.time", "user")[..3], [(1, 0.5), (2, 0.5), (3, 0.5)]);
    let [gap] = &missing[..] else { panic!("{missing:?}") };
    assert!(gap.what.contains("idle") && gap.reason.contains("jumped once"), "{gap:?}");
}

#[test]
fn an_idle_time_that_steps_back_goes_on_from_there_and_is_not_taken_for_full_load() {
    let machine = Machine::new([0, 0, 0, 5000, 0, 0, 0, 0]);
    let (idle, missing) = idle(
        &machine,
        &[[20, 0, 0, 4000, 0, 0, 0, 0], [40, 0, 0, 4180, 0, 0, 0, 0], [60, 0, 0, 4360, 0, 0, 0, 0]],
    );
    assert_eq!(idle, [1.8, 1.8, 1.8]);
    assert_eq!(missing.len(), 1, "{missing:?}");
}

#[test]
fn when_a_cpu_comes_on_line_its_time_is_counted() {
    let machine = Machine::new([0; 8]);
    machine.stat_of(1, [0; 8]);
    run(async {
        let running = machine.agent().unwrap().start().await.unwrap();
        for (cpus, user) in [(1, 100), (2, 300), (2, 500), (1, 700), (1, 800)] {
            machine.stat_of(cpus, [user, 0, 0, 0, 0, 0, 0, 0]);
            machine.clock.advance(SECOND);
        }
        running.finish().await
    });
    let user: Vec<_> =
        machine.points("system.cpu.time", "user").into_iter().map(|(_, value)| value).collect();
    assert_eq!(user, [1.0, 2.0, 2.0, 2.0, 1.0, 0.0]);
}

#[test]
fn a_machine_of_many_cpus_has_the_time_of_all_of_them() {
    let machine = Machine::new([0; 8]);
    // Their lines are longer than what is read at first.
    machine.stat_of(500, [0; 8]);
    run(async {
        let running = machine.agent().unwrap().start().await.unwrap();
        machine.stat_of(500, [50_000, 0, 0, 0, 0, 0, 0, 0]);
        machine.clock.advance(SECOND);
        running.finish().await
    });
    assert_eq!(machine.points("system.cpu.time", "user")[0], (1, 500.0));
}

#[test]
fn stolen_time_that_no_cpu_can_have_lost_is_not_counted() {
    let machine = Machine::new([0, 0, 0, 0, 0, 0, 0, 700]);
    let huge = u64::MAX / 1000;
    let steal =
        [[50, 0, 0, 150, 0, 0, 0, huge], [100, 0, 0, 300, 0, 0, 0, 710], [150, 0, 0, 440, 0, 0, 0, 720]];
    let report = seconds(&machine, steal);
    let of = |mode| {
        let points = machine.points("system.cpu.time", mode);
        points.into_iter().map(|(_, value)| value).take(3).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("steal"), of("idle"), of("user")),
        (vec![0.0, 0.0, 0.1], vec![1.5, 1.5, 1.4], vec![0.5; 3])
    );
    assert!(report.missing[0].reason.contains("jumped 2 times"), "{:?}", report.missing);
}
