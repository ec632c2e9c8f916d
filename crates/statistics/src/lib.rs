//! What repeated runs say, and how sure they make it: describing one version, comparing two, deciding.
//!
//! Nothing here measures or prints: slices of numbers go in, small structs come out, and what is not a number is a
//! typed error ([`sample::Invalid`]). No result depends on the clock or on chance: what is random is seeded.
//!
//! `describe`, `outliers` and `drift` look at one version. `signed_rank` (pairs) and `rank_sum` (two samples) test,
//! `hodges_lehmann` says how much, `bootstrap` gives the interval of a ratio of means. `gate` turns them into a
//! `decision`, with `holm` for several metrics and versions and `sequential` for looking before all runs are done; `turns` is
//! the order in which versions run. `rates` holds
//! the gate to the errors that were promised, `reference` the rest to an independent implementation.

pub mod bootstrap;
pub mod decision;
pub mod describe;
pub mod drift;
pub mod gate;
pub mod hodges_lehmann;
pub mod holm;
pub mod interval;
pub mod outliers;
pub mod rank_sum;
pub mod sample;
mod selection;
pub mod sequential;
pub mod signed_rank;
pub mod simulation;
pub mod tails;
pub mod turns;

#[cfg(test)]
mod rates;
#[cfg(test)]
mod reference;
