//! A plugin of one's own: pressure stall information, the time in which tasks waited for the CPU
//! (Documentation/accounting/psi.rst). The plugin guide in `docs/` builds it step by step.
//!
//! `cargo run --example custom_plugin -- COMMAND [ARGUMENT]...`

use std::fs::File;
use std::os::unix::fs::FileExt;

use alumet::{
    Agent, Availability, Batch, Command, Host, Increase, Interval, Metric, Plugin, Series, SeriesId, Setup,
    Source, Totals,
};
use anyhow::Context;
use serde::{Deserialize, Serialize};

const WAITING: Metric =
    Metric::counter("system.linux.psi.cpu.some", "s", "time in which some task waited for a CPU");

struct Psi;

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    interval: Interval,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: Interval::from_millis(100) }
    }
}

impl Plugin for Psi {
    const NAME: &'static str = "psi";
    const ABOUT: &'static str = "pressure stall information";
    type Config = Config;

    fn probe(_: &Config, host: &Host) -> Availability {
        match File::open(host.procfs("pressure/cpu")) {
            Ok(_) => Availability::Available,
            Err(_) => Availability::unavailable("this kernel has no /proc/pressure", "boot it with psi=1"),
        }
    }

    fn start(config: Config, setup: &mut Setup<'_>) -> anyhow::Result<()> {
        let file = File::open(setup.host().procfs("pressure/cpu"))?;
        let series = setup.series(Series::new(WAITING).method("/proc/pressure/cpu"))?;
        setup.source("cpu", config.interval, Pressure { file, series, waited: Increase::default() });
        Ok(())
    }
}

struct Pressure {
    file: File,
    series: SeriesId,
    waited: Increase,
}

impl Source for Pressure {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let mut text = [0; 256];
        let n = self.file.read_at(&mut text, 0)?;
        let micros = total(std::str::from_utf8(&text[..n])?).context("not in the expected form")?;
        out.push(self.series, self.waited.to(micros) as f64 / 1e6);
        Ok(())
    }
}

/// The microseconds in `some avg10=0.00 avg60=0.00 avg300=0.00 total=123`.
fn total(text: &str) -> Option<u64> {
    text.lines().find(|line| line.starts_with("some"))?.split("total=").nth(1)?.trim().parse().ok()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let command: Vec<_> = std::env::args_os().skip(1).collect();
    anyhow::ensure!(!command.is_empty(), "which command?");
    let mut agent = Agent::new();
    agent.launch(&Command::new(command))?;
    if let Availability::Unavailable(missing) = Psi::probe(&Config::default(), &Host::default()) {
        anyhow::bail!("{}; {}", missing.reason, missing.remedy);
    }
    agent.plugin::<Psi>(Config::default())?;
    let totals = Totals::new();
    agent.setup().output("totals", totals.clone());
    agent.start().await?.wait().await;
    for total in totals.get() {
        println!("{}: {} {}", total.series, total.value, total.series.metric.unit);
    }
    Ok(())
}
