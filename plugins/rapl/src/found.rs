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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::{Scale, Top};
    use crate::meter::Register;

    fn part(domain: Domain, socket: u32) -> Part {
        Part { domain, socket, die: None }
    }

    fn open(domain: Domain, socket: u32) -> Meter {
        let register = Register::Events(Vec::new());
        Meter { part: part(domain, socket), scale: Scale(1.0), top: Top::Endless, register }
    }

    fn forbidden() -> Refusal {
        Refusal { kind: Kind::Forbidden, ..Refusal::absent("not permitted") }
    }

    #[test]
    fn of_several_reasons_that_of_who_comes_furthest_counts() {
        let kept = |reasons: [Refusal; 2]| {
            let mut found = Found::default();
            reasons.into_iter().for_each(|reason| found.refuse(part(Domain::Dram, 0), reason));
            found.refuse(part(Domain::Dram, 1), Refusal::absent("another"));
            assert_eq!(found.refused.len(), 2);
            found.refused[0].1.reason.clone()
        };
        assert_eq!(kept([Refusal::absent("none"), forbidden()]), "not permitted");
        assert_eq!(kept([forbidden(), Refusal::absent("none")]), "not permitted");
        assert_eq!(kept([Refusal::absent("first"), Refusal::absent("second")]), "first");
    }

    #[test]
    fn a_machine_is_all_of_its_packages_and_memory_that_have_counters() {
        let with = |refused: &[(Domain, Refusal)], open_domain| {
            let mut found = Found { meters: vec![open(open_domain, 0)], refused: Vec::new() };
            refused.iter().for_each(|(domain, why)| found.refuse(part(*domain, 1), why.clone()));
            (found.lacks_some(), found.is_machine())
        };
        assert_eq!(with(&[], Domain::Package), (false, true));
        assert_eq!(with(&[], Domain::Psys), (false, false), "no package");
        assert_eq!(with(&[(Domain::Package, forbidden())], Domain::Package), (true, false));
        assert_eq!(with(&[(Domain::Dram, Refusal::unreadable("broken"))], Domain::Package), (true, false));
        assert_eq!(with(&[(Domain::Dram, Refusal::absent("none"))], Domain::Package), (false, true));
        assert_eq!(
            with(&[(Domain::Core, forbidden())], Domain::Package),
            (false, true),
            "it is in the package"
        );
    }

    #[test]
    fn if_nothing_is_open_the_reason_that_a_right_would_change_comes_first() {
        let refused = |reasons: &[Refusal]| {
            let mut found = Found::default();
            for (socket, why) in (0..).zip(reasons) {
                found.refuse(part(Domain::Package, socket), why.clone());
            }
            found.if_any("nothing there").unwrap_err().reason
        };
        assert_eq!(refused(&[]), "nothing there");
        assert_eq!(refused(&[Refusal::absent("first"), Refusal::absent("second")]), "first");
        assert_eq!(refused(&[Refusal::absent("first"), forbidden()]), "not permitted");
        let meters = vec![open(Domain::Dram, 0), open(Domain::Package, 1), open(Domain::Package, 0)];
        let found = Found { meters, refused: Vec::new() }.if_any("").unwrap();
        let order: Vec<_> = found.meters.iter().map(|meter| meter.part.to_string()).collect();
        assert_eq!(order, ["package 0", "package 1", "dram 0"]);
    }

    #[test]
    fn parts_with_the_same_reason_are_one_gap() {
        let mut found = Found::default();
        found.refuse(part(Domain::Package, 0), forbidden());
        found.refuse(part(Domain::Core, 0), Refusal::absent("none"));
        found.refuse(part(Domain::Dram, 0), forbidden());
        found.refuse(part(Domain::Psys, 0), Refusal { remedy: "another".into(), ..forbidden() });
        let gaps: Vec<_> =
            found.gaps().into_iter().map(|gap| format!("{} ({})", gap.what, gap.reason)).collect();
        assert_eq!(
            gaps,
            [
                "energy of package 0, dram 0 (not permitted)",
                "energy of core of package 0 (none)",
                "energy of psys (not permitted)",
            ]
        );
    }
}
