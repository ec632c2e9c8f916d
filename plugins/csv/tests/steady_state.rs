//! From source to CSV file nothing is allocated once the pipeline has warmed up.
//!
//! A counting allocator sees all threads of this process, so this file holds one test only.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use alumet::{Agent, Batch, ElementState, Interval, Metric, Series, SeriesId, Source};
use alumet_plugin_csv::CsvOutput;

/// Counts what the system's allocator is asked for.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the block is of the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`, and the block is of the system's allocator.
        unsafe { System.realloc(block, layout, size) }
    }
}

/// So many that a batch is full after a few polls: hundreds of batches pass in the window.
const POINTS_A_POLL: u64 = 256;
const WARM_UP_POLLS: u64 = 500;
const STEADY_POLLS: u64 = 2000;

/// Pushes the same number of points in every poll, and sends how much was allocated in the steady window.
struct Steady {
    series: Vec<SeriesId>,
    polls: u64,
    before: u64,
    /// Makes one allocation in every poll of the window, to show that it would be noticed.
    wasteful: bool,
    allocations: mpsc::Sender<u64>,
}

impl Source for Steady {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let allocations = ALLOCATIONS.load(Ordering::SeqCst);
        if self.polls == WARM_UP_POLLS {
            self.before = allocations;
        }
        if self.polls == WARM_UP_POLLS + STEADY_POLLS {
            self.allocations.send(allocations - self.before)?;
        }
        if self.wasteful {
            black_box(Box::new(self.polls));
        }
        for (i, series) in self.series.iter().enumerate() {
            out.push(*series, self.polls as f64 / (i + 1) as f64);
        }
        self.polls += 1;
        Ok(())
    }
}

/// The allocations of the whole process in the steady window of a run.
async fn allocations(wasteful: bool) -> u64 {
    let directory = tempfile::tempdir().expect("there is room for temporary files");
    let path = directory.path().join("series.csv");
    let (sender, window) = mpsc::channel();
    let mut agent = Agent::new();
    let mut setup = agent.setup();
    let metric = Metric::gauge("system.cpu.utilization", "1", "");
    let series = (0..POINTS_A_POLL)
        .map(|cpu| setup.series(Series::new(metric.clone()).resource("cpu_core", cpu.to_string())))
        .collect::<Result<Vec<_>, _>>()
        .expect("one metric");
    let interval = Interval::from_millis(1);
    setup.source("steady", interval, Steady { series, polls: 0, before: 0, wasteful, allocations: sender });
    setup.output("csv", CsvOutput::create(path.clone()).expect("the directory is there"));

    let running = agent.start().await.expect("threads can be had");
    let count = tokio::task::spawn_blocking(move || window.recv()).await.expect("no panic");
    let report = running.finish().await;
    let written = report.elements.iter().find(|element| element.name == "csv").expect("it is an element");
    assert_eq!((written.state, written.lost), (ElementState::Active, 0));
    let text = std::fs::read_to_string(path).expect("the file was written");
    assert_eq!(text.lines().count() as u64, 1 + written.points);
    assert!(written.points >= (WARM_UP_POLLS + STEADY_POLLS) * POINTS_A_POLL);
    count.expect("the window has ended")
}

#[test]
fn a_point_from_source_to_file_allocates_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Usually 0. Where the machine stalls, more batches are on their way than ever before, and these are made: at most
    // 2 allocations for each that there can be. One for every batch that passes would be 250.
    let stalls = 50;
    let count = runtime.block_on(allocations(false));
    assert!(count <= stalls, "{count} for {} points", STEADY_POLLS * POINTS_A_POLL);
    let count = runtime.block_on(allocations(true));
    assert!((STEADY_POLLS..=STEADY_POLLS + stalls).contains(&count), "the counter counts: {count}");
}
