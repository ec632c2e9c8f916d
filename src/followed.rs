//! How the application's processes were found, and how complete that is.

use alumet::conventions::CPU_TIME;
use alumet::{Consumer, Target, Total};
use serde::Serialize;

/// What the report says of it.
#[derive(Debug, Clone, Serialize)]
pub struct Followed {
    /// `cgroup`, `adoption` (as their subreaper), `counters` (on each thread, inherited) or `procfs`.
    pub method: &'static str,
    /// Whether nothing can be missing in the totals of CPU time.
    pub complete: bool,
    /// In words.
    pub limits: String,
}

impl Followed {
    pub fn of(target: &Target, totals: &[Total]) -> Self {
        let by_clock = || {
            totals.iter().any(|total| {
                total.series.consumer == Consumer::Target
                    && total.series.metric.name == CPU_TIME.name
                    && total.series.method.starts_with("task-clock")
            })
        };
        let (method, complete, limits) = match target.cgroup() {
            Ok(_) => ("cgroup", true, "all processes counted, by a cgroup of their own".to_owned()),
            Err(_) if target.is_attached() && by_clock() => {
                ("counters", true, "all threads counted, by inherited counters on each".into())
            }
            Err(_) if target.is_attached() => {
                ("procfs", false, "processes found in /proc: what ends unseen is missing".into())
            }
            Err(why) => {
                let but = "all processes counted but those that nobody waits for, by adopting orphans";
                ("adoption", false, format!("{but} (no cgroup: {why})"))
            }
        };
        Self { method, complete, limits }
    }
}
