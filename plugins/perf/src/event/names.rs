//! The names of the kernel's generic events, as perf-list(1) spells them, and their numbers.

use std::fmt;

/// An event with a name and a number.
#[derive(Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The name that is printed.
    pub name: &'static str,
    /// Another name that is read.
    alias: Option<&'static str>,
    /// `config`
    pub config: u64,
}

const fn symbol(config: u64, name: &'static str, alias: Option<&'static str>) -> Symbol {
    Symbol { name, alias, config }
}

/// enum perf_hw_id
pub static HARDWARE: [Symbol; 10] = [
    symbol(0, "cycles", Some("cpu-cycles")),
    symbol(1, "instructions", None),
    symbol(2, "cache-references", None),
    symbol(3, "cache-misses", None),
    symbol(4, "branches", Some("branch-instructions")),
    symbol(5, "branch-misses", None),
    symbol(6, "bus-cycles", None),
    symbol(7, "stalled-cycles-frontend", Some("idle-cycles-frontend")),
    symbol(8, "stalled-cycles-backend", Some("idle-cycles-backend")),
    symbol(9, "ref-cycles", None),
];

/// enum perf_sw_ids
pub static SOFTWARE: [Symbol; 12] = [
    symbol(0, "cpu-clock", None),
    symbol(1, "task-clock", None),
    symbol(2, "page-faults", Some("faults")),
    symbol(3, "context-switches", Some("cs")),
    symbol(4, "cpu-migrations", Some("migrations")),
    symbol(5, "minor-faults", None),
    symbol(6, "major-faults", None),
    symbol(7, "alignment-faults", None),
    symbol(8, "emulation-faults", None),
    symbol(9, "dummy", None),
    symbol(10, "bpf-output", None),
    symbol(11, "cgroup-switches", None),
];

impl Symbol {
    /// The one of this name or alias.
    pub fn find(table: &'static [Self], name: &str) -> Option<&'static Self> {
        table.iter().find(|symbol| symbol.name == name || symbol.alias == Some(name))
    }

    /// Of a hardware event: whether it counts time in cycles, which are not the same on cores of another type.
    pub fn is_cycles(&self) -> bool {
        self.name.contains("cycles")
    }

    /// Of a software event: whether it is a clock, in nanoseconds.
    pub fn is_clock(&self) -> bool {
        self.name.ends_with("-clock")
    }
}

/// One of perf's tool events, which are no events of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Wall-clock time.
    Duration,
    /// CPU time in user mode.
    User,
    /// CPU time in kernel mode.
    System,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Duration, Self::User, Self::System];

    /// `duration_time`, `user_time` or `system_time`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration_time",
            Self::User => "user_time",
            Self::System => "system_time",
        }
    }
}

/// A cache, as the kernel generalizes them (enum perf_hw_cache_id, in this order).
struct Cache {
    /// All names, the printed one first.
    names: &'static [&'static str],
    /// Whether it has stores and prefetches; all have loads.
    stores: bool,
    prefetches: bool,
}

const fn cache(names: &'static [&'static str], stores: bool, prefetches: bool) -> Cache {
    Cache { names, stores, prefetches }
}

static CACHES: [Cache; 7] = [
    cache(&["L1-dcache", "l1-d", "l1d", "L1-data"], true, true),
    cache(&["L1-icache", "l1-i", "l1i", "L1-instruction"], false, true),
    cache(&["LLC", "L2"], true, true),
    cache(&["dTLB", "d-tlb", "Data-TLB"], true, true),
    cache(&["iTLB", "i-tlb", "Instruction-TLB"], false, false),
    cache(&["branch", "branches", "bpu", "btb", "bpc"], false, false),
    cache(&["node"], true, true),
];

/// enum perf_hw_cache_op_id. Singular and plural first: those are printed.
static OPERATIONS: [&[&str]; 3] = [
    &["load", "loads", "read"],
    &["store", "stores", "write"],
    &["prefetch", "prefetches", "speculative-read", "speculative-load"],
];

/// enum perf_hw_cache_op_result_id
static RESULTS: [&[&str]; 2] = [&["refs", "Reference", "ops", "access"], &["misses", "miss"]];

/// A cache event: accesses to a cache, or misses. Displays as perf prints it: `L1-dcache-load-misses`, `LLC-stores`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheEvent {
    cache: usize,
    operation: usize,
    result: usize,
}

impl CacheEvent {
    /// Reads `CACHE[-OPERATION][-RESULT]`, where loads and accesses go without saying; the two may change places.
    pub fn parse(name: &str) -> Option<Self> {
        CACHES.iter().enumerate().find_map(|(cache, Cache { names, .. })| {
            let mut rest = names.iter().find_map(|name_| after(name, name_))?;
            let (mut operation, mut result) = (None, None);
            while let Some(word) = rest.strip_prefix('-') {
                let (found, index, after) = index(&OPERATIONS, word)
                    .map(|(index, after)| (&mut operation, index, after))
                    .or_else(|| index(&RESULTS, word).map(|(index, after)| (&mut result, index, after)))?;
                if found.replace(index).is_some() {
                    return None;
                }
                rest = after;
            }
            let event =
                Self { cache, operation: operation.unwrap_or_default(), result: result.unwrap_or_default() };
            event.is_valid().then_some(event)
        })
    }

