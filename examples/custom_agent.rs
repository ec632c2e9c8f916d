//! A measurement tool of one's own in twenty lines: it launches an application and prints its peak of threads.
//!
//! `cargo run --example custom_agent -- COMMAND [ARGUMENT]...`

use alumet::{Agent, Batch, Command, Interval};
use alumet_plugin_procfs::metrics::THREADS;
use alumet_plugin_procfs::{Config, Procfs};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let command: Vec<_> = std::env::args_os().skip(1).collect();
    anyhow::ensure!(!command.is_empty(), "which command?");
    let mut agent = Agent::new();
    agent.launch(&Command::new(command))?;
    agent.plugin::<Procfs>(Config { interval: Interval::from_millis(10), ..Config::default() })?;
    let (peak, mut most) = (std::sync::Arc::new(std::sync::Mutex::new(0.0)), 0.0_f64);
    let shared = std::sync::Arc::clone(&peak);
    agent.setup().output("peak", move |batch: &Batch| {
        for point in batch.points() {
            if batch.series(point.series).metric.name == THREADS.name {
                most = most.max(point.value);
            }
        }
        *shared.lock().expect("nobody panics with it") = most;
        Ok(())
    });
    let report = agent.start().await?.wait().await;
    println!("{:?}, at most {} threads", report.wall, peak.lock().expect("nobody panics with it"));
    Ok(())
}
