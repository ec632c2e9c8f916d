//! The driver's library, loaded and initialised on a thread of its own: that can take seconds, or never end.
//!
//! What was loaded stays so until the process ends, and is found again by the next run of the same process. Giving it back
//! would only be one more call that can hang.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};

use alumet::Host;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use tracing::info;

use crate::about::About;
use crate::library;
use crate::refusal::{Refusal, has_nvidia_gpu};

/// What the driver has answered.
#[derive(Debug)]
pub struct Found {
    /// The GPUs that can be used.
    pub gpus: Vec<(About, Device<'static>)>,
    /// Those that cannot, by index.
    pub refused: Vec<(u32, Refusal)>,
}

/// What the driver will answer.
pub type Answer = Receiver<Result<Found, Refusal>>;

/// Whether there is nothing to be seen of a driver or a GPU, so that the library need not be looked for: that takes some
/// forty directories, and a thread. What a user puts in the loader's way (ld.so(8)) is looked at.
pub fn is_out_of_sight(host: &Host) -> bool {
    // Of the driver, of Windows' under Linux, and of the small boards that have no PCI bus.
    const SIGNS: [&str; 4] = ["/dev/nvidiactl", "/proc/driver/nvidia", "/dev/dxg", "/dev/nvmap"];
    const LOADER: [&str; 2] = ["LD_LIBRARY_PATH", "LD_PRELOAD"];
    LOADER.iter().all(|name| std::env::var_os(name).is_none())
        && !SIGNS.iter().any(|sign| Path::new(sign).exists())
        && !has_nvidia_gpu(host)
}

/// Asks the driver for its GPUs and does not wait.
pub fn ask(asked: Option<PathBuf>, host: &Host) -> Answer {
    let (answer, receiver) = mpsc::sync_channel(1);
    let host = host.clone();
    let ask = move || {
        let found = library::to_load(asked.as_deref()).and_then(|library| {
            info!(library = %library.display(), "loads the driver's library");
            let refused = |error| Refusal::of_start(&error, asked.as_deref(), &host);
            find(load(&library).map_err(refused)?, &host)
        });
        log(&found);
        // Whoever has asked may no longer want to know.
        let _ = answer.send(found);
    };
    // Without a thread the sender is dropped, which is an answer too.
    let _ = std::thread::Builder::new().name("alumet-nvml".into()).spawn(ask);
    receiver
}

/// What the driver has answered.
fn log(answer: &Result<Found, Refusal>) {
    match answer {
        Ok(found) => {
            for (about, _) in &found.gpus {
                info!(gpu = about.index, name = about.name, is_mig = about.is_mig, "found a GPU");
            }
            for (gpu, refusal) in &found.refused {
                info!(gpu, reason = refusal.reason, "a GPU was refused");
            }
        }
        Err(refusal) => info!(reason = refusal.reason, "the driver has no GPU for this run"),
    }
}

/// The library of this name, from an earlier run of this process or loaded now.
fn load(library: &OsStr) -> Result<&'static Nvml, NvmlError> {
    static LOADED: Mutex<Vec<(OsString, &'static Nvml)>> = Mutex::new(Vec::new());
    let loaded = || LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, nvml)) = loaded().iter().find(|(name, _)| name == library) {
        return Ok(nvml);
    }
    // Not under the lock: it may hang.
    let nvml: &'static Nvml = Box::leak(Box::new(Nvml::builder().lib_path(library).init()?));
    loaded().push((library.to_owned(), nvml));
    Ok(nvml)
}

fn find(nvml: &'static Nvml, host: &Host) -> Result<Found, Refusal> {
    let refused = |error| Refusal::of_start(&error, None, host);
    let mut found = Found { gpus: Vec::new(), refused: Vec::new() };
    for index in 0..nvml.device_count().map_err(refused)? {
        match nvml.device_by_index(index) {
            Ok(device) => found.gpus.push((About::of(&device, index), device)),
            Err(error) => found.refused.push((index, refused(error))),
        }
    }
    match found.refused.first() {
        Some((_, refusal)) if found.gpus.is_empty() => Err(refusal.clone()),
        None if found.gpus.is_empty() => Err(Refusal::no_gpu()),
        _ => Ok(found),
    }
}