    /// All that are valid.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..CACHES.len())
            .flat_map(|cache| (0..OPERATIONS.len()).map(move |operation| (cache, operation)))
            .flat_map(|(cache, operation)| {
                (0..RESULTS.len()).map(move |result| Self { cache, operation, result })
            })
            .filter(|event| event.is_valid())
    }

    fn is_valid(self) -> bool {
        match self.operation {
            0 => true,
            1 => CACHES[self.cache].stores,
            _ => CACHES[self.cache].prefetches,
        }
    }

    /// `config` for PERF_TYPE_HW_CACHE.
    pub fn config(self) -> u64 {
        (self.cache | self.operation << 8 | self.result << 16) as u64
    }
}

impl fmt::Display for CacheEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cache, operation) = (CACHES[self.cache].names[0], OPERATIONS[self.operation]);
        match self.result {
            0 => write!(f, "{cache}-{}", operation[1]),
            _ => write!(f, "{cache}-{}-misses", operation[0]),
        }
    }
}

/// Which of the lists has a name that `text` starts with, and what comes after it.
fn index<'a>(lists: &[&[&str]], text: &'a str) -> Option<(usize, &'a str)> {
    lists
        .iter()
        .enumerate()
        .find_map(|(index, names)| names.iter().find_map(|name| Some((index, after(text, name)?))))
}

/// What comes after `name`, if `text` starts with it as a whole word.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name).filter(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Every name that [`parse`](super::parse()) reads without looking at the machine: those that are printed, aliases too.
pub fn all() -> impl Iterator<Item = String> {
    let symbols = HARDWARE.iter().chain(&SOFTWARE).flat_map(|symbol| [Some(symbol.name), symbol.alias]);
    let fixed = symbols.flatten().chain(Tool::ALL.map(Tool::name)).map(str::to_owned);
    fixed.chain(CacheEvent::all().map(|event| event.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_found_by_name_and_alias() {
        assert_eq!(Symbol::find(&HARDWARE, "cpu-cycles").unwrap().name, "cycles");
        assert_eq!(Symbol::find(&HARDWARE, "branches").unwrap().config, 4);
        assert_eq!(Symbol::find(&SOFTWARE, "cs").unwrap().config, 3);
        assert_eq!(Symbol::find(&SOFTWARE, "cycles"), None);
        for table in [&HARDWARE[..], &SOFTWARE] {
            assert!(table.iter().enumerate().all(|(index, symbol)| symbol.config == index as u64));
        }
    }

    #[test]
    fn the_spellings_of_a_cache_event_are_one_event() {
        for (printed, config, spellings) in [
            (
                "L1-dcache-loads",
                0,
                &["L1-dcache", "l1d", "L1-dcache-refs", "l1-d-read", "L1-data-load-refs"][..],
            ),
            ("L1-dcache-load-misses", 0x10000, &["L1-dcache-misses", "L1-data-load-miss", "l1d-miss-load"]),
            (
                "L1-dcache-prefetch-misses",
                0x10200,
                &["l1d-speculative-read-misses", "l1d-speculative-load-miss"],
            ),
            ("LLC-stores", 0x102, &["LLC-write", "L2-store", "LLC-stores-access"]),
            ("dTLB-store-misses", 0x10103, &["d-tlb-write-miss", "Data-TLB-stores-misses"]),
            ("iTLB-load-misses", 0x10004, &["i-tlb-misses", "Instruction-TLB-read-miss"]),
            ("branch-loads", 5, &["branch", "bpu-loads", "btb", "bpc-refs", "branches-ops"]),
            ("node-prefetches", 0x206, &["node-prefetch", "node-prefetches-Reference"]),
        ] {
            for spelling in spellings.iter().chain([&printed]) {
                let event = CacheEvent::parse(spelling).expect(spelling);
                assert_eq!((event.to_string().as_str(), event.config()), (printed, config), "{spelling}");
            }
        }
    }

    #[test]
    fn what_a_cache_does_not_do_is_no_event() {
        for name in [
            "iTLB-stores",
            "iTLB-prefetches",
            "branch-stores",
            "L1-icache-stores",
            "L1-dcachet",
            "L1-dcache-",
            "L1-dcache--loads",
            "LLC-load-load",
            "LLC-load-miss-miss",
            "L1",
            "",
        ] {
            assert_eq!(CacheEvent::parse(name), None, "{name}");
        }
        assert_eq!(CacheEvent::all().count(), 2 * (3 + 2 + 3 + 3 + 1 + 1 + 3));
        for event in CacheEvent::all() {
            assert_eq!(CacheEvent::parse(&event.to_string()), Some(event));
        }
    }
}
