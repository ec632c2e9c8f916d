//! What NVML's errors mean for a person, how much each puts an end to, and what would change it.
//!
//! The errors are those of NVML's `nvmlReturn_t`. A function that the installed driver does not know is no error of NVML:
//! its symbol is missing from the library.

use std::path::Path;

use alumet::privilege::sudo;
use alumet::{Host, Unavailable, is_in_container, sysfs};
use nvml_wrapper::error::NvmlError;

/// Why something cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Why.
    pub reason: String,
    /// What would change that; empty if nothing would.
    pub remedy: String,
}

/// How much an error puts an end to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// This one reading; the next may be good.
    Reading,
    /// This quantity of this GPU, for good.
    Quantity,
    /// Everything about this GPU.
    Gpu,
}

/// A driver that keeps the GPU's state loaded while nobody uses it answers at once.
pub const PERSISTENCE: &str = "keep the driver awake with `sudo nvidia-smi -pm 1`";
const UPDATE: &str = "update the NVIDIA driver";
/// In a container, and nowhere else, that may be what is missing.
const CONTAINER: &str = "start the container with `--gpus all`";

impl Refusal {
    /// For this reason, and with this remedy.
    pub fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into() }
    }

    /// Why a quantity could not be read.
    pub fn of_query(error: &NvmlError) -> (Self, Extent) {
        use Extent::{Gpu, Quantity, Reading};
        let (reason, remedy, extent) = match error {
            NvmlError::NotSupported => ("this GPU or its mode does not offer it", "", Quantity),
            NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
                ("the installed driver is too old to tell", UPDATE, Quantity)
            }
            NvmlError::NoPermission => {
                let remedy = sudo("exec --user \"$USER\" ...");
                return (Self::new("not permitted: the driver keeps it from this user", remedy), Quantity);
            }
            NvmlError::InvalidArg => ("the driver does not accept the question", UPDATE, Quantity),
            NvmlError::GpuLost => {
                ("the GPU has fallen off the bus", "see `sudo dmesg`; the machine may need a restart", Gpu)
            }
            NvmlError::ResetRequired => ("the GPU needs a reset", "sudo nvidia-smi --gpu-reset", Gpu),
            NvmlError::Uninitialized | NvmlError::DriverNotLoaded => ("the driver was unloaded", "", Gpu),
            _ => return (Self::new(format!("the driver says: {error}"), ""), Reading),
        };
        (Self::new(reason, remedy), extent)
    }

    /// Why the driver, or one GPU, cannot be used at all. `library` is what the user has asked to load.
    pub fn of_start(error: &NvmlError, library: Option<&Path>, host: &Host) -> Self {
        match error {
            NvmlError::LibloadingError(error) => Self::no_library(error, library, host),
            NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => {
                Self::new("the installed NVIDIA driver is too old", UPDATE)
            }
            NvmlError::DriverNotLoaded => {
                let load =
                    if is_in_container() { "`modprobe nvidia` on the host" } else { "sudo modprobe nvidia" };
                Self::new("the NVIDIA driver is installed but not loaded", load)
            }
            NvmlError::LibRmVersionMismatch => Self::new(
                "the NVIDIA driver's library and kernel module have different versions",
                "restart the machine, or load the module anew: an update has replaced only one of them",
            ),
            NvmlError::NoPermission => Self::new(
                "not permitted: this user may not talk to the NVIDIA driver",
                "give the user access to /dev/nvidia*, for example through the group video",
            ),
            NvmlError::OperatingSystem => {
                let reason = "a cgroup or security module keeps the NVIDIA driver from this process";
                Self::new(reason, in_container(CONTAINER, ""))
            }
            NvmlError::InsufficientPower => {
                Self::new("the GPU's power cables are not attached as they should be", "")
            }
            error => Self { reason: format!("the NVIDIA driver says: {error}"), ..Self::of_query(error).0 },
        }
    }

    /// There is nothing of NVIDIA's here.
    pub fn no_driver() -> Self {
        Self::new("no NVIDIA driver, and no such GPU in sight", "")
    }

    /// The driver knows of no GPU.
    pub fn no_gpu() -> Self {
        Self::new("the NVIDIA driver finds no GPU", in_container(CONTAINER, ""))
    }

    fn no_library(error: &dyn std::fmt::Display, library: Option<&Path>, host: &Host) -> Self {
        match library {
            Some(_) => Self::new(
                format!("cannot load nvml.library: {error}"),
                "correct nvml.library, or leave it out",
            ),
            None if has_nvidia_gpu(host) => Self::new(
                "there is an NVIDIA GPU, but no NVIDIA driver (libnvidia-ml.so.1 not found)",
                in_container(CONTAINER, "install the NVIDIA driver"),
            ),
            None => Self::no_driver(),
        }
    }
}

impl From<Refusal> for Unavailable {
    fn from(Refusal { reason, remedy }: Refusal) -> Self {
        Self { reason, remedy }
    }
}

fn in_container(there: &'static str, elsewhere: &'static str) -> &'static str {
    if is_in_container() { there } else { elsewhere }
}

/// Whether a display controller of NVIDIA's is on the PCI bus (vendor and class as in `linux/pci_ids.h`).
pub(crate) fn has_nvidia_gpu(host: &Host) -> bool {
    let Ok(devices) = std::fs::read_dir(host.sysfs("bus/pci/devices")) else { return false };
    devices.flatten().any(|device| {
        let has = |file: &str, start: &str| {
            sysfs::read(&device.path().join(file)).is_ok_and(|text| text.starts_with(start))
        };
        has("vendor", "0x10de") && has("class", "0x03")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_without_a_driver_and_no_gpu_at_all_are_told_apart() {
        let sysfs = tempfile::tempdir().unwrap();
        let host = Host::new(sysfs.path(), "/proc");
        let device = sysfs.path().join("bus/pci/devices/0000:01:00.0");
        std::fs::create_dir_all(&device).unwrap();
        let refusal = || Refusal::no_library(&"no such file", None, &host);
        for (vendor, class, expected) in [
            ("0x8086\n", "0x030000\n", "no such GPU"),
            // NVIDIA also makes the bridges of some boards.
            ("0x10de\n", "0x060400\n", "no such GPU"),
            ("0x10de\n", "0x030200\n", "there is an NVIDIA GPU"),
        ] {
            std::fs::write(device.join("vendor"), vendor).unwrap();
            std::fs::write(device.join("class"), class).unwrap();
            assert!(refusal().reason.contains(expected), "{:?}", refusal());
        }
        let remedy = in_container("start the container with `--gpus all`", "install the NVIDIA driver");
        assert_eq!(refusal().remedy, remedy);
    }

    #[test]
    fn a_lost_gpu_is_lost_whole_and_an_unsupported_quantity_alone() {
        let extent = |error| Refusal::of_query(&error).1;
        assert_eq!(extent(NvmlError::GpuLost), Extent::Gpu);
        assert_eq!(extent(NvmlError::NotSupported), Extent::Quantity);
        assert_eq!(extent(NvmlError::FailedToLoadSymbol(String::new())), Extent::Quantity);
        assert_eq!(extent(NvmlError::InsufficientSize(None)), Extent::Reading);
        assert_eq!(extent(NvmlError::Unknown), Extent::Reading);
    }
}
