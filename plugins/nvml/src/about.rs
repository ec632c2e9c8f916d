//! Which GPU it is: what every series about it has in common.

use alumet::text::harmless;
use alumet::{Metric, Series};
use nvml_wrapper::Device;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_POWER_INSTANT;

use crate::metrics::MIG;

/// A GPU as it names itself. What it does not tell is left out of its labels.
#[derive(Debug, Clone)]
pub struct About {
    /// NVML's index, as `nvidia-smi` shows it: the resource's id. It can change when the machine starts anew.
    pub index: u32,
    /// The product's name.
    pub name: Option<String>,
    /// The UUID, which never changes.
    uuid: Option<String>,
    /// Whether it is split into instances (Multi-Instance GPU).
    pub is_mig: bool,
    /// Whether it tells its power at this instant, and not only an average.
    pub has_instant_power: bool,
}

impl About {
    /// Asks the GPU.
    pub fn of(device: &Device<'_>, index: u32) -> Self {
        Self {
            index,
            name: device.name().ok().map(|name| harmless(&name).into_owned()),
            uuid: device.uuid().ok(),
            is_mig: device.mig_mode().is_ok_and(|mode| mode.current != 0),
            // Where the power cannot be told just now, it may be later.
            has_instant_power: !matches!(
                instant_power(device),
                Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_) | NvmlError::InvalidArg)
            ),
        }
    }

    /// A series about this GPU.
    pub fn series(&self, metric: Metric) -> Series {
        let mut series = Series::new(metric).resource("gpu", self.index.to_string());
        for (label, value) in [("hw.id", &self.uuid), ("hw.name", &self.name)] {
            if let Some(value) = value {
                series = series.label(label, value);
            }
        }
        if self.is_mig { series.label(MIG, "enabled") } else { series }
    }
}

/// In milliwatts. `nvmlDeviceGetFieldValues` answers each field with an error of its own.
pub fn instant_power(device: &Device<'_>) -> Result<u32, NvmlError> {
    let answers = device.field_values_for(&[FieldId(NVML_FI_DEV_POWER_INSTANT)])?;
    match answers.into_iter().next().ok_or(NvmlError::NoData)??.value? {
        SampleValue::U32(milliwatts) => Ok(milliwatts),
        SampleValue::U64(milliwatts) => u32::try_from(milliwatts).map_err(|_| NvmlError::NoData),
        SampleValue::F64(_) | SampleValue::I64(_) => Err(NvmlError::NotSupported),
    }
}
