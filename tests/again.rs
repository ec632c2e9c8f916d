//! Attached to and left two hundred times: the process keeps nothing of it, and neither does the program that measures.

mod support;

use std::fs;
use std::process::{Command, Stdio};

use alumet::target::Root;
use alumet::{Agent, Totals};
use alumet_plugin_perf::Perf;
use alumet_plugin_procfs::Procfs;
use support::workload;

/// What the kernel shows of a process that a visitor could have changed.
fn traces(pid: u32) -> Vec<String> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let count = |dir: &str| fs::read_dir(format!("/proc/{pid}/{dir}")).map_or(0, Iterator::count).to_string();
    let status = read("status");
    let kept = [
        "TracerPid",
        "SigPnd",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "Shd",
        "NoNewPrivs",
        "Seccomp",
        "Cpus_allowed",
        "VmLck",
        "VmPin",
    ];
    let lines = status.lines().filter(|line| kept.iter().any(|key| line.starts_with(key)));
    let more = [count("fd"), read("limits"), read("cgroup"), read("oom_score_adj"), read("timerslack_ns")];
    lines.map(str::to_owned).chain(more).collect()
}

/// Descriptors, threads, and resident memory in pages, of this process, once threads that end are gone.
fn own() -> (usize, usize, u64) {
    std::thread::sleep(std::time::Duration::from_millis(100));
    let count = |dir: &str| fs::read_dir(dir).unwrap().count();
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    (count("/proc/self/fd"), count("/proc/self/task"), statm.split(' ').nth(1).unwrap().parse().unwrap())
}

#[tokio::test(flavor = "current_thread")]
async fn two_hundred_visits_leave_no_trace_on_either_side() {
    let mut command = Command::new(workload());
    let child = command.args(["spin=4000"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    // Until it has begun to spin.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let before = traces(pid);
    let mut first = None;
    for visit in 0..200 {
        let mut agent = Agent::new();
        agent.attach(vec![Root::hold(pid as i32).unwrap()]);
        agent.plugin::<Procfs>(Default::default()).unwrap();
        agent.plugin::<Perf>(Default::default()).unwrap();
        let totals = Totals::new();
        agent.setup().output("totals", totals.clone());
        let report = agent.start().await.unwrap().finish().await;
        assert_eq!(report.survivors.len(), 1);
        assert!(totals.get().iter().any(|total| total.series.metric.name == "process.cpu.time"));
        if visit == 20 {
            first = Some(own());
        }
    }
    let (first, last) = (first.unwrap(), own());
    eprintln!("descriptors, threads, pages: {first:?} after 20 visits, {last:?} after 200");
    assert!(last.0 <= first.0 + 2 && last.1 <= first.1 + 2, "{first:?} {last:?}");
    assert!(last.2 <= first.2 + 256, "{first:?} {last:?}");
    assert_eq!(traces(pid), before);
    assert!(child.wait_with_output().unwrap().status.success());
}
