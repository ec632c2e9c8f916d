//! What the plugin keeps when the rest is dropped. One test: it is the whole process that loses its privileges.

use alumet::privilege::{CapabilitySet, permitted};
use alumet::{Agent, Batch, Command};
use alumet_plugin_procfs::{Config, Procfs};

#[test]
fn what_lets_one_look_into_the_processes_of_others_is_kept() {
    let kept = CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH;
    if !permitted().contains(kept | CapabilitySet::KILL | CapabilitySet::SYS_ADMIN) {
        eprintln!("skipped: what lets one look into the processes of others, because it needs root");
        return;
    }
    let mut agent = Agent::new();
    agent.launch(&Command::new(["true"])).unwrap();
    agent.plugin::<Procfs>(Config::default()).unwrap();
    agent.setup().output("nowhere", |_: &Batch| Ok(()));
    // What the target needs is beside it.
    let of_target = CapabilitySet::KILL | CapabilitySet::DAC_OVERRIDE;
    assert_eq!(agent.drop_privileges(CapabilitySet::empty()).unwrap() - of_target, kept);
}
