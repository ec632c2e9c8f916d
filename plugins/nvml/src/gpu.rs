//! One GPU with all that is asked of it.

use std::time::Duration;

use alumet::{Batch, Clock, Contradiction, Gaps, Registry};
use nvml_wrapper::Device;

use crate::about::About;
use crate::energy::Energy;
use crate::gauge::Gauge;
use crate::process::{Asked, Processes, Tree};
use crate::query::Refused;

/// A GPU.
pub struct Gpu {
    /// Which.
    pub about: About,
    /// The driver's handle.
    pub device: Device<'static>,
    /// What it has refused.
    pub refused: Refused,
    energy: Energy,
    gauges: Vec<Gauge>,
    /// `None` when the machine alone is measured.
    processes: Option<Processes>,
}

impl Gpu {
    /// Registers everything about a GPU.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(
        about: About,
        device: Device<'static>,
        has_target: bool,
        registry: &Registry,
    ) -> Result<Self, Contradiction> {
        Ok(Self {
            energy: Energy::new(&about, registry)?,
            gauges: Gauge::all(&about, registry)?,
            processes: has_target.then(|| Processes::new(&about, registry)).transpose()?,
            about,
            device,
            refused: Refused::default(),
        })
    }

    /// Reads the energy counter.
    pub fn poll_energy(&mut self, clock: &dyn Clock, out: &mut Batch) {
        self.energy.poll(&self.device, clock, &mut self.refused, out);
    }

    /// Reads everything else.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn poll_rest(
        &mut self,
        tree: Option<&mut Tree<'_>>,
        clock: &dyn Clock,
        registry: &Registry,
        out: &mut Batch,
    ) -> Result<(), Contradiction> {
        let refused = &mut self.refused;
        self.gauges.iter_mut().for_each(|gauge| gauge.poll(&self.device, refused, out));
        match (&mut self.processes, tree) {
            (Some(processes), Some(tree)) => {
                let asked = Asked { about: &self.about, device: &self.device, clock };
                processes.poll(&asked, tree, registry, refused, out)
            }
            _ => Ok(()),
        }
    }

    /// Pushes what is known at the end: the uncertainty of the energy, for a counter of this period, and whether the
    /// application used the GPU.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn finish(
        &mut self,
        period: Option<Duration>,
        clock: &dyn Clock,
        registry: &Registry,
        gaps: &Gaps,
        out: &mut Batch,
    ) -> Result<(), Contradiction> {
        self.gauges.iter().for_each(|gauge| gauge.query().report_failed(self.about.index, gaps));
        let concerns = match &mut self.processes {
            Some(processes) => {
                processes.finish(&self.about, clock, gaps, out);
                let used = processes.was_used();
                if self.about.is_mig && used != Some(false) {
                    let what = format!("energy of the application on GPU {}", self.about.index);
                    let reason = "it is split into instances (MIG): its energy is that of all who use them";
                    gaps.add(what, reason, "");
                }
                used.unwrap_or(false)
            }
            None => true,
        };
        self.energy.finish(&self.about, period, concerns, registry, gaps, out)
    }
}
