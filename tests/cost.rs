//! What alumet costs, in counts: how often it wakes a core for an application that idles.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use support::Alumet;

/// How often each thread of a process has given up its CPU to wait for something, by its id.
fn waits(pid: u32) -> BTreeMap<u32, u64> {
    let of_thread = |tid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((tid, line.trim().parse().unwrap()))
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    threads.filter_map(|thread| of_thread(thread.file_name().to_str()?.parse().ok()?)).collect()
}

/// Wake-ups a tick, of all threads, while this runs. Missed ticks wake nobody, so a busy machine has fewer.
fn wake_ups_a_tick(interval: Duration, words: &[&str]) -> f64 {
    let interval_option = format!("{}ms", interval.as_millis());
    let words: Vec<_> =
        words.iter().map(|word| if *word == "INTERVAL" { &*interval_option } else { word }).collect();
    let mut alumet = Alumet::new(words);
    let mut running = alumet
        .command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // It ticks when the thread that stands by is there.
    let is_ticking = |pid| {
        let names = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        names
            .filter_map(|thread| fs::read_to_string(thread.path().join("comm")).ok())
            .any(|name| name.contains("standby"))
    };
    while !is_ticking(running.id()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(interval * 2);
    let (before, since) = (waits(running.id()), Instant::now());
    std::thread::sleep(interval * 30);
    let after = waits(running.id());
    let ticks = since.elapsed().as_secs_f64() / interval.as_secs_f64();
    terminate(&mut running);
    let more = after.iter().map(|(tid, waits)| waits - before.get(tid).unwrap_or(&0)).sum::<u64>();
    more as f64 / ticks
}

fn terminate(running: &mut std::process::Child) {
    let pid = nix::unistd::Pid::from_raw(running.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    running.wait().unwrap();
}

#[test]
fn an_application_that_idles_is_woken_for_once_a_tick_whatever_is_written() {
    let files = ["-o", "s.csv", "--json", "p.json"];
    for (millis, options) in [(100, &[][..]), (100, &files[..]), (20, &files[..])] {
        let words = [&["exec", "-i", "INTERVAL"], options, &["--", "sleep", "60"]].concat();
        let wake_ups = wake_ups_a_tick(Duration::from_millis(millis), &words);
        assert!(wake_ups <= 1.2, "{wake_ups:.2} at {millis} ms with {options:?}");
    }
}

/// The first process has ended, and the rest is waited for: nobody looks now and then whether that has ended, too.
#[test]
fn waiting_for_all_processes_wakes_nobody() {
    let script = "sleep 60 & sleep 60 & exit 0";
    let words = ["exec", "-i", "INTERVAL", "--wait-all", "--", "sh", "-c", script];
    let wake_ups = wake_ups_a_tick(Duration::from_millis(100), &words);
    assert!(wake_ups <= 1.2, "{wake_ups:.2}");
}

/// Neither a summary nor a file is wanted: there is the thread that supervises, and one that watches for signals.
#[test]
fn for_nobody_nothing_is_measured() {
    let mut alumet = Alumet::new(["exec", "-q", "--", "sleep", "60"]);
    let mut running = alumet.command.spawn().unwrap();
    let pid = running.id();
    let has_launched = || {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let first = children.split_whitespace().next().map(str::to_owned);
        first.is_some_and(|child| {
            fs::read_to_string(format!("/proc/{child}/cmdline")).is_ok_and(|line| line.starts_with("sleep"))
        })
    };
    while !has_launched() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let threads = waits(pid).len();
    terminate(&mut running);
    assert!(threads <= 2, "{threads}");
}
