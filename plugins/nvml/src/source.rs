//! The source: all GPUs of the machine, from the moment on at which the driver has told of them.

use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use alumet::{Allowance, Batch, Clock, Contradiction, Gaps, Registry, Setup, Source, Target, Time};

use crate::driver::{Answer, Found};
use crate::energy::millis;
use crate::gpu::Gpu;
use crate::period::Periods;
use crate::process::Tree;
use crate::query;
use crate::refusal::{PERSISTENCE, Refusal};

/// The source. Its calls go into the driver and may take long.
pub struct Gpus {
    state: State,
    target: Option<Arc<Target>>,
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    gaps: Gaps,
    /// When the driver was asked.
    asked: Time,
    /// When the run began, by the first poll.
    begun: Option<Time>,
    allowance: Allowance,
}

enum State {
    Awaited(Answer),
    There(Vec<Gpu>, Periods),
    /// That was said.
    Missing,
}

impl Gpus {
    /// GPUs of which the driver, asked at this time, will tell.
    pub fn new(answer: Answer, asked: Time, setup: &Setup<'_>) -> Self {
        Self {
            state: State::Awaited(answer),
            asked,
            target: setup.target().cloned(),
            registry: Arc::clone(setup.registry()),
            clock: Arc::clone(setup.clock()),
            gaps: setup.gaps().clone(),
            begun: None,
            allowance: Allowance::default(),
        }
    }

    /// Takes up the GPUs that the driver has told of.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn adopt(&mut self, found: Found) -> Result<(), Contradiction> {
        for (index, Refusal { reason, remedy }) in found.refused {
            self.gaps.add(format!("GPU {index}"), reason, remedy);
        }
        let mut gpus = Vec::new();
        for (about, device) in found.gpus {
            gpus.push(Gpu::new(about, device, self.target.is_some(), &self.registry)?);
        }
        let periods = Periods::measure(gpus.iter().map(|gpu| (&gpu.about, &gpu.device)));
        self.state = State::There(gpus, periods);
        Ok(())
    }

    /// Looks whether the driver has answered by now; `late` says for how long the run has been going on.
    fn look(&mut self, late: Option<Duration>) -> Result<(), Contradiction> {
        let State::Awaited(answer) = &self.state else { return Ok(()) };
        match answer.try_recv() {
            Err(TryRecvError::Empty) => {}
            Ok(Ok(found)) => {
                if let Some(late) = late {
                    let reason = "the driver was not ready when the run began";
                    self.gaps.add(format!("GPUs in the first {:?}", millis(late)), reason, PERSISTENCE);
                }
                self.adopt(found)?;
            }
            Ok(Err(Refusal { reason, remedy })) => {
                self.gaps.add("NVIDIA GPUs", reason, remedy);
                self.state = State::Missing;
            }
            Err(TryRecvError::Disconnected) => {
                self.gaps.add("NVIDIA GPUs", "the driver's library has failed", "");
                self.state = State::Missing;
            }
        }
        Ok(())
    }
}

impl Source for Gpus {
    /// Energy first, of all GPUs: nothing else needs to be close to the marks of the run. The baseline is energy alone.
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let now = self.clock.now();
        let since_begun = self.begun.map(|begun| now.since(begun));
        self.begun.get_or_insert(now);
        self.look(since_begun)?;
        let State::There(gpus, _) = &mut self.state else { return Ok(()) };
        gpus.iter_mut().for_each(|gpu| gpu.poll_energy(&*self.clock, out));
        if let Some(allowed) = since_begun.and_then(|_| self.allowance.begin()) {
            let mut tree = self.target.as_deref().map(Tree::of);
            for gpu in &mut *gpus {
                gpu.poll_rest(tree.as_mut(), &*self.clock, &self.registry, out)?;
            }
            self.allowance.end(allowed);
        }
        let mut quantities = Vec::new();
        for gpu in gpus {
            let index = gpu.about.index;
            quantities.extend(gpu.refused.quantities.drain(..).map(|(what, why)| (index, what, why)));
            if let Some(Refusal { reason, remedy }) = gpu.refused.gpu.take() {
                let after = millis(since_begun.unwrap_or_default());
                self.gaps.add(format!("GPU {index} after {after:?}"), reason, remedy);
            }
        }
        query::report(quantities, &self.gaps);
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        match &mut self.state {
            State::There(gpus, periods) => {
                for gpu in gpus {
                    gpu.finish(periods.of(&gpu.about), &*self.clock, &self.registry, &self.gaps, out)?;
                }
            }
            State::Awaited(_) => {
                let waited = millis(self.clock.now().since(self.asked));
                let reason = format!("the driver has not answered within {waited:?}");
                self.gaps.add("NVIDIA GPUs", reason, PERSISTENCE);
            }
            State::Missing => {}
        }
        Ok(())
    }
}
