//! Questions to a GPU, each on its own: one that is refused for good is told once and not asked again; the others go on.

use std::collections::BTreeMap;

use alumet::Gaps;
use nvml_wrapper::error::NvmlError;

use crate::refusal::{Extent, Refusal};

/// A question that is asked again and again.
#[derive(Debug)]
pub struct Query {
    what: &'static str,
    is_refused: bool,
    /// Readings that have failed although others may be good, and why the last one.
    failed: Option<(u32, Refusal)>,
}

/// What a GPU has refused, and has not been said yet.
#[derive(Debug, Default)]
pub struct Refused {
    /// What cannot be had from now on.
    pub quantities: Vec<(&'static str, Refusal)>,
    /// Why the GPU itself is gone.
    pub gpu: Option<Refusal>,
    /// Whether it is gone: then nothing more is asked of it.
    is_gone: bool,
}

impl Query {
    /// A question about this, in a person's words.
    pub fn new(what: &'static str) -> Self {
        Self { what, is_refused: false, failed: None }
    }

    /// Asks, unless that was refused before or the GPU is gone.
    pub fn ask<T>(
        &mut self,
        refused: &mut Refused,
        question: impl FnOnce() -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.is_refused || refused.is_gone {
            return None;
        }
        let error = match question() {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        let (refusal, extent) = Refusal::of_query(&error);
        match extent {
            Extent::Reading => self.reject(refusal),
            Extent::Quantity => {
                self.is_refused = true;
                refused.quantities.push((self.what, refusal));
            }
            Extent::Gpu => {
                refused.is_gone = true;
                refused.gpu = Some(refusal);
            }
        }
        None
    }

    /// This reading is no value, for this reason.
    pub fn reject(&mut self, why: Refusal) {
        self.failed = Some((self.failed.as_ref().map_or(1, |(n, _)| n + 1), why));
    }

    /// Whether it was refused for good.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Says how many single readings have failed, if any has.
    pub fn report_failed(&self, gpu: u32, gaps: &Gaps) {
        if let Some((n, Refusal { reason, remedy })) = &self.failed {
            let readings = if *n == 1 { "one reading".to_owned() } else { format!("{n} readings") };
            gaps.add(format!("{readings} of the {} of GPU {gpu}", self.what), reason, remedy);
        }
    }
}

/// Says what cannot be had, GPUs and quantities with the same reason together.
pub fn report(refused: Vec<(u32, &'static str, Refusal)>, gaps: &Gaps) {
    // For each reason, the GPUs that lack each quantity; then the quantities that the same GPUs lack.
    let mut reasons: BTreeMap<Refusal, BTreeMap<&str, Vec<u32>>> = BTreeMap::new();
    for (gpu, what, refusal) in refused {
        reasons.entry(refusal).or_default().entry(what).or_default().push(gpu);
    }
    for (Refusal { reason, remedy }, quantities) in reasons {
        let mut groups: BTreeMap<Vec<u32>, Vec<&str>> = BTreeMap::new();
        for (what, gpus) in quantities {
            groups.entry(gpus).or_default().push(what);
        }
        for (gpus, quantities) in groups {
            let gpus: Vec<_> = gpus.iter().map(u32::to_string).collect();
            gaps.add(format!("{} of GPU {}", quantities.join(", "), gpus.join(", ")), &reason, &remedy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_asked_once_and_what_fails_again() {
        let mut refused = Refused::default();
        let mut asked = 0;
        let mut ask = |query: &mut Query, error: fn() -> NvmlError| {
            query.ask(&mut refused, || {
                asked += 1;
                Err::<(), _>(error())
            })
        };
        let (mut unsupported, mut unlucky) = (Query::new("power"), Query::new("temperature"));
        for _ in 0..3 {
            assert_eq!(ask(&mut unsupported, || NvmlError::NotSupported), None);
            assert_eq!(ask(&mut unlucky, || NvmlError::Unknown), None);
        }
        assert_eq!(asked, 4);
        assert_eq!(refused.quantities.len(), 1);
        let gaps = Gaps::default();
        unlucky.report_failed(1, &gaps);
        unsupported.report_failed(1, &gaps);
        assert_eq!(gaps.get().len(), 1);
        assert_eq!(gaps.get()[0].what, "3 readings of the temperature of GPU 1");
    }

    #[test]
    fn what_the_same_gpus_lack_for_the_same_reason_is_one_gap() {
        let gaps = Gaps::default();
        let (old, unsupported) = (Refusal::new("old", "update"), Refusal::new("unsupported", ""));
        let refused = vec![
            (0, "power", unsupported.clone()),
            (0, "temperature", unsupported.clone()),
            (0, "memory", old),
            (1, "power", unsupported.clone()),
            (1, "temperature", unsupported.clone()),
            (1, "energy", unsupported),
        ];
        report(refused, &gaps);
        let texts: Vec<_> =
            gaps.get().into_iter().map(|gap| format!("{}: {}", gap.what, gap.reason)).collect();
        let expected = [
            "memory of GPU 0: old",
            "power, temperature of GPU 0, 1: unsupported",
            "energy of GPU 1: unsupported",
        ];
        assert_eq!(texts, expected);
    }
}
