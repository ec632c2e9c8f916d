//! Whatever meters say at whatever times, the parts add up to the whole.

use std::sync::Arc;
use std::time::Duration;

use alumet::testing::{Collect, ManualClock, Script};
use alumet::{Agent, Batch, Consumer, Host, Interval, Metric, Series, SeriesId, Source, Watts};
use alumet_plugin_attribution::meter::Idle;
use alumet_plugin_attribution::transform::Attribution;
use alumet_plugin_attribution::{Attribute, Config};
use proptest::prelude::*;

const ENERGY: Metric = Metric::counter("hw.energy", "J", "");
const CPU: Metric = Metric::counter("process.cpu.time", "s", "");
const SYSTEM: Metric = Metric::counter("system.cpu.time", "s", "");

/// A run of 2 s in which four meters are read every so many milliseconds.
struct Run {
    energy: Vec<f64>,
    target: Vec<f64>,
    busy: Vec<f64>,
    processes: Vec<Vec<f64>>,
    intervals: [u32; 3],
    idle_power: Option<f64>,
}

fn run(run: Run) -> Collect {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let clock = ManualClock::new();
        let mut agent = Agent::on(Host::default(), Arc::clone(&clock) as _);
        let collected = Collect::new();
        let mut setup = agent.setup();
        let energy = setup.series(Series::new(ENERGY).label("hw.energy.domain", "package")).unwrap();
        let target = setup.series(Series::new(CPU).consumer(Consumer::Target)).unwrap();
        let busy = setup.series(Series::new(SYSTEM).label("cpu.mode", "user")).unwrap();
        let mut source = |name: &str, interval, series: SeriesId, values: Vec<f64>| {
            // The first value is the baseline's and dropped.
            let values = [0.0].into_iter().chain(values);
            setup.source(name, Interval::from_millis(interval), Script::new(series, values));
        };
        source("energy", run.intervals[0], energy, run.energy);
        source("target", run.intervals[1], target, run.target);
        source("busy", run.intervals[2], busy, run.busy);
        for (i, values) in run.processes.into_iter().enumerate() {
            let series = Series::new(CPU).consumer(Consumer::Process(i as i32 + 1));
            let series = setup.series(series.label("process.executable.name", "p")).unwrap();
            let name = format!("p{i}");
            let values = [0.0].into_iter().chain(values);
            setup.source(&name, Interval::from_millis(run.intervals[1]), Script::new(series, values));
        }
        setup.transform("split", Attribution::new(run.idle_power.map(|power| Idle { power, spread: 0.1 })));
        setup.output("collect", collected.clone());
        let running = agent.start().await.unwrap();
        clock.advance(Duration::from_secs(2));
        running.finish().await;
        collected
    })
}

fn part(collected: &Collect, part: &str) -> f64 {
    collected.sum("hw.energy", |series| series.label_value("hw.energy.part") == Some(part))
}

fn measured(collected: &Collect) -> f64 {
    collected.sum("hw.energy", |series| series.label_value("hw.energy.domain").is_some())
}

#[test]
fn a_busy_thread_among_others_gets_its_share_above_idle() {
    // 10 W for 2 s, of which 4 W are idle; the application has a quarter of the busy time.
    let collected = run(Run {
        energy: vec![1.0; 20],
        target: vec![0.05; 10],
        busy: vec![0.2; 10],
        processes: vec![vec![0.03; 10], vec![0.02; 10]],
        intervals: [100, 200, 200],
        idle_power: Some(4.0),
    });
    let close = |got: f64, expected: f64| assert!((got - expected).abs() < 1e-9, "{got} {expected}");
    close(measured(&collected), 20.0);
    close(part(&collected, "idle"), 8.0);
    close(part(&collected, "target"), 3.0);
    close(part(&collected, "other"), 9.0);
    let of = |pid| collected.sum("hw.energy", |series| series.consumer == Consumer::Process(pid));
    close(of(1), 1.8);
    close(of(2), 1.2);
    let target = collected.points().into_iter().find(|(series, _)| series.consumer == Consumer::Target);
    assert_eq!(target.unwrap().0.metric.name, "process.cpu.time");
}

#[test]
fn without_knowing_the_applications_time_nobody_gets_it() {
    let collected = run(Run {
        energy: vec![1.0; 20],
        target: Vec::new(),
        busy: vec![0.2; 10],
        processes: Vec::new(),
        intervals: [100, 200, 200],
        idle_power: Some(4.0),
    });
    assert_eq!(measured(&collected), 20.0);
    assert!(collected.points().iter().all(|(series, _)| series.label_value("hw.energy.part").is_none()));
}

#[test]
fn without_energy_nothing_is_split() {
    let collected = run(Run {
        energy: Vec::new(),
        target: vec![0.05; 10],
        busy: vec![0.2; 10],
        processes: Vec::new(),
        intervals: [100, 200, 200],
        idle_power: None,
    });
    assert!(collected.points().iter().all(|(series, _)| series.metric.name != "hw.energy"));
}

