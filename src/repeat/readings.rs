//! The readings of many runs in little memory: of each run a number for each quantity, and once what is said of them.
//!
//! alumet is what the next run is forked from: the more memory it has, the longer that takes, and the more of it shows
//! in the run.

use alumet::Bound;
use alumet::conventions::{CPU_MODE, SYSTEM_CPU_TIME, is_busy_mode};

use crate::profile::metric::MetricTotal;
use crate::profile::wall::Wall;
use crate::quantity::{Quantity, Reading, Unfit};

/// What runs have read.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    runs: usize,
    columns: Vec<Column>,
    pub meantime: Meantime,
}

/// CPU time of all runs together, in seconds. The machine's comes in ticks: of many runs its sum is exact enough.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meantime {
    /// Of what was run.
    pub own: f64,
    /// Of whatever has run on this machine.
    pub busy: f64,
    /// In which another machine had the CPUs.
    pub stolen: f64,
    /// All that the CPUs had to give.
    pub all: f64,
}

/// One quantity in all runs that have it.
#[derive(Debug, Clone)]
pub struct Column {
    pub quantity: Quantity,
    /// In the order of the runs.
    pub values: Vec<f64>,
    /// The ways in which they were obtained, in the order in which they first occur; methods that differ in numbers
    /// alone are one.
    pub ways: Vec<Way>,
    /// Of time: the places among the values of those that are only bounds, because alumet saw the end late.
    pub late: Vec<usize>,
}

/// Where values come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// `measured`, `attributed` or `estimated`.
    pub provenance: String,
    pub method: String,
    /// Whether they are exact, as in [`Reading`].
    pub bound: Option<Bound>,
    /// Why no verdict may rest on them.
    pub unfit: Option<Unfit>,
}

impl std::ops::AddAssign for Meantime {
    fn add_assign(&mut self, other: Self) {
        self.own += other.own;
        self.busy += other.busy;
        self.stolen += other.stolen;
        self.all += other.all;
    }
}

impl Readings {
    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.runs
    }

    pub fn is_empty(&self) -> bool {
        self.runs == 0
    }

    /// Adds a run.
    pub fn add(&mut self, run: Vec<(Quantity, Reading)>) {
        self.runs += 1;
        for (quantity, reading) in run {
            let place = self.columns.iter().position(|column| column.quantity == quantity);
            let place = place.unwrap_or_else(|| {
                self.columns.push(Column::new(quantity));
                self.columns.len() - 1
            });
            self.columns[place].add(reading);
        }
    }

    /// Adds what the machine's CPUs did during a run, if that is known.
    pub fn add_meantime(&mut self, wall: &Wall, metrics: &[MetricTotal]) {
        let Some(own) = Quantity::Cpu.of_run(wall, metrics) else { return };
        self.meantime.own += own.value;
        for metric in metrics.iter().filter(|metric| metric.key.is(&SYSTEM_CPU_TIME.name, "machine")) {
            let time = metric.amount.value();
            self.meantime.all += time;
            match metric.key.label(CPU_MODE) {
                Some(mode) if is_busy_mode(mode) => self.meantime.busy += time,
                Some("steal") => self.meantime.stolen += time,
                _ => {}
            }
        }
    }

    /// The quantities, the usual ones first.
    pub fn columns(&self) -> Vec<&Column> {
        let mut columns: Vec<_> = self.columns.iter().collect();
        columns.sort_by(|a, b| a.quantity.cmp(&b.quantity));
        columns
    }

    /// A quantity, if any run has it.
    pub fn column(&self, quantity: &Quantity) -> Option<&Column> {
        self.columns.iter().find(|column| column.quantity == *quantity)
    }
}

impl Column {
    fn new(quantity: Quantity) -> Self {
        Self { quantity, values: Vec::new(), ways: Vec::new(), late: Vec::new() }
    }

    fn add(&mut self, reading: Reading) {
        let Reading { value, provenance, method, bound, unfit } = reading;
        if self.quantity == Quantity::Time && matches!(unfit, Some(Unfit::Bound(..))) {
            self.late.push(self.values.len());
        }
        self.values.push(value);
        let way = Way { provenance, method, bound, unfit };
        if !self.ways.iter().any(|known| known.is_like(&way)) {
            self.ways.push(way);
        }
    }

    /// Whether all of them together are exact.
    pub fn bound(&self) -> Option<Bound> {
        self.ways.iter().try_fold(Bound::Exact, |bound, way| bound.and(way.bound?))
    }
}

impl Way {
    /// Whether they differ in numbers alone, if at all.
    fn is_like(&self, other: &Self) -> bool {
        let is_unfit_alike = match (&self.unfit, &other.unfit) {
            (Some(Unfit::Bound(a, why)), Some(Unfit::Bound(b, other))) => a == b && alike(why, other),
            (unfit, other) => unfit == other,
        };
        self.is_same(other) && self.bound == other.bound && is_unfit_alike
    }

    /// Whether numbers that were obtained so may be compared. In a method numbers are all the same: as what an idle power
    /// was measured, for example.
    pub fn is_same(&self, other: &Self) -> bool {
        self.provenance == other.provenance && alike(&self.method, &other.method)
    }

    /// `cgroup cpu.stat`, `estimated: a curve`.
    pub fn in_words(&self) -> String {
        match &*self.provenance {
            "estimated" => format!("estimated: {}", self.method),
            _ => self.method.clone(),
        }
    }
}

/// Whether two texts differ in numbers alone, if at all.
pub fn alike(a: &str, b: &str) -> bool {
    a == b || without_numbers(a).eq(without_numbers(b))
}

fn without_numbers(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_ascii_digit() && *c != '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: f64, method: &str) -> Reading {
        let bound = Some(Bound::Exact);
        Reading { value, provenance: "measured".into(), method: method.into(), bound, unfit: None }
    }

    #[test]
    fn of_many_runs_a_number_each_is_kept_and_what_is_said_of_them_once() {
        let mut readings = Readings::default();
        for i in 0..10_000 {
            let method = format!("above {}.{} W of idle power", i, i % 7);
            let energy = Reading { provenance: "attributed".into(), ..reading(f64::from(i), &method) };
            let unfit = Some(Unfit::Bound(Some(Bound::AtLeast), format!("{i} children ended unseen")));
            let time = Reading { bound: Some(Bound::AtLeast), unfit, ..reading(0.5, "clock") };
            readings.add(vec![(Quantity::Time, time), (Quantity::Energy, energy)]);
        }
        let columns = readings.columns();
        assert_eq!((readings.len(), columns.len()), (10_000, 2));
        assert_eq!((&columns[0].quantity, columns[0].values[9_999]), (&Quantity::Energy, 9_999.0));
        assert!(columns.iter().all(|column| column.ways.len() == 1 && column.values.len() == 10_000));
    }

    #[test]
    fn every_way_and_every_gap_shows() {
        let mut readings = Readings::default();
        readings.add(vec![(Quantity::Cpu, reading(1.0, "a"))]);
        readings.add(Vec::new());
        readings.add(vec![(Quantity::Cpu, reading(2.0, "b"))]);
        let unfit = Reading { unfit: Some(Unfit::Scaled), ..reading(3.0, "b") };
        readings.add(vec![(Quantity::Cpu, unfit)]);
        let cpu = readings.column(&Quantity::Cpu).unwrap();
        assert_eq!((readings.len(), &*cpu.values, cpu.ways.len()), (4, &[1.0, 2.0, 3.0][..], 3));
        assert!(readings.column(&Quantity::Time).is_none());
    }
}
