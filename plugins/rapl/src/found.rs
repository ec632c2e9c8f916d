//! What one of the two ways to the counters has come to.

use alumet::Missing;

use crate::domain::{Domain, Part};
use crate::meter::Meter;
use crate::refusal::{Kind, Refusal};

/// The counters that are open, and those that are not.
#[derive(Debug, Default)]
pub struct Found {
    /// Open, in the order of their parts.
    pub meters: Vec<Meter>,
    /// Not open, with the reasons.
    pub refused: Vec<(Part, Refusal)>,
}

impl Found {
    /// Says why a part is not open. Of several reasons for the same part, that of the one who may come furthest counts.
    pub fn refuse(&mut self, part: Part, refusal: Refusal) {
        match self.refused.iter_mut().find(|(other, _)| *other == part) {
            Some((_, known)) if known.kind < refusal.kind => *known = refusal,
            Some(_) => {}
            None => self.refused.push((part, refusal)),
        }
    }

    /// Whether all that adds up to the machine's energy is open.
    pub fn is_machine(&self) -> bool {
        self.has_package() && !self.lacks_some()
    }

    /// Whether a package is open: without one there is no machine's energy, as where a virtual machine is shown the platform's
    /// counter alone.
    pub fn has_package(&self) -> bool {
        self.meters.iter().any(|meter| meter.part.domain == Domain::Package)
    }

    /// Whether energy of the machine goes unseen: a part of it has a counter, and that is not open.
    pub fn lacks_some(&self) -> bool {
        self.refused.iter().any(|(part, refusal)| part.domain.is_counted() && refusal.kind != Kind::Absent)
    }

    /// # Errors
    /// Nothing is open: the first reason, one that somebody with more rights would not have before others.
    pub fn if_any(mut self, nothing: &str) -> Result<Self, Refusal> {
        if self.meters.is_empty() {
            let forbidden = self.refused.iter().position(|(_, refusal)| refusal.kind == Kind::Forbidden);
            return Err(match forbidden.or(if self.refused.is_empty() { None } else { Some(0) }) {
                Some(i) => self.refused.swap_remove(i).1,
                None => Refusal::absent(nothing),
            });
        }
        self.meters.sort_by_key(|meter| meter.part);
        Ok(self)
    }

    /// The refused parts as gaps, those with the same reason together.
    pub fn gaps(&self) -> Vec<Missing> {
        let mut gaps: Vec<Missing> = Vec::new();
        for (part, Refusal { reason, remedy, .. }) in &self.refused {
            match gaps.iter_mut().find(|gap| (&gap.reason, &gap.remedy) == (reason, remedy)) {
                Some(gap) => gap.what.push_str(&format!(", {part}")),
                None => gaps.push(Missing {
                    plugin: String::new(),
                    what: format!("energy of {part}"),
                    reason: reason.clone(),
                    remedy: remedy.clone(),
                }),
            }
        }
        gaps
    }
}