#[test]
fn the_plugin_splits_what_concerns_an_application_above_the_power_that_was_set() {
    let idle = |config: Config, has_target: bool| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = ManualClock::new();
            let mut agent = Agent::on(Host::default(), Arc::clone(&clock) as _);
            if has_target {
                agent.launch(&alumet::Command::new(["true"])).unwrap();
            }
            let collected = Collect::new();
            let mut setup = agent.setup();
            for (name, series) in [
                ("energy", Series::new(ENERGY).label("hw.energy.domain", "package")),
                ("target", Series::new(CPU).consumer(Consumer::Target)),
                ("busy", Series::new(SYSTEM).label("cpu.mode", "user")),
            ] {
                let series = setup.series(series).unwrap();
                setup.source(name, Interval::from_millis(100), Script::new(series, vec![1.0; 21]));
            }
            agent.plugin::<Attribute>(config)?;
            agent.setup().output("collect", collected.clone());
            let running = agent.start().await.unwrap();
            clock.advance(Duration::from_secs(2));
            running.finish().await;
            Ok::<_, anyhow::Error>(part(&collected, "idle"))
        })
    };
    let config = |power, spread| Config { idle_power: power, idle_spread: spread };
    let watts = |watts| Some(Watts(watts));
    assert!((idle(config(watts(4.0), watts(1.0)), true).unwrap() - 8.0).abs() < 1e-9);
    assert_eq!(idle(Config::default(), true).unwrap(), 0.0);
    assert_eq!(idle(config(watts(4.0), None), false).unwrap(), 0.0);
    let refused = idle(config(None, watts(1.0)), true).unwrap_err();
    assert!(refused.to_string().contains("idle_spread is that of idle_power"), "{refused}");
}

fn amounts(most: f64) -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(0.0..most, 0..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_parts_add_up_to_the_machine(
        energy in amounts(50.0),
        target in amounts(0.5),
        busy in amounts(0.5),
        processes in proptest::collection::vec(amounts(0.3), 0..4),
        intervals in [40u32..400, 40u32..400, 40u32..400],
        // Also more than the machine uses.
        idle_power in proptest::option::of(0.0..1000.0f64),
    ) {
        let (no_idle, no_time) = (idle_power.is_none(), target.is_empty());
        let collected = run(Run { energy, target, busy, processes, intervals, idle_power });
        // Of whom no time is known, nothing can be said.
        let whole = if no_time { 0.0 } else { measured(&collected) };
        let parts = ["target", "idle", "other"].map(|name| part(&collected, name));
        let sum: f64 = parts.iter().sum();
        prop_assert!((sum - whole).abs() <= 1e-9 * whole, "{:?} of {}", parts, whole);
        prop_assert!(parts.iter().all(|part| *part >= -1e-9 * whole), "{:?}", parts);
        prop_assert!(!no_idle || parts[1] == 0.0);
        let of_processes = collected.sum("hw.energy", |series| matches!(series.consumer, Consumer::Process(_)));
        prop_assert!(of_processes <= parts[0] * (1.0 + 1e-9), "{} of {}", of_processes, parts[0]);
    }
}

/// CPU time that is known only at the end, as that of children that nobody has seen.
struct Late(SeriesId, f64);

impl Source for Late {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.push(self.0, 0.0);
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        out.push(self.0, self.1);
        Ok(())
    }
}

#[test]
fn cpu_time_that_is_known_only_at_the_end_has_its_energy_too() {
    // 20 J in 2 s; what shows at the end has its share of the last intervals, of which nothing was split yet.
    for (busy, late, expected) in [(0.4, 0.2, 0.4..=2.0), (0.0, 0.001, 1.9..=20.0)] {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let collected = Collect::new();
        runtime.block_on(async {
            let clock = ManualClock::new();
            let mut agent = Agent::on(Host::default(), Arc::clone(&clock) as _);
            let mut setup = agent.setup();
            let energy = setup.series(Series::new(ENERGY).label("hw.energy.domain", "package")).unwrap();
            let target = setup.series(Series::new(CPU).consumer(Consumer::Target)).unwrap();
            let system = setup.series(Series::new(SYSTEM).label("cpu.mode", "user")).unwrap();
            setup.source(
                "energy",
                Interval::from_millis(100),
                Script::new(energy, [0.0].into_iter().chain([1.0; 20])),
            );
            setup.source(
                "busy",
                Interval::from_millis(200),
                Script::new(system, [0.0].into_iter().chain([busy; 10])),
            );
            setup.source("target", Interval::from_millis(200), Late(target, late));
            setup.transform("split", Attribution::new(None));
            setup.output("collect", collected.clone());
            let running = agent.start().await.unwrap();
            clock.advance(Duration::from_secs(2));
            running.finish().await;
        });
        let target = part(&collected, "target");
        assert!(target > expected.start() - 1e-9 && target < expected.end() + 1e-9, "{target}");
        assert!((part(&collected, "target") + part(&collected, "other") - 20.0).abs() < 1e-9);
    }
}
