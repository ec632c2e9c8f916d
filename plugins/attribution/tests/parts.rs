//! Who gets which part of an energy, how sure that is, and what is said of it. Each second is one batch.

use std::sync::Arc;

use alumet::conventions::{
    BAND, CPU_MODE, CPU_TIME, DOMAIN, ENERGY, PART, SENSOR_CHIP, SYSTEM_CPU_TIME, UNCERTAINTY,
};
use alumet::process::tick;
use alumet::{
    Batch, Bound, Consumer, Metric, Output, Point, Provenance, Registry, Series, SeriesId, Time, Total,
    Totals, Transform,
};
use alumet_plugin_attribution::meter::Idle;
use alumet_plugin_attribution::transform::Attribution;

const GPU_TIME: Metric = Metric::counter("hw.gpu.time", "s", "");

/// A machine whose meters are read once a second.
struct Machine {
    registry: Arc<Registry>,
    attribution: Attribution,
    totals: Totals,
    seconds: u64,
    /// What was said to end.
    retired: Vec<SeriesId>,
}

impl Machine {
    fn new(idle: Option<(f64, f64)>) -> Self {
        let idle = idle.map(|(power, spread)| Idle { power, spread });
        let (attribution, totals) = (Attribution::new(idle), Totals::new());
        Self { registry: Registry::new(), attribution, totals, seconds: 0, retired: Vec::new() }
    }

    fn id(&self, series: Series) -> SeriesId {
        self.registry.series(series).unwrap()
    }

    fn batch(&self, points: &[(SeriesId, f64)]) -> Batch {
        let mut batch = Batch::new(Arc::clone(&self.registry));
        let time = Time::from_nanos(self.seconds * 1_000_000_000);
        for (series, value) in points {
            batch.push_point(Point { time, value: *value, series: *series, half_width_ns: 0 });
        }
        batch
    }

    fn apply(&mut self, mut batch: Batch) {
        self.attribution.apply(&mut batch).unwrap();
        self.retired.extend(batch.retired());
        self.totals.write(&batch).unwrap();
    }

    /// One more second, with this at its end.
    fn second(&mut self, points: &[(SeriesId, f64)]) {
        self.seconds += 1;
        self.apply(self.batch(points));
    }

    /// A word on the total of a series.
    fn bound(&mut self, series: SeriesId, bound: Bound) {
        let mut batch = self.batch(&[]);
        batch.bound(series, bound, "for a reason");
        self.apply(batch);
    }

    fn finish(&mut self) {
        let mut batch = self.batch(&[]);
        self.attribution.finish(&mut batch).unwrap();
        self.retired.extend(batch.retired());
        self.totals.write(&batch).unwrap();
    }

    fn total(&self, is_it: impl Fn(&Series) -> bool) -> Option<Total> {
        let mut all = self.totals.get().into_iter().filter(|total| is_it(&total.series));
        let first = all.next();
        assert!(all.next().is_none(), "one series alone");
        first
    }

    fn part(&self, metric: &Metric, part: &str) -> Option<Total> {
        self.total(|series| series.metric.name == metric.name && series.label_value(PART) == Some(part))
    }

    fn energy(&self, part: &str) -> Option<f64> {
        self.part(&ENERGY, part).map(|total| total.value)
    }

    fn uncertainty(&self, part: &str) -> Option<f64> {
        self.part(&UNCERTAINTY, part).map(|total| total.last)
    }

    fn of_process(&self, pid: i32) -> Option<f64> {
        self.total(|series| series.metric.name == ENERGY.name && series.consumer == Consumer::Process(pid))
            .map(|total| total.value)
    }
}

fn package() -> Series {
    Series::new(ENERGY).resource("cpu_package", "0").label(DOMAIN, "package")
}

fn dram() -> Series {
    Series::new(ENERGY).resource("dram", "0").label(DOMAIN, "dram")
}

fn sure(of: Series) -> Series {
    Series { metric: UNCERTAINTY, ..of }
}

fn target_time() -> Series {
    Series::new(CPU_TIME).consumer(Consumer::Target)
}

fn busy_time() -> Series {
    Series::new(SYSTEM_CPU_TIME).label(CPU_MODE, "user")
}

