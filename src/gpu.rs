//! The energy of the GPUs that the application used, and the summary's row about them.
//!
//! There is one rule, GPU by GPU: the application's part where the driver tells its load, else all that the board has
//! used, of which the application has at most that where the GPU is split into instances. These add up.

use alumet::conventions::{ENERGY, PART, POWER, SENSOR_CHIP};
use alumet::{Bound, Metric};
use alumet_plugin_nvml::metrics::{MEMORY, MIG, TASK, USED, UTILISATION};

use crate::energy::{LACKING, Part, of_target};
use crate::profile::metric::{Key, MetricTotal};
use crate::units::{bytes, percent, watts};

/// Why the energy of a GPU that is split into instances is not the application's alone.
const SHARED: &str = "a GPU is split into instances (MIG), and its energy is that of all of them";

/// What the application has used of the GPUs that it was seen on.
pub struct GpuEnergy {
    /// All of it.
    pub total: Part,
    /// All that their boards have used.
    boards: Part,
    /// Of how many GPUs the application's part is told.
    split: usize,
}

impl GpuEnergy {
    /// `None` if it was seen on no GPU, or if the energy of none of them is known.
    pub fn of(metrics: &[MetricTotal]) -> Option<Self> {
        let used = used(metrics);
        let boards: Vec<_> = used.iter().map(|gpu| board(metrics, gpu)).collect();
        let has_all = boards.iter().all(Option::is_some);
        let split: Vec<_> =
            used.iter().map(|gpu| of_target(metrics, (&gpu.resource, &gpu.resource_id))).collect();
        let parts = boards.iter().zip(&split).filter_map(|(board, part)| match (board, part) {
            (_, Some(part)) => Some(part.clone()),
            (board, None) => board.as_ref().map(|(part, is_shared)| part.clone().or_less_if(*is_shared)),
        });
        // A board without energy makes the sum of the others one that lacks something.
        let sum = |parts: &mut dyn Iterator<Item = Part>| {
            parts.reduce(Part::and).map(|sum| if has_all { sum } else { sum.lacking() })
        };
        Some(Self {
            total: sum(&mut parts.into_iter())?,
            boards: sum(&mut boards.iter().flatten().map(|(part, _)| part.clone()))?,
            split: split.iter().flatten().count(),
        })
    }
}

impl Part {
    /// At most so much, where others have a part in it.
    fn or_less_if(self, is_shared: bool) -> Self {
        if !is_shared {
            return self;
        }
        let bound = self.bound.and_then(|bound| bound.and(Bound::AtMost));
        Self { bound, bound_reason: SHARED.into(), uncertainty: None, ..self }
    }

    fn lacking(self) -> Self {
        let bound = self.bound.and_then(|bound| bound.and(Bound::AtLeast));
        let bound_reason = if self.bound_reason.is_empty() { LACKING.into() } else { self.bound_reason };
        Self { bound, bound_reason, uncertainty: None, ..self }
    }
}

/// The energy of all that the board has used, and whether the GPU is split into instances.
fn board(metrics: &[MetricTotal], gpu: &Key) -> Option<(Part, bool)> {
    let is_it = |metric: &&MetricTotal| {
        metric.key.is(&ENERGY.name, "machine")
            && metric.key.label(PART).is_none()
            && is_of_driver(metric, gpu)
    };
    let is_shared = metrics.iter().any(|metric| is_of_driver(metric, gpu) && metric.key.label(MIG).is_some());
    metrics.iter().find(is_it).map(|metric| (Part::of(metric), is_shared))
}

/// Whether it is about this GPU, as its driver tells. What a sensor tells (of a Cray node's accelerators) stands for itself.
fn is_of_driver(metric: &MetricTotal, gpu: &Key) -> bool {
    let Key { resource, resource_id, .. } = &metric.key;
    (resource, resource_id) == (&gpu.resource, &gpu.resource_id) && metric.key.label(SENSOR_CHIP).is_none()
}

/// The GPUs that the application was seen on, each by a series about it.
fn used(metrics: &[MetricTotal]) -> Vec<&Key> {
    let was_used = |metric: &&MetricTotal| metric.key.metric == USED.name && metric.amount.most() > 0.0;
    metrics.iter().filter(was_used).map(|metric| &metric.key).collect()
}

/// `31 J` and `12 W mean, 45 % busy, 1.2 GB of memory (NVIDIA H100)`, of all of them together; `None` if the application
/// was seen on no GPU.
pub fn row(metrics: &[MetricTotal], wall: f64) -> Option<(String, String)> {
    let used = used(metrics);
    let first = *used.first()?;
    // The values of one metric, one for each of them.
    let values = |metric: &Metric, consumer: &str, task: &str, value: fn(&MetricTotal) -> f64| -> Vec<f64> {
        let is_it = |total: &&MetricTotal| {
            total.key.is(&metric.name, consumer)
                && total.key.label(TASK).unwrap_or_default() == task
                && used.iter().any(|gpu| is_of_driver(total, gpu))
        };
        metrics.iter().filter(is_it).map(value).collect()
    };
    let sum = |values: Vec<f64>| values.into_iter().reduce(|a, b| a + b);

    let energy = GpuEnergy::of(metrics);
    let power = match &energy {
        // Of an energy that lacks something the mean power would lack it, too.
        Some(GpuEnergy { boards, .. }) => {
            boards.uncertainty.filter(|_| wall > 0.0).map(|_| boards.joules / wall)
        }
        None => sum(values(&POWER, "machine", "", |total| total.amount.value())),
    };
    let busy = values(&UTILISATION, "machine", "general", |total| total.amount.value());
    let memory = sum(values(&MEMORY, "target", "", |total| total.amount.most()));

    let board = if used.len() > 1 { "boards" } else { "board" };
    let whose = energy.as_ref().filter(|energy| energy.split > 0).map(|energy| {
        let where_told = match energy.split {
            split if split < used.len() => format!(" on {split} of {} GPUs", used.len()),
            _ => String::new(),
        };
        format!(
            "attributed to this application{where_told}, of {} of the {board}; ",
            energy.boards.in_words()
        )
    });
    let mut parts = Vec::new();
    parts.extend(power.map(|power| format!("{} mean", watts(power))));
    if !busy.is_empty() {
        parts.push(format!("{} busy", percent(busy.iter().sum::<f64>() / busy.len() as f64)));
    }
    parts.extend(memory.map(|memory| format!("{} of memory", bytes(memory))));
    let of_first =
        || metrics.iter().map(|total| &total.key).filter(|key| key.resource_id == first.resource_id);
    let label = |name| of_first().filter(|key| key.resource == "gpu").find_map(|key| key.label(name));
    let mut name = label("hw.name").unwrap_or("of an unknown type").to_owned();
    if used.len() > 1 {
        name = format!("{} × {name}", used.len());
    }
    let why = match energy.as_ref().map(|energy| &*energy.total.bound_reason) {
        None | Some("" | LACKING) => String::new(),
        Some(why) => format!("; {why}"),
    };
    let value = energy.map_or_else(|| "used".to_owned(), |energy| energy.total.in_words());
    Some((value, format!("{}{} ({name}){why}", whose.unwrap_or_default(), parts.join(", "))))
}
