//! What a point costs on its way to a CSV file: the rendering alone, and all the way from the source.
//!
//! The allocations are those of the benchmark's own thread; `tests/steady_state.rs` counts those of all threads.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alumet::{
    Agent, Batch, Bell, Clock, Host, Interval, Metric, Point, RealClock, Registry, Series, SeriesId, Time,
};
use alumet_plugin_csv::CsvOutput;
use alumet_plugin_csv::row::Rows;
use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const POINTS_A_POLL: u64 = 16;

/// The series of the points of one poll.
fn series(registry: &Registry) -> Vec<SeriesId> {
    let metric = Metric::counter("system.cpu.time", "s", "");
    let of_cpu = |cpu: u64| {
        Series::new(metric.clone()).resource("cpu_core", cpu.to_string()).label("cpu.mode", "user")
    };
    (0..POINTS_A_POLL).map(|cpu| registry.series(of_cpu(cpu)).expect("one metric")).collect()
}

/// Increases of CPU time, as numbers of clock ticks give them.
fn value(poll: u64, i: usize) -> f64 {
    (poll + i as u64) as f64 % 11.0 / 100.0
}

#[divan::bench]
fn row(bencher: Bencher) {
    const POLLS: u64 = 128;
    let registry = Registry::new();
    let series = series(&registry);
    let mut batch = Batch::new(registry);
    for poll in 0..POLLS {
        let time = Time::from_nanos(1_000_000_007 * poll);
        for (i, series) in series.iter().enumerate() {
            batch.push_point(Point { time, value: value(poll, i), series: *series, half_width_ns: 500 });
        }
    }
    let (mut rows, mut out) = (Rows::default(), Vec::with_capacity(512 * 1024));
    let mut render = || {
        out.clear();
        batch.points().iter().for_each(|point| rows.push(&batch, point, &mut out));
        black_box(out.len())
    };
    // From here on every series is known.
    render();
    bencher.counter(ItemsCount::new(POLLS * POINTS_A_POLL)).bench_local(render);
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn source_to_null(bencher: Bencher) {
    whole_path(bencher, || PathBuf::from("/dev/null"));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn source_to_file(bencher: Bencher) {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    whole_path(bencher, || directory.path().join("series.csv"));
}

fn whole_path(bencher: Bencher, path: impl Fn() -> PathBuf) {
    const POLLS: u64 = 50_000;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    bencher
        .counter(ItemsCount::new(POLLS * POINTS_A_POLL))
        .bench_local(|| runtime.block_on(run(POLLS, path())));
}

/// Runs an agent until its source was polled so many times, as fast as the output lets it.
async fn run(polls: u64, path: PathBuf) {
    let mut agent = Agent::on(Host::default(), Arc::new(Hurry::default()));
    let mut setup = agent.setup();
    let series = series(setup.registry());
    let (done, ended) = mpsc::channel();
    let mut poll = 0;
    setup.source("cpu", Interval::from_millis(1), move |out: &mut Batch| {
        if poll <= polls {
            series.iter().enumerate().for_each(|(i, series)| out.push(*series, value(poll, i)));
        }
        if poll == polls {
            done.send(())?;
        }
        poll += 1;
        Ok(())
    });
    setup.output("csv", CsvOutput::create(path).expect("it can be written"));
    let running = agent.start().await.expect("threads can be had");
    tokio::task::spawn_blocking(move || ended.recv()).await.expect("no panic").expect("the source is polled");
    let report = running.finish().await;
    assert_eq!(report.elements[1].points, polls * POINTS_A_POLL);
}

/// A clock on which every deadline has come as soon as somebody waits for it.
#[derive(Debug, Default)]
struct Hurry(AtomicU64);

impl Clock for Hurry {
    fn now(&self) -> Time {
        Time::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn wall(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn sleep(&self, bell: &Arc<Bell>, deadline: Option<Time>) {
        match deadline {
            Some(deadline) => {
                self.0.fetch_max(deadline.as_nanos(), Ordering::Relaxed);
                std::thread::yield_now();
            }
            None => RealClock.sleep(bell, None),
        }
    }
}
