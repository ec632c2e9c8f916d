//! What a program that measures can give up, and that it does so only when it says so. One test: it is the whole process
//! that loses its privileges.

use alumet::privilege::CapabilitySet;
use alumet::{Agent, Batch, Interval};

/// The permitted sets of all threads.
fn permitted() -> Vec<CapabilitySet> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let status = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("status")).ok());
    let set = |status: String| {
        let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap().to_owned();
        CapabilitySet::from_bits_retain(u64::from_str_radix(line.trim(), 16).unwrap())
    };
    status.map(set).collect()
}

fn agent() -> Agent {
    let mut agent = Agent::new();
    let mut setup = agent.setup();
    setup.source("nothing", Interval::from_millis(10), |_: &mut Batch| Ok(()));
    setup.output("nowhere", |_: &Batch| Ok(()));
    setup.keep_capabilities(CapabilitySet::KILL);
    agent
}

#[tokio::test]
async fn what_is_kept_is_what_was_asked_for_in_all_threads_and_nothing_is_dropped_unasked() {
    let before = alumet::privilege::permitted();
    if !before.contains(CapabilitySet::KILL | CapabilitySet::DAC_OVERRIDE | CapabilitySet::SYS_ADMIN) {
        eprintln!("skipped: needs root");
        return;
    }
    // A thread that runs already, and waits.
    let (_end, ended) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || ended.recv());
    let running = agent().start().await.unwrap();
    assert!(permitted().iter().all(|set| *set == before));
    running.finish().await;
    // A thread that has nothing to drop asks nobody else to.
    let of_bare = std::thread::spawn(|| {
        alumet::privilege::renounce().unwrap();
        alumet::privilege::keep_only(CapabilitySet::empty())
    });
    assert_eq!(of_bare.join().unwrap().unwrap(), CapabilitySet::empty());
    assert!(permitted().iter().all(|set| *set == before));

    let mut agent = agent();
    agent
        .start_plugin("broken", |setup| {
            setup.keep_capabilities(CapabilitySet::SYS_ADMIN);
            anyhow::bail!("it does not start")
        })
        .unwrap_err();
    let kept = CapabilitySet::KILL | CapabilitySet::DAC_OVERRIDE;
    assert_eq!(agent.drop_privileges(CapabilitySet::DAC_OVERRIDE).unwrap(), kept);
    let running = agent.start().await.unwrap();
    let threads = permitted();
    assert!(threads.len() > 3 && threads.iter().all(|set| *set == kept), "{threads:?}");
    running.finish().await;
}
