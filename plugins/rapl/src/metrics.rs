//! What this plugin calls by a name of its own; the rest is in [`alumet::conventions`].

/// The label that tells the dies of a package apart, where each has counters of its own.
pub const DIE: &str = "hw.cpu.die";
