//! The summary's row about the GPUs that the application used.

use alumet::{Consumer, Total};

use crate::units::{bytes, joules, percent, watts};

/// `31 J` and `12 W mean, 45 % busy, 1.2 GB of memory (NVIDIA H100)`, of all of them together; `None` if the application
/// was seen on no GPU.
pub fn row(totals: &[Total], wall: f64) -> Option<(String, String)> {
    let was_used = |total: &&Total| total.series.metric.name == "hw.gpu.used_by_target" && total.last > 0.0;
    let used: Vec<_> = totals.iter().filter(was_used).map(|total| &total.series.resource).collect();
    let first = *used.first()?;
    // The values of one metric, one for each of them.
    let values = |metric: &str, consumer, task: &str, value: fn(&Total) -> f64| -> Vec<f64> {
        let is_it = |total: &&Total| {
            let series = &total.series;
            series.metric.name == metric
                && series.consumer == consumer
                && series.label_value("hw.gpu.task").unwrap_or_default() == task
                && used.contains(&&series.resource)
        };
        totals.iter().filter(is_it).map(value).collect()
    };
    let sum = |values: Vec<f64>| values.into_iter().reduce(|a, b| a + b);

    let energy = sum(values("hw.energy", Consumer::Machine, "", |total| total.value));
    let power = match energy {
        Some(energy) if wall > 0.0 => Some(energy / wall),
        _ => sum(values("hw.power", Consumer::Machine, "", |total| total.value)),
    };
    let busy = values("hw.gpu.utilization", Consumer::Machine, "general", |total| total.value);
    let memory = sum(values("hw.gpu.memory.usage", Consumer::Target, "", |total| total.max));

    let mut parts = Vec::new();
    parts.extend(power.map(|power| format!("{} mean", watts(power))));
    if !busy.is_empty() {
        parts.push(format!("{} busy", percent(busy.iter().sum::<f64>() / busy.len() as f64)));
    }
    parts.extend(memory.map(|memory| format!("{} of memory", bytes(memory))));
    let series = || totals.iter().map(|total| &total.series).filter(|series| &series.resource == first);
    let label = |key| series().find_map(|series| series.label_value(key));
    let mut name = label("hw.name").unwrap_or("of an unknown type").to_owned();
    if used.len() > 1 {
        name = format!("{} × {name}", used.len());
    }
    if label("hw.gpu.mig").is_some() {
        name.push_str("; the energy is that of all its instances");
    }
    let value = energy.map_or_else(|| "used".to_owned(), joules);
    Some((value, format!("{} ({name})", parts.join(", "))))
}
