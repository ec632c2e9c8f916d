//! What a GPU says of itself at an instant: power, load, memory, clocks, temperature, throttling.
//!
//! Sources: NVIDIA's NVML API reference for each function, and `nvml.h` for the bits of the throttle reasons.

use alumet::conventions::POWER;
use alumet::{Batch, Contradiction, Metric, Registry, SeriesId};
use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};
use nvml_wrapper::error::NvmlError;

use crate::about::{About, instant_power};
use crate::metrics::{
    CLOCK, CLOCK_DOMAIN, MEMORY, MEMORY_LIMIT, MOST_WATTS, TASK, TEMPERATURE, THROTTLE_REASON, THROTTLED,
    UTILISATION,
};
use crate::query::{Query, Refused};
use crate::refusal::Refusal;

/// So many values has the answer to one question, at most.
const MOST: usize = 5;

/// One question.
struct Question {
    what: &'static str,
    /// A series for each value of the answer, with its label if it has one.
    series: &'static [(Metric, Option<(&'static str, &'static str)>)],
    method: &'static str,
    read: fn(&Device<'_>) -> Result<[f64; MOST], NvmlError>,
}

const INSTANT_POWER: Question = Question {
    what: "power",
    series: &[(POWER, None)],
    method: "NVML, instant power",
    read: |device| Ok(one(f64::from(instant_power(device)?) / 1e3)),
};

/// On chips before GA102 and on GA100 the driver gives no average here but the power at this instant.
const AVERAGED_POWER: Question = Question {
    what: "power",
    series: &[(POWER, None)],
    method: "NVML, averaged power",
    read: |device| Ok(one(f64::from(device.power_usage()?) / 1e3)),
};

const OTHERS: [Question; 8] = [
    Question {
        what: "utilisation",
        series: &[(UTILISATION, Some((TASK, "general"))), (UTILISATION, Some((TASK, "memory")))],
        method: "NVML",
        read: |device| {
            let rates = device.utilization_rates()?;
            Ok([share(rates.gpu), share(rates.memory), 0.0, 0.0, 0.0])
        },
    },
    Question {
        what: "encoder utilisation",
        series: &[(UTILISATION, Some((TASK, "encoder")))],
        method: "NVML",
        read: |device| Ok(one(share(device.encoder_utilization()?.utilization))),
    },
    Question {
        what: "decoder utilisation",
        series: &[(UTILISATION, Some((TASK, "decoder")))],
        method: "NVML",
        read: |device| Ok(one(share(device.decoder_utilization()?.utilization))),
    },
    Question {
        what: "memory",
        series: &[(MEMORY, None), (MEMORY_LIMIT, None)],
        method: "NVML",
        read: |device| {
            let memory = device.memory_info()?;
            Ok([memory.used as f64, memory.total as f64, 0.0, 0.0, 0.0])
        },
    },
    Question {
        what: "SM clock",
        series: &[(CLOCK, Some((CLOCK_DOMAIN, "sm")))],
        method: "NVML",
        read: |device| Ok(one(f64::from(device.clock_info(Clock::SM)?) * 1e6)),
    },
    Question {
        what: "memory clock",
        series: &[(CLOCK, Some((CLOCK_DOMAIN, "memory")))],
        method: "NVML",
        read: |device| Ok(one(f64::from(device.clock_info(Clock::Memory)?) * 1e6)),
    },
    Question {
        what: "temperature",
        series: &[(TEMPERATURE, None)],
        method: "NVML",
        read: |device| Ok(one(f64::from(device.temperature(TemperatureSensor::Gpu)?))),
    },
    Question {
        what: "throttling",
        series: &[
            (THROTTLED, Some((THROTTLE_REASON, "power"))),
            (THROTTLED, Some((THROTTLE_REASON, "thermal"))),
            (THROTTLED, Some((THROTTLE_REASON, "hardware"))),
            (THROTTLED, Some((THROTTLE_REASON, "sync_boost"))),
            (THROTTLED, Some((THROTTLE_REASON, "setting"))),
        ],
        method: "NVML",
        read: |device| {
            type Reasons = ThrottleReasons;
            let reasons = device.current_throttle_reasons()?;
            // That nothing runs holds the clocks down too, but nobody back.
            let any = |of: Reasons| f64::from(u8::from(reasons.intersects(of)));
            Ok([
                any(Reasons::SW_POWER_CAP | Reasons::HW_POWER_BRAKE_SLOWDOWN),
                any(Reasons::SW_THERMAL_SLOWDOWN | Reasons::HW_THERMAL_SLOWDOWN),
                any(Reasons::HW_SLOWDOWN),
                any(Reasons::SYNC_BOOST),
                any(Reasons::APPLICATIONS_CLOCKS_SETTING | Reasons::DISPLAY_CLOCK_SETTING),
            ])
        },
    },
];

/// A question with its series.
pub struct Gauge {
    query: Query,
    series: Vec<SeriesId>,
    /// What the first value can be.
    most: f64,
    read: fn(&Device<'_>) -> Result<[f64; MOST], NvmlError>,
}

impl Gauge {
    /// All that there are of a GPU.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn all(about: &About, registry: &Registry) -> Result<Vec<Self>, Contradiction> {
        let power = if about.has_instant_power { INSTANT_POWER } else { AVERAGED_POWER };
        [power].into_iter().chain(OTHERS).map(|question| Self::new(&question, about, registry)).collect()
    }

    fn new(question: &Question, about: &About, registry: &Registry) -> Result<Self, Contradiction> {
        let series = question.series.iter().map(|(metric, label)| {
            let series = about.series(metric.clone()).method(question.method);
            registry.series(match label {
                Some((key, value)) => series.label(*key, *value),
                None => series,
            })
        });
        let series = series.collect::<Result<_, _>>()?;
        let is_power = question.series[0].0 == POWER;
        let most = if is_power { MOST_WATTS } else { f64::INFINITY };
        Ok(Self { query: Query::new(question.what), series, most, read: question.read })
    }

    /// Asks, and pushes the answer.
    pub fn poll(&mut self, device: &Device<'_>, refused: &mut Refused, out: &mut Batch) {
        if let Some(values) = self.query.ask(refused, || (self.read)(device)) {
            if values[0] > self.most {
                self.query.reject(Refusal::new("it is more than a GPU can draw", ""));
                return;
            }
            self.series.iter().zip(values).for_each(|(series, value)| out.push(*series, value));
        }
    }

    /// The question.
    pub fn query(&self) -> &Query {
        &self.query
    }
}

fn one(value: f64) -> [f64; MOST] {
    [value, 0.0, 0.0, 0.0, 0.0]
}

fn share(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}
