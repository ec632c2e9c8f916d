//! The summary's row about the GPUs that the application used.

use alumet::conventions::{ENERGY, PART, POWER, SENSOR_CHIP};
use alumet::{Consumer, Metric, Resource, Total};
use alumet_plugin_nvml::metrics::{MEMORY, MIG, TASK, USED, UTILISATION};

use crate::energy::{Part, of_target};
use crate::units::{bytes, percent, watts};

/// The energy that the application has used of the GPUs that it was seen on: its part where that is told apart, else that
/// of the board. Of a GPU that is split into instances (MIG) it is not known.
pub fn parts(totals: &[Total]) -> Vec<Part> {
    let known = |gpu: &&Resource| !is_shared(totals, gpu);
    let part = |gpu: &Resource| of_target(totals, (&gpu.kind, &gpu.id)).or_else(|| board(totals, gpu));
    used(totals).into_iter().filter(known).filter_map(part).collect()
}

/// Whether it was seen on a GPU of which its energy is not known.
pub fn lacks_some(totals: &[Total]) -> bool {
    let used = used(totals);
    used.len() > parts(totals).len()
}

/// The energy of all that the board has used.
fn board(totals: &[Total], gpu: &Resource) -> Option<Part> {
    let is_it = |total: &&Total| {
        let series = &total.series;
        series.metric.name == ENERGY.name
            && series.consumer == Consumer::Machine
            && series.label_value(PART).is_none()
            && is_of_driver(total, gpu)
    };
    totals.iter().find(is_it).map(|total| Part::of(totals, total))
}

/// Whether it is about this GPU, as its driver tells. What a sensor tells (of a Cray node's accelerators) stands for itself.
fn is_of_driver(total: &Total, gpu: &Resource) -> bool {
    total.series.resource == *gpu && total.series.label_value(SENSOR_CHIP).is_none()
}

/// Whether a GPU is split into instances, so that its energy is that of all their users.
fn is_shared(totals: &[Total], gpu: &Resource) -> bool {
    totals.iter().any(|total| is_of_driver(total, gpu) && total.series.label_value(MIG).is_some())
}

/// The GPUs that the application was seen on.
fn used(totals: &[Total]) -> Vec<&Resource> {
    let was_used = |total: &&Total| total.series.metric.name == USED.name && total.last > 0.0;
    totals.iter().filter(was_used).map(|total| &total.series.resource).collect()
}

/// `31 J` and `12 W mean, 45 % busy, 1.2 GB of memory (NVIDIA H100)`, of all of them together; `None` if the application
/// was seen on no GPU.
pub fn row(totals: &[Total], wall: f64) -> Option<(String, String)> {
    let used = used(totals);
    let first = *used.first()?;
    // The values of one metric, one for each of them.
    let values = |metric: &Metric, consumer, task: &str, value: fn(&Total) -> f64| -> Vec<f64> {
        let is_it = |total: &&Total| {
            let series = &total.series;
            series.metric.name == metric.name
                && series.consumer == consumer
                && series.label_value(TASK).unwrap_or_default() == task
                && used.iter().any(|gpu| is_of_driver(total, gpu))
        };
        totals.iter().filter(is_it).map(value).collect()
    };
    let sum = |values: Vec<f64>| values.into_iter().reduce(|a, b| a + b);

    // A board without energy makes the sum of the others one that lacks something.
    let boards: Vec<Option<Part>> = used.iter().map(|gpu| board(totals, gpu)).collect();
    let has_all = boards.iter().all(Option::is_some);
    let energy = boards.into_iter().flatten().reduce(together);
    let energy = energy.map(|part| Part { uncertainty: part.uncertainty.filter(|_| has_all), ..part });
    let power = match &energy {
        // Of an energy that lacks something the mean power would lack it, too.
        Some(energy) => energy.uncertainty.filter(|_| wall > 0.0).map(|_| energy.joules / wall),
        None => sum(values(&POWER, Consumer::Machine, "", |total| total.value)),
    };
    let busy = values(&UTILISATION, Consumer::Machine, "general", |total| total.value);
    let memory = sum(values(&MEMORY, Consumer::Target, "", |total| total.max));

    // Where each of them is split, the application's part is the answer.
    let split: Option<Vec<Part>> = used.iter().map(|gpu| of_target(totals, (&gpu.kind, &gpu.id))).collect();
    let attributed = split.filter(|_| energy.is_some()).and_then(|parts| parts.into_iter().reduce(together));
    let board = if used.len() > 1 { "boards" } else { "board" };
    let of_board =
        |energy: &Part| format!("attributed to this application, of {} of the {board}; ", energy.in_words());
    let whose = attributed.as_ref().and(energy.as_ref()).map(of_board).unwrap_or_default();
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
    if label(MIG).is_some() {
        name.push_str("; the energy is that of all its instances");
    }
    let value = match (attributed, energy) {
        (Some(part), _) => part.in_words(),
        (None, Some(energy)) => energy.in_words(),
        (None, None) => "used".to_owned(),
    };
    Some((value, format!("{whose}{} ({name})", parts.join(", "))))
}

/// Of two GPUs, as if both erred to the same side.
fn together(a: Part, b: Part) -> Part {
    let uncertainty = a.uncertainty.zip(b.uncertainty).map(|(a, b)| a + b);
    Part { joules: a.joules + b.joules, uncertainty, ..a }
}
