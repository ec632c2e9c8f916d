//! How the application's processes were found, and how complete that is.

use alumet::conventions::CPU_TIME;
use alumet::{Bound, Consumer, Target, Total};
use alumet_plugin_perf::metrics::OBSERVED;
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
        let cpu = totals.iter().find(|total| {
            total.series.consumer == Consumer::Target && total.series.metric.name == CPU_TIME.name
        });
        let lacking = cpu.filter(|cpu| cpu.bound != Bound::Exact).map(|cpu| &*cpu.bound_reason);
        let by_clock = cpu.is_some_and(|cpu| cpu.series.method.starts_with("task-clock"));
        // It would have seen those whom nobody waits for.
        let has_counter = totals.iter().any(|total| total.series.metric.name == OBSERVED.name);
        let (method, sees_all, all) = match target.cgroup() {
            Ok(_) => (
                "cgroup",
                true,
                "all processes counted, by a cgroup of their own and by adopting orphans".to_owned(),
            ),
            Err(_) if target.is_attached() && by_clock => {
                ("counters", true, "all threads counted, by inherited counters on each".into())
            }
            Err(_) if target.is_attached() => ("procfs", false, "processes found in /proc".into()),
            Err(why) => {
                let but = if has_counter { "" } else { " but those that nobody waits for" };
                let all = format!("all processes counted{but}, by adopting orphans (no cgroup: {why})");
                ("adoption", has_counter, all)
            }
        };
        let limits = match lacking {
            Some(why) => format!("not all of the CPU time was counted: {why}"),
            None => all,
        };
        Self { method, complete: sees_all && lacking.is_none(), limits }
    }
}
