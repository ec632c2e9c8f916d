//! The examples do what their first lines say.

mod support;

use std::path::Path;
use std::process::Command;

use support::{Done, binary, skip};

fn example(name: &str, command: &[&str]) -> Done {
    // `cargo test` builds the examples beside the binary.
    let path = binary().parent().unwrap().join("examples").join(name);
    Done::of(Command::new(path).args(command).output().unwrap())
}

#[test]
fn a_tool_of_twenty_lines_counts_the_threads_of_an_application() {
    let threads = format!("{} threads=3:200", support::workload().display());
    let done = example("custom_agent", &["sh", "-c", &threads]).status(0);
    let most: f64 = done.stdout.split("at most ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((4.0..=5.0).contains(&most), "{done:?}");
}

#[test]
fn the_plugin_of_the_guide_measures_the_pressure_on_the_cpu() {
    if !Path::new("/proc/pressure/cpu").exists() {
        return skip("the_plugin_of_the_guide", "this kernel has no pressure stall information");
    }
    let threads = [support::workload().to_str().unwrap(), "threads=8:100"];
    let done = example("custom_plugin", &threads).status(0);
    assert!(done.stdout.starts_with("system.linux.psi.cpu.some of the machine: "), "{done:?}");
    let waited: f64 = done.stdout.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(waited > 0.0, "{done:?}");
}
