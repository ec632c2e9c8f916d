//! The scripts of the pipelines in `examples/ci/`, as a pipeline runs them.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Alumet, Done, binary, workload};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/ci").join(name)
}

/// A script in an empty directory, with these variables.
fn sh(name: &str, variables: &[(&str, &str)]) -> Alumet {
    let mut run = Alumet::with(Command::new("sh"), [script(name)]);
    run.command.env("ALUMET", binary());
    // What this machine can measure is not the matter.
    run.command.env("ALUMET_WITHOUT", "perf,nvml,estimate,hwmon");
    run.command.envs(variables.iter().copied());
    run
}

fn burn(ms: u32) -> String {
    format!("{} burn={ms}", workload().display())
}

fn written(run: &Alumet, done: &Done) {
    for (file, says) in [
        ("comment.md", "| "),
        ("alumet.xml", "<testsuite"),
        ("metrics.txt", "# EOF"),
        ("alumet.json", "alumet.comparison/2"),
    ] {
        let text = run.read(&format!("reports/{file}"));
        assert!(text.contains(says), "{file}: {text}\n{done:?}");
    }
}

#[test]
fn the_gate_fails_on_a_regression_and_passes_without() {
    let (base, equal, more) = (burn(30), burn(30), burn(40));
    let mut run = sh("gate.sh", &[("BASE", &base), ("CHANGE", &more)]);
    let done = run.run().status(3);
    written(&run, &done);
    let mut run = sh("gate.sh", &[("BASE", &base), ("CHANGE", &equal), ("OPTIONS", "--inconclusive pass")]);
    let done = run.run().status(0);
    written(&run, &done);
    // A verdict of an earlier job does not stay when there is none now.
    run.command.env("CHANGE", "/no/such/program");
    run.run().status(127);
    assert!(!run.path("reports/comment.md").exists());
}

#[test]
fn a_recorded_baseline_is_what_a_change_is_compared_with() {
    let (base, more) = (burn(30), burn(40));
    let mut run = sh("record.sh", &[("CHANGE", &base)]);
    run.run().status(0);
    let baseline = run.path("baseline.json");
    let baseline = baseline.to_str().unwrap();
    sh("gate.sh", &[("BASELINE", baseline), ("CHANGE", &base)]).run().status(0);
    sh("gate.sh", &[("BASELINE", baseline), ("CHANGE", &more), ("OPTIONS", "--threshold 6%")])
        .run()
        .status(3);
}

#[test]
fn both_commits_are_built_by_the_same_command() {
    let mut run = sh("build.sh", &[("BASE_COMMIT", "HEAD^1"), ("BUILD", "cp source app"), ("BUILT", "app")]);
    let tree = run.path("");
    let git = |words: &str| {
        let mut git = Command::new("git");
        git.current_dir(&tree).args(["-c", "user.name=n", "-c", "user.email=e@example.org"]);
        assert!(git.args(words.split(' ')).status().unwrap().success(), "{words}");
    };
    git("init -q");
    for version in ["old", "new"] {
        run.write("source", version);
        git("add source");
        git(&format!("commit -qm {version}"));
    }
    run.run().status(0);
    assert_eq!((run.read("bench/base/app"), run.read("bench/change/app")), ("old".into(), "new".into()));
    git("worktree prune");
    assert_eq!(
        fs::read_dir(run.path(".git/worktrees")).map_or(0, Iterator::count),
        0,
        "nothing is left behind"
    );
    run.command.env("BUILD", "false");
    assert_ne!(run.run().status, 0);
}

#[test]
fn a_comment_needs_a_token() {
    let done = sh("comment-gitlab.sh", &[]).run().status(0);
    assert!(done.stdout.contains("no comment: there is no GITLAB_TOKEN"), "{done:?}");
}
