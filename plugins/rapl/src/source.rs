//! The source: reads every counter at every tick and at both marks, and says at the end how sure the totals are.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use alumet::conventions::{ENERGY, POWER, UNCERTAINTY};
use alumet::{Batch, Bound, Clock, Gaps, Host, Series, SeriesId, Setup, Source, Target, Time};

use crate::Way;
use crate::domain::{Domain, Part};
use crate::found::Found;
use crate::meter::Meter;
use crate::tally::{Loss, Reading, Tally};
use crate::uncertainty;

/// What the uncertainty is made of.
const METHOD: &str = "of the run's total: age and step of the counter, and its distance from the marks; the sensor's \
                      calibration is not in it";

/// The source.
pub struct Rapl {
    lines: Vec<Line>,
    /// Whether a part of the machine has a counter that is not open.
    lacks_some: bool,
    way: Way,
    host: Host,
    /// What there were counters of at the start.
    parts: BTreeSet<Part>,
    clock: Arc<dyn Clock>,
    registry: Arc<alumet::Registry>,
    target: Option<Arc<Target>>,
    gaps: Gaps,
}

/// One counter.
struct Line {
    meter: Meter,
    tally: Tally,
    energy: SeriesId,
    power: SeriesId,
    uncertainty: SeriesId,
    /// Since when it cannot be read, and why.
    broken: Option<(Time, io::Error)>,
}

impl Rapl {
    /// Registers the series of these counters.
    ///
    /// # Errors
    /// A metric contradicts one of another plugin.
    pub fn new(found: Found, way: Way, setup: &Setup<'_>) -> anyhow::Result<Self> {
        let method = way.method;
        let lacks_some = found.lacks_some();
        let line = |meter: Meter| -> anyhow::Result<Line> {
            let series =
                |metric, method| setup.series(meter.part.describe(Series::new(metric).method(method)));
            Ok(Line {
                energy: series(ENERGY, method)?,
                power: series(POWER, method)?,
                uncertainty: series(UNCERTAINTY, METHOD)?,
                tally: tally(&meter),
                broken: None,
                meter,
            })
        };
        Ok(Self {
            lines: found.meters.into_iter().map(line).collect::<anyhow::Result<_>>()?,
            lacks_some,
            way,
            host: setup.host().clone(),
            parts: (way.parts)(setup.host()),
            clock: Arc::clone(setup.clock()),
            registry: Arc::clone(setup.registry()),
            target: setup.target().cloned(),
            gaps: setup.gaps().clone(),
        })
    }
}

impl Rapl {
    /// Says what there are counters of only now, as of a package whose CPUs were switched on meanwhile: what it has used is
    /// in no total. Returns whether the machine's energy lacks it.
    fn report_new(&self) -> bool {
        let now = (self.way.parts)(&self.host);
        let is_known = |part: Part| self.parts.iter().any(|known| known.has_place_of(part));
        let new = || now.iter().filter(|part| !is_known(**part));
        for part in new() {
            let reason = "its counter appeared during the run, and was not read";
            self.gaps.add(format!("energy of {part}"), reason, "measure again");
        }
        new().any(|part| part.domain.is_counted())
    }
}

impl Source for Rapl {
    fn poll(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let suspended = self.clock.suspended();
        let mut before = self.clock.now();
        for line in &mut self.lines {
            let raw = line.meter.register.read();
            let after = self.clock.now();
            match raw {
                Ok(raw) => line.count(Reading { raw, time: (before, after), suspended }, out),
                // It goes on counting: once it can be read again, its next increment has all of it.
                Err(error) => {
                    line.broken.get_or_insert((before, error));
                }
            }
            before = after;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Batch) -> anyhow::Result<()> {
        let end = self.target.as_ref().and_then(|target| target.ended()).unwrap_or_else(|| self.clock.now());
        let start = self.registry.start().map_or(end, |anchor| anchor.time);
        // The counted parts are the machine's energy together: if one of them lacks something, nobody can say how sure the
        // sum is. So none of them says it.
        let counted = || self.lines.iter().filter(|line| line.is_counted());
        let has_grown = self.report_new();
        let has_package = counted().any(|line| line.meter.part.domain == Domain::Package);
        let machine_is_whole = !self.lacks_some && !has_grown && counted().all(Line::is_whole);
        for line in &self.lines {
            line.report(has_package, end, &self.gaps);
            line.bound(out);
            if line.is_whole() && (machine_is_whole || !line.is_counted()) {
                line.push_uncertainty(start, end, out);
            }
        }
        Ok(())
    }
}

/// Packages and memory use energy all the time. Cores and graphics may rest, and what is in psys only their maker knows.
fn tally(meter: &Meter) -> Tally {
    let tally = Tally::new(meter.scale, meter.top, meter.part.domain.most());
    if meter.part.domain.is_counted() { tally.never_resting() } else { tally }
}

impl Line {
    fn count(&mut self, reading: Reading, out: &mut Batch) {
        let is_first = self.tally.readings().is_none();
        if let Some((since, _)) = self.broken.take().filter(|_| is_first) {
            self.tally.lose(Loss::Unreadable, reading.time.0.since(since));
        }
        let Some(step) = self.tally.to(reading) else { return };
        // What stays at 0 may be no counter at all.
        if self.tally.has_moved() {
            out.push(self.energy, step.energy.0);
            if let Some(power) = step.power {
                out.push(self.power, power.0);
            }
        }
    }

    /// Whether it is a part of the machine's energy.
    fn is_counted(&self) -> bool {
        self.meter.part.domain.is_counted()
    }

    /// Whether its total lacks nothing.
    fn is_whole(&self) -> bool {
        self.tally.has_moved() && self.tally.losses().is_empty() && self.broken.is_none()
    }

    /// Says what was not measured.
    fn report(&self, has_package: bool, end: Time, gaps: &Gaps) {
        let part = self.meter.part;
        if let Some((since, error)) = &self.broken {
            let what = format!("energy of {part} in the last {:.1?}", end.since(*since));
            gaps.add(what, format!("the counter cannot be read: {}", alumet::file::reason(error)), "");
        }
        for (loss, time) in self.tally.losses() {
            gaps.add(format!("energy of {part} for {time:.1?} of the run"), loss.to_string(), "");
        }
        // Where no package has a counter either, all of the energy is missing, and that was said.
        if !self.tally.has_moved() && has_package {
            gaps.add(format!("energy of {part}"), "its counter never moved", "");
        }
    }

    /// Says that the total lacks something, and what.
    fn bound(&self, out: &mut Batch) {
        let lost = self.tally.losses().first().map(|(loss, _)| loss.to_string());
        if let Some(reason) = lost.or_else(|| self.broken.as_ref().map(|_| Loss::Unreadable.to_string())) {
            out.bound(self.energy, Bound::AtLeast, reason);
        }
    }

    /// Says how sure the total is.
    fn push_uncertainty(&self, start: Time, end: Time, out: &mut Batch) {
        let (Some((first, last)), Some(power)) = (self.tally.readings(), self.tally.peak()) else { return };
        let before = start.since(first.time.0);
        let after = last.time.1.since(end).max(end.since(last.time.0));
        let step = uncertainty::step(self.meter.part.domain);
        out.push(self.uncertainty, uncertainty::of_total(power, [before, after], step).0);
    }
}