fn process(pid: i32) -> Series {
    Series::new(CPU_TIME).consumer(Consumer::Process(pid)).label("process.executable.name", format!("p{pid}"))
}

#[track_caller]
fn close(got: Option<f64>, expected: f64) {
    let got = got.unwrap();
    assert!((got - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{got} is not {expected}");
}

/// Ten seconds of 7 W in the package and 3 W in the memory, of which the application has a quarter of the busy time; and how
/// sure the two totals are.
fn ten_seconds(idle: Option<(f64, f64)>, doubts: &[f64]) -> Machine {
    let mut machine = Machine::new(idle);
    let [package, dram] =
        [package(), dram()].map(|series| (machine.id(series.clone()), machine.id(sure(series))));
    let [target, busy] = [target_time(), busy_time()].map(|series| machine.id(series));
    for _ in 0..10 {
        machine.second(&[(package.0, 7.0), (dram.0, 3.0), (target, 0.1), (busy, 0.4)]);
    }
    let doubts = [package.1, dram.1].into_iter().zip(doubts.iter().copied()).collect::<Vec<_>>();
    machine.apply(machine.batch(&doubts));
    machine.finish();
    machine
}

/// How sure the share is, as a share of itself: the busy time is known to one tick at both edges on each CPU.
fn of_share(busy: f64) -> f64 {
    let cpus = std::thread::available_parallelism().unwrap().get() as f64;
    tick().as_secs_f64() * (cpus / 6.0).sqrt() / busy
}

#[test]
fn the_parts_are_as_sure_as_the_meters_the_idle_power_and_the_ticks_together() {
    let machine = ten_seconds(Some((4.0, 0.5)), &[0.3, 0.4]);
    close(machine.energy("target"), 15.0);
    close(machine.energy("idle"), 40.0);
    close(machine.energy("other"), 45.0);
    // Both counters may err to the same side, and the idle power may be off by its spread all the time.
    let (meters, idle, moved) = (0.7, 5.0, 0.25 * 60.0 * of_share(4.0));
    let part = |share: f64| ((share * meters).powi(2) + (share * idle).powi(2) + moved.powi(2)).sqrt();
    close(machine.uncertainty("target"), part(0.25));
    close(machine.uncertainty("idle"), idle);
    close(machine.uncertainty("other"), part(0.75));
}

#[test]
fn where_less_was_used_than_idle_all_that_was_measured_is_idle_and_as_sure_as_that() {
    let machine = ten_seconds(Some((20.0, 0.5)), &[0.3, 0.4]);
    assert_eq!(machine.energy("target").unwrap(), 0.0);
    close(machine.energy("idle"), 100.0);
    close(machine.uncertainty("idle"), 5.0f64.hypot(0.7));
    close(machine.uncertainty("target"), 0.25 * 5.0f64.hypot(0.7));
}

#[test]
fn no_part_is_further_from_the_truth_than_the_whole_is_large() {
    let machine = ten_seconds(Some((4.0, 50.0)), &[0.3, 0.4]);
    close(machine.uncertainty("idle"), 100.0);
    close(machine.uncertainty("other"), 100.0);
}

#[test]
fn without_an_idle_power_there_is_no_idle_part() {
    let machine = ten_seconds(None, &[0.3, 0.4]);
    close(machine.energy("target"), 25.0);
    close(machine.energy("other"), 75.0);
    assert_eq!((machine.energy("idle"), machine.uncertainty("idle")), (None, None));
    let moved = 0.25 * 100.0 * of_share(4.0);
    close(machine.uncertainty("target"), (0.25f64 * 0.7).hypot(moved));
}

#[test]
fn if_one_counter_does_not_say_how_sure_it_is_nobody_does() {
    for doubts in [&[0.3][..], &[]] {
        let machine = ten_seconds(Some((4.0, 0.5)), doubts);
        close(machine.energy("target"), 15.0);
        assert!(["target", "idle", "other"].iter().all(|part| machine.uncertainty(part).is_none()));
    }
}

#[test]
fn the_rule_is_told_with_the_part() {
    let method =
        |idle| ten_seconds(idle, &[0.3, 0.4]).part(&ENERGY, "target").unwrap().series.method.to_string();
    assert_eq!(method(None), "share of the busy CPU time, idle power included");
    assert_eq!(method(Some((4.0, 0.0))), "share of the busy CPU time, above 4 W of idle power");
    let spread = method(Some((4.0, 0.5)));
    assert_eq!(spread, "share of the busy CPU time, above 4.00 W ± 0.50 W of idle power");
    let machine = ten_seconds(None, &[0.3, 0.4]);
    let target = machine.part(&ENERGY, "target").unwrap().series;
    assert_eq!((target.provenance, target.consumer), (Provenance::Attributed, Consumer::Target));
    let sure = machine.part(&UNCERTAINTY, "target").unwrap().series;
    assert!(sure.method.contains("the ticks of the busy time"), "{}", sure.method);
}

#[test]
fn memory_alone_is_no_machine() {
    let mut machine = Machine::new(None);
    let [dram, target, busy] = [dram(), target_time(), busy_time()].map(|series| machine.id(series));
    for _ in 0..5 {
        machine.second(&[(dram, 3.0), (target, 0.1), (busy, 0.4)]);
    }
    machine.finish();
    assert_eq!(machine.energy("target"), None);
}

#[test]
fn a_part_of_an_estimate_is_an_estimate_with_the_same_band_and_knows_no_idle_power() {
    let mut machine = Machine::new(Some((4.0, 0.5)));
    let estimate = package().provenance(Provenance::Estimated).label(BAND, "0.2..5").method("a model");
    let [energy, target, busy] = [estimate, target_time(), busy_time()].map(|series| machine.id(series));
    for _ in 0..4 {
        machine.second(&[(energy, 10.0), (target, 0.1), (busy, 0.4)]);
    }
    machine.finish();
    close(machine.energy("target"), 10.0);
    assert_eq!(machine.energy("idle"), None);
    let series = machine.part(&ENERGY, "target").unwrap().series;
    assert_eq!((series.provenance, series.label_value(BAND)), (Provenance::Estimated, Some("0.2..5")));
    assert_eq!(series.method, "share of the busy CPU time, idle power included; a model");
}

#[test]
fn of_what_lacks_something_all_parts_lack_something_and_none_says_how_sure_it_is() {
    let bounds = |of: Series, bound| {
        let mut machine = Machine::new(Some((4.0, 0.5)));
        let package = (machine.id(package()), machine.id(sure(package())));
        let [target, busy, process, of] =
            [target_time(), busy_time(), process(7), of].map(|series| machine.id(series));
        for _ in 0..4 {
            machine.second(&[(package.0, 10.0), (target, 0.1), (process, 0.1), (busy, 0.4)]);
        }
        machine.apply(machine.batch(&[(package.1, 0.3)]));
        machine.bound(of, bound);
        machine.finish();
        let parts = ["target", "idle", "other"].map(|part| machine.part(&ENERGY, part).unwrap().bound);
        (parts, machine.uncertainty("target").is_some())
    };
    let [exact, least, most] = [Bound::Exact, Bound::AtLeast, Bound::AtMost];
    assert_eq!(bounds(package(), least), ([least; 3], false));
    assert_eq!(bounds(package(), exact), ([exact; 3], true));
    // Of whose time not all was seen.
    assert_eq!(bounds(target_time(), least), ([least, exact, most], false));
    assert_eq!(bounds(busy_time(), least), ([exact; 3], true));
}

#[test]
fn a_process_gets_its_part_of_the_target_and_its_series_ends_when_all_of_it_is_told() {
    let mut machine = Machine::new(None);
    let [package, target, busy] = [package(), target_time(), busy_time()].map(|series| machine.id(series));
    let [short, long, idle] = [1, 2, 3].map(|pid| machine.id(process(pid)));
    let rest = [(package, 10.0), (target, 0.4), (busy, 0.4)];
    let with = |more: &[(SeriesId, f64)]| [&rest[..], more].concat();
    machine.second(&with(&[(short, 0.3), (long, 0.1), (idle, 0.0)]));
    machine.second(&with(&[(short, 0.1), (long, 0.3), (idle, 0.0)]));
    let mut end = machine.batch(&[]);
    end.retire(short);
    machine.apply(end);
    let own = |retired: &[SeriesId]| retired.iter().filter(|series| **series != short).count();
    for _ in 0..3 {
        assert_eq!(own(&machine.retired), 0, "its last energy is not told yet");
        machine.second(&with(&[(long, 0.4)]));
        if own(&machine.retired) > 0 {
            break;
        }
    }
    assert_eq!((own(&machine.retired), machine.seconds), (1, 4));
    machine.finish();
    close(machine.of_process(1), 7.5 + 2.5);
    close(machine.of_process(2), 2.5 + 7.5 + 20.0);
    assert_eq!(machine.of_process(3), None, "who used no time");
    close(machine.energy("target"), 40.0);
}

#[test]
fn processes_that_were_seen_to_use_more_than_the_whole_share_what_there_is() {
    let mut machine = Machine::new(None);
    let [package, target, busy] = [package(), target_time(), busy_time()].map(|series| machine.id(series));
    let [a, b] = [1, 2].map(|pid| machine.id(process(pid)));
    for _ in 0..3 {
        machine.second(&[(package, 10.0), (target, 0.2), (busy, 0.2), (a, 0.3), (b, 0.1)]);
    }
    machine.finish();
    close(machine.of_process(1), 22.5);
    close(machine.of_process(2), 7.5);
}

#[test]
fn two_intervals_are_held_back_and_nothing_is_told_where_there_is_nothing_new() {
    let mut machine = Machine::new(None);
    let [package, target, busy] = [package(), target_time(), busy_time()].map(|series| machine.id(series));
    let points = |machine: &Machine| machine.part(&ENERGY, "target").map_or(0, |total| total.points);
    for expected in [0, 0, 1, 2] {
        machine.second(&[(package, 10.0), (target, 0.1), (busy, 0.1)]);
        machine.apply(machine.batch(&[]));
        machine.apply(machine.batch(&[]));
        assert_eq!(points(&machine), expected);
    }
    machine.finish();
    assert_eq!((points(&machine), machine.energy("target")), (3, Some(40.0)));
}

#[test]
fn the_energy_of_each_gpu_is_split_by_its_own_time_and_stays_its_own() {
    let mut machine = Machine::new(Some((4.0, 0.5)));
    let gpu = |metric: Metric, id: &str| Series::new(metric).resource("gpu", id);
    let of = |id: &'static str| {
        let time = || gpu(GPU_TIME, id);
        [gpu(ENERGY, id), sure(gpu(ENERGY, id)), time().consumer(Consumer::Target), time()]
    };
    let first = of("0").map(|series| machine.id(series));
    let second = of("1").map(|series| machine.id(series));
    // The same energy once more, from a sensor.
    let sensor = machine.id(gpu(ENERGY, "2").label(SENSOR_CHIP, "amdgpu"));
    for _ in 0..4 {
        machine.second(&[(first[0], 100.0), (first[2], 0.2), (first[3], 0.8)]);
        machine.apply(machine.batch(&[(second[0], 50.0), (second[2], 0.5), (second[3], 0.5), (sensor, 9.0)]));
    }
    machine.apply(machine.batch(&[(first[1], 8.0), (second[1], 2.0)]));
    machine.finish();
    let part = |metric: &Metric, id: &str, part: &str| {
        machine.total(|series| {
            series.metric.name == metric.name
                && series.resource.id == id
                && series.label_value(PART) == Some(part)
        })
    };
    let energy = |id, name| part(&ENERGY, id, name).map(|total| total.value);
    close(energy("0", "target"), 100.0);
    close(energy("0", "other"), 300.0);
    close(energy("1", "target"), 200.0);
    assert_eq!((energy("1", "other"), energy("0", "idle"), energy("2", "target")), (Some(0.0), None, None));
    // What the driver does not say is not made up.
    close(part(&UNCERTAINTY, "0", "target").map(|total| total.last), 2.0);
    close(part(&UNCERTAINTY, "0", "other").map(|total| total.last), 6.0);
    let series = part(&ENERGY, "0", "target").unwrap().series;
    assert_eq!((series.provenance, &*series.resource.kind), (Provenance::Attributed, "gpu"));
    assert_eq!(series.method, "share of the GPU time, idle power included");
    let method = part(&UNCERTAINTY, "0", "target").unwrap().series.method.to_string();
    assert!(method.contains("how exact the share is, the driver does not say"), "{method}");
}
