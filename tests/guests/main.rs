//! Machines that this one is not, in software emulation: see README.md beside this file.

#[path = "../support/mod.rs"]
mod support;

mod arm;
mod systemd;
