//! When there is an estimate, and how much it is.

use std::sync::Arc;
use std::time::Duration;

use alumet::testing::{Collect, ManualClock, Script};
use alumet::{Agent, Consumer, Host, Interval, Metric, Provenance, Report, Series};
use alumet_plugin_estimate::{Band, Config, Estimation, Tdp};

/// What measures beside it.
#[derive(Clone, Copy, PartialEq)]
enum Meter {
    None,
    /// 1 J every 100 ms.
    Working,
    /// There, and never says anything.
    Mute,
    /// A sensor of the whole machine that shows so many watts.
    Sensor(f64),
}

/// Two CPUs of 100 W TDP for 2 s, of which so much time is busy every 200 ms, and the rest idle.
fn run(busy: &[f64], meter: Meter, always: bool) -> (Collect, Report) {
    run_of(at_load(busy), meter, always)
}

/// The machine's time of which so much is busy, by mode.
fn at_load(busy: &[f64]) -> Vec<(&'static str, Vec<f64>)> {
    let idle = busy.iter().map(|busy| 0.4 - busy).collect();
    [("user", busy.to_vec()), ("idle", idle)].into()
}

/// The same with these times of the machine.
fn run_of(times: Vec<(&'static str, Vec<f64>)>, meter: Meter, always: bool) -> (Collect, Report) {
    run_with(Some(Tdp(100.0)), times, meter, always)
}

fn run_with(
    tdp: Option<Tdp>,
    times: Vec<(&'static str, Vec<f64>)>,
    meter: Meter,
    always: bool,
) -> (Collect, Report) {
    let proc = tempfile::tempdir().unwrap();
    std::fs::write(proc.path().join("cpuinfo"), "processor : 0\nprocessor : 1\nmodel name : Some CPU\n")
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = ManualClock::new();
        let mut agent = Agent::on(Host::new("/nowhere", proc.path()), Arc::clone(&clock) as _);
        agent.launch(&alumet::Command::new(["true"])).unwrap();
        let collected = Collect::new();
        let mut setup = agent.setup();
        for (mode, values) in times {
            let series = Series::new(Metric::counter("system.cpu.time", "s", "")).label("cpu.mode", mode);
            let series = setup.series(series).unwrap();
            let script = Script::new(series, [0.0].into_iter().chain(values));
            setup.source(mode, Interval::from_millis(200), script);
        }
        if let Meter::Sensor(watts) = meter {
            let series = setup.series(Series::new(Metric::gauge("hw.power", "W", ""))).unwrap();
            setup.source("meter", Interval::from_millis(100), Script::new(series, vec![watts; 21]));
        } else if meter != Meter::None {
            let energy = Metric::counter("hw.energy", "J", "");
            let series = setup.series(Series::new(energy).label("hw.energy.domain", "package")).unwrap();
            let values = if meter == Meter::Working { vec![1.0; 21] } else { Vec::new() };
            setup.source("meter", Interval::from_millis(100), Script::new(series, values));
        }
        let config = Config { always, tdp, ..Config::default() };
        agent.plugin::<Estimation>(config).unwrap();
        agent.setup().output("collect", collected.clone());
        let running = agent.start().await.unwrap();
        clock.advance(Duration::from_secs(2));
        let report = running.finish().await;
        (collected, report)
    })
}

fn estimated(collected: &Collect) -> f64 {
    collected.sum("hw.energy", |series| {
        series.provenance == Provenance::Estimated && series.consumer == Consumer::Machine
    })
}

#[track_caller]
fn close(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-6, "{got} is not {expected}");
}

#[test]
fn the_estimate_follows_the_load_interval_by_interval() {
    close(estimated(&run(&[0.4; 10], Meter::None, false).0), 105.0 * 2.0);
    close(estimated(&run(&[0.0; 10], Meter::None, false).0), 19.0 * 2.0);
    // Half of the time at full load, half of it idle: not what half a load all the time makes.
    let steps = [[0.4; 5], [0.0; 5]].concat();
    close(estimated(&run(&steps, Meter::None, false).0), 105.0 + 19.0);
    close(estimated(&run(&[0.2; 10], Meter::None, false).0), 56.0 * 2.0);
}

#[test]
fn where_something_measures_nothing_is_estimated_unless_asked_for() {
    assert_eq!(estimated(&run(&[0.4; 10], Meter::Working, false).0), 0.0);
    close(estimated(&run(&[0.4; 10], Meter::Working, true).0), 210.0);
    assert_eq!(estimated(&run(&[0.4; 10], Meter::Sensor(300.0), false).0), 0.0);
    close(estimated(&run(&[0.4; 10], Meter::Sensor(0.0), false).0), 210.0);
}

#[test]
fn a_meter_that_never_says_anything_is_none() {
    let (collected, _) = run(&[0.4; 10], Meter::Mute, false);
    close(estimated(&collected), 210.0);
}

#[test]
fn a_run_shorter_than_a_tick_has_a_word_instead_of_a_zero() {
    let times = vec![("user", vec![0.0]), ("idle", vec![0.0])];
    let (collected, report) = run_of(times, Meter::None, false);
    assert_eq!(estimated(&collected), 0.0);
    assert_eq!(report.missing[0].what, "an estimate of the energy");
    assert!(report.missing[0].reason.contains("shorter than their tick"), "{:?}", report.missing);
    assert!(report.missing[0].remedy.contains("lengthen"), "{:?}", report.missing);
}

#[test]
fn where_the_machines_time_is_not_measured_no_longer_run_is_advised() {
    let (collected, report) = run_of(Vec::new(), Meter::Sensor(0.0), false);
    assert_eq!(estimated(&collected), 0.0);
    let [gap] = &report.missing[..] else { panic!("{:?}", report.missing) };
    assert!(gap.reason.contains("CPU time, which is not measured") && gap.remedy.is_empty(), "{gap:?}");
}

#[test]
fn of_an_unknown_cpu_there_is_an_estimate_with_a_wide_band_and_a_word_how_to_come_closer() {
    let (collected, report) = run_with(None, at_load(&[0.4; 10]), Meter::None, false);
    close(estimated(&collected), 2.0 * 3.9 * 1.05 * 2.0);
    let bands: Vec<_> = collected.points().iter().filter_map(|(series, _)| Band::of(series)).collect();
    assert!(!bands.is_empty() && bands.iter().all(|band| *band == Band::ANYTHING), "{bands:?}");
    let gap = &report.missing[0];
    assert_eq!(gap.what, "a closer estimate of the energy");
    assert_eq!(gap.reason, "nothing is published of the CPU `Some CPU`");
    // Where something measures, or the power is known, there is nothing to come closer to.
    for (tdp, meter) in [(None, Meter::Working), (Some(Tdp(100.0)), Meter::None)] {
        assert_eq!(run_with(tdp, at_load(&[0.4; 10]), meter, false).1.missing, []);
    }
}
