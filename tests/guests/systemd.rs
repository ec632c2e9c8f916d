//! A Debian with systemd: processes that it moves, services, delegation, limits of memory, and the doctor's remedies.
//!
//! All checks are scripts in `systemd/checks/`, made one after the other in one boot; the tests judge what they left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{binary, counter, skip, workload};

/// The guest boots and makes all checks in less than half of that on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a check has left: its files, with `status`, `stdout` and `stderr`.
struct Check {
    name: String,
    folder: PathBuf,
}

/// The check of this name; `None`, with a word on why, where there can be no guest.
fn check(name: &str, test: &str) -> Option<Check> {
    static RESULTS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match RESULTS.get_or_init(results) {
        Ok(results) => {
            let check = Check { name: name.to_owned(), folder: results.join(name) };
            assert_eq!(check.text("status"), "0\n", "{name}: {}", check.text("stderr"));
            Some(check)
        }
        Err(why) => {
            skip(test, &format!("no guest with systemd: {why}"));
            None
        }
    }
}

/// Boots the guest and unpacks what its checks have left.
fn results() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (scripts, folder) = (root.join("tests/guests/systemd"), root.join("target/guests/systemd"));
    let image = Command::new(scripts.join("image")).arg(&folder).stdin(Stdio::null()).output().unwrap();
    match image.status.code() {
        Some(0) => {}
        Some(69) => return Err(String::from_utf8_lossy(&image.stdout).trim().to_owned()),
        _ => panic!("{image:?}"),
    }
    let place = |name: &str| {
        let place = folder.join(name);
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).unwrap();
        place
    };
    let (given, results) = (place("given"), place("results"));
    run(Command::new("cp")
        .arg("-r")
        .args(["run", "lib.sh", "checks"].map(|name| scripts.join(name)))
        .arg(&given));
    fs::create_dir(given.join("bin")).unwrap();
    fs::copy(scripts.join("burn"), given.join("bin/burn")).unwrap();
    for (program, name) in [(binary(), "alumet"), (workload(), "workload")] {
        run(Command::new("strip").arg(program).arg("-o").arg(given.join("bin").join(name)));
    }
    fs::write(given.join("app.service"), unit_of_the_page(root)).unwrap();
    let archives = ["given.tar", "results.tar"].map(|name| folder.join(name));
    run(Command::new("tar").arg("-cf").arg(&archives[0]).arg("-C").arg(&given).arg("."));
    fs::write(&archives[1], "").unwrap();
    fs::File::options().write(true).open(&archives[1]).unwrap().set_len(64 << 20).unwrap();
    boot(&scripts.join("boot"), &folder, &archives);
    run(Command::new("tar").arg("-xf").arg(&archives[1]).arg("-C").arg(&results));
    Ok(results)
}

/// Until it powers off.
fn boot(script: &Path, folder: &Path, archives: &[PathBuf]) {
    let mut guest = Command::new(script).arg(folder).args(archives).stdin(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = guest.try_wait().unwrap() {
            break Some(status);
        }
        if started.elapsed() > PATIENCE {
            guest.kill().unwrap();
            guest.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let console = String::from_utf8_lossy(&fs::read(folder.join("console")).unwrap_or_default()).into_owned();
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {console}");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// The unit that the page on services shows.
fn unit_of_the_page(root: &Path) -> String {
    let page = fs::read_to_string(root.join("docs/src/services.md")).unwrap();
    let (_, rest) = page.split_once("```ini\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

impl Check {
    fn text(&self, file: &str) -> String {
        let text = fs::read(self.folder.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn json(&self, file: &str) -> Value {
        serde_json::from_str(&self.text(file))
            .unwrap_or_else(|error| panic!("{}/{file}: {error}: {}", self.name, self.text("stderr")))
    }

    /// `NAME: VALUE` or `NAME=VALUE`, line by line.
    fn values(&self, file: &str) -> BTreeMap<String, String> {
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ").or(line.split_once('='))?;
            Some((name.to_owned(), value.to_owned()))
        };
        self.text(file).lines().filter_map(pair).collect()
    }

    /// What the cgroup that alumet was started in was like before a run, where alumet was during it, and the former after it.
    fn around(&self, name: &str) -> [BTreeMap<String, String>; 3] {
        ["before", "during", "after"].map(|when| self.values(&format!("{name}.{when}")))
    }

    /// The peak of memory of this scope in a profile.
    fn peak(&self, name: &str, scope: &str) -> Option<Value> {
        let profile = self.json(&format!("{name}.json"));
        let mut metrics = profile["runs"][0]["metrics"].as_array().unwrap().iter();
        metrics.find(|metric| metric["labels"]["process.memory.peak.scope"] == scope).cloned()
    }

    /// In the CPU time of a profile is that of the cgroup that the work was done in, and what the application has done besides
    /// in its own; as the kernel's own inherited clock has it where that may be read, which is another witness.
    #[track_caller]
    fn has_all_of(&self, name: &str) {
        let profile = self.json(&format!("{name}.json"));
        let cpu = counter(&profile, "process.cpu.time", "");
        let usage = self.text(&format!("{name}.usage")).trim().parse::<f64>().unwrap() * 1e-6;
        assert!(usage >= 1.5, "{name}: {usage}");
        assert!(cpu >= 0.98 * usage, "{name}: {cpu} s of {usage} s: {profile:#}");
        let is_counted = profile.to_string().contains("perf.task-clock");
        if is_counted {
            let clock = counter(&profile, "perf.task-clock", "");
            assert!((cpu / clock - 1.0).abs() < 0.1, "{name}: {cpu} s and {clock} s");
        }
    }
}

/// Whether the doctor sees a cgroup for the application, and the status of this source.
fn found(doctor: &Value, source: &str) -> (bool, String) {
    let sources = doctor["sources"].as_array().unwrap();
    let source = sources.iter().find(|found| found["name"] == source).unwrap();
    (doctor["cgroup"]["delegated"].as_bool().unwrap(), source["status"].as_str().unwrap().to_owned())
}

#[test]
fn processes_that_systemd_moves_elsewhere_are_counted() {
    let Some(left) = check("left", "processes_that_systemd_moves_elsewhere_are_counted") else { return };
    for name in ["runuser", "su", "scope", "user-scope"] {
        left.has_all_of(name);
    }
}

#[test]
fn a_container_of_an_ordinary_user_is_counted() {
    let Some(podman) = check("podman", "a_container_of_an_ordinary_user_is_counted") else { return };
    let profile = podman.json("p.json");
    assert!(counter(&profile, "process.cpu.time", "") >= 1.5, "{profile:#}");
}

#[test]
fn what_was_moved_elsewhere_ends_with_the_rest_or_is_waited_for() {
    let Some(end) = check("end", "what_was_moved_elsewhere_ends_with_the_rest_or_is_waited_for") else {
        return;
    };
    assert_eq!(end.text("statuses"), "scope: 124\nlogin: 124\n");
    end.has_all_of("all");
}

#[test]
fn in_a_unit_of_its_own_the_memory_of_the_application_is_counted_by_the_kernel() {
    let test = "in_a_unit_of_its_own_the_memory_of_the_application_is_counted_by_the_kernel";
    let Some(memory) = check("memory", test) else { return };
    for name in ["scope", "user-scope", "delegated", "service"] {
        let profile = memory.json(&format!("{name}.json"));
        let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
        let by_cgroup = metrics.iter().find(|metric| metric["method"] == "cgroup memory.peak");
        let peak = by_cgroup.unwrap_or_else(|| panic!("{name}: {profile:#}"))["max"].as_f64().unwrap();
        assert!((50e6..100e6).contains(&peak), "{name}: {peak}");
        assert_eq!(profile["runs"][0]["followed"]["method"], "cgroup", "{name}");
    }
}

#[test]
fn a_cgroup_that_alumet_has_for_itself_is_left_as_it_was() {
    let Some(peaks) = check("peaks", "a_cgroup_that_alumet_has_for_itself_is_left_as_it_was") else { return };
    for name in ["root", "alice"] {
        let [before, during, after] = peaks.around(name);
        assert!(during["alumet"].starts_with(&format!("{}/alumet-", before["own"])), "{name}: {during:?}");
        assert_eq!(before, after, "{name}");
        assert_eq!(before["below"], "", "{name}");
        assert!(peaks.peak(name, "cgroup").is_some_and(|peak| peak["max"].as_f64() > Some(50e6)), "{name}");
    }
}

#[test]
fn a_cgroup_that_alumet_shares_with_a_shell_is_not_touched() {
    let Some(peaks) = check("peaks", "a_cgroup_that_alumet_shares_with_a_shell_is_not_touched") else {
        return;
    };
    let [before, during, after] = peaks.around("shell");
    assert_eq!(during["alumet"], before["own"]);
    assert_eq!(before, after);
    assert_eq!(peaks.peak("shell", "cgroup"), None);
}

#[test]
fn a_file_that_is_read_is_in_the_memory_of_the_cgroup_if_it_was_not_cached_and_never_in_that_of_the_tree() {
    let test = "a_file_that_is_read_is_in_the_memory_of_the_cgroup_if_it_was_not_cached_and_never_in_that_of_the_tree";
    let Some(peaks) = check("peaks", test) else { return };
    let peak = |cache, scope| peaks.peak(cache, scope).unwrap()["max"].as_f64().unwrap();
    let (cold, warm) = (peak("cold", "tree"), peak("warm", "tree"));
    // The kernel counts in batches of pages for each CPU; the file has 50 MB.
    assert!((cold - warm).abs() < 1e6 && cold < 10e6, "{cold} {warm}");
    let (cold, warm) = (peak("cold", "cgroup"), peak("warm", "cgroup"));
    assert!(cold > 48e6 && warm < 10e6, "{cold} {warm}");
}

#[test]
fn four_processes_of_a_moment_have_at_least_what_the_largest_has_and_not_more_than_all() {
    let test = "four_processes_of_a_moment_have_at_least_what_the_largest_has_and_not_more_than_all";
    let Some(peaks) = check("peaks", test) else { return };
    for name in ["four-5ms", "four-200ms"] {
        let tree = peaks.peak(name, "tree").unwrap();
        assert_eq!(tree["bound"], "at_least", "{name}: {tree}");
        let peak = tree["max"].as_f64().unwrap();
        assert!((47e6..1.05 * 200e6).contains(&peak), "{name}: {tree}");
    }
}

#[test]
fn each_remedy_for_a_cgroup_helps_word_for_word() {
    let Some(remedies) = check("remedies", "each_remedy_for_a_cgroup_helps_word_for_word") else { return };
    for name in ["session", "su", "never-logged-in", "user", "read-only", "unit"] {
        let (before, after) =
            (remedies.json(&format!("{name}.before")), remedies.json(&format!("{name}.after")));
        let remedy = &before["cgroup"]["remedy"];
        assert_eq!(before["cgroup"]["delegated"], false, "{name}");
        assert_ne!(remedy, "", "{name}");
        assert_eq!(after["cgroup"]["delegated"], true, "{name}: {remedy}: {after:#}");
    }
    let said = |name: &str| {
        remedies.json(&format!("{name}.before"))["cgroup"]["remedy"].as_str().unwrap().to_owned()
    };
    assert_eq!(said("session"), "systemd-run --user --scope alumet exec ...");
    assert!(
        said("never-logged-in").starts_with("sudo systemctl start user@1002.service && XDG_RUNTIME_DIR=")
    );
    assert!(said("user").contains("-p Delegate=yes"));
    assert_eq!(said("unit"), "in look.service, below [Service], set Delegate=yes, and start it anew");
}

#[test]
fn each_remedy_for_a_sandbox_or_a_right_helps_word_for_word() {
    let test = "each_remedy_for_a_sandbox_or_a_right_helps_word_for_word";
    let Some(remedies) = check("remedies", test) else { return };
    for (name, source, before) in [
        ("processes-only", "procfs", "partly"),
        ("filtered", "perf", "not_permitted"),
        ("perf", "perf", "not_permitted"),
    ] {
        let doctor = |when: &str| remedies.json(&format!("{name}.{when}"));
        assert_eq!(found(&doctor("before"), source).1, before, "{name}");
        let after = found(&doctor("after"), source).1;
        // Hardware counters are not in the guest.
        let expected = if source == "perf" { "partly" } else { "available" };
        assert_eq!(after, expected, "{name}: {:#}", doctor("before"));
    }
}

#[test]
fn an_end_for_want_of_memory_is_told_and_whose_it_was() {
    let Some(oom) = check("oom", "an_end_for_want_of_memory_is_told_and_whose_it_was") else { return };
    for (name, among) in [("yes", "application"), ("no", "hungry-no.service")] {
        let run = &oom.json(&format!("{name}.json"))["runs"][0];
        assert_eq!(run["exit"]["signal"], 9, "{name}");
        assert_eq!(run["oom_kills"], serde_json::json!({ "count": 1, "among": among }), "{name}");
    }
    assert!(oom.text("stderr").contains("out of memory: the kernel has killed 1 process of it"));
    let killed = &oom.json("killed.json")["runs"][0];
    assert_eq!((&killed["exit"]["signal"], &killed["oom_kills"]), (&Value::from(9), &Value::Null));
}

#[test]
fn the_unit_of_the_page_on_services_starts_stops_and_reports() {
    let Some(service) = check("service", "the_unit_of_the_page_on_services_starts_stops_and_reports") else {
        return;
    };
    // Also with systemd's own way to stop, which sends SIGTERM to everybody.
    for name in ["page", "group"] {
        let text = service.text(name);
        let values = service.values(name);
        assert_eq!(values["started"], "0", "{name}: {text}");
        assert!(text.contains("ActiveState=active\n"), "{name}: {text}");
        assert_eq!((&*values["ActiveState"], &*values["Result"]), ("inactive", "success"), "{name}: {text}");
        assert_eq!(text.matches("TERM\n").count(), 1, "{name}: {text}");
        assert_eq!(service.json(&format!("{name}.json"))["runs"][0]["exit"]["code"], 143);
    }
}

#[test]
fn what_a_service_does_for_the_application_is_named_as_not_counted() {
    let test = "what_a_service_does_for_the_application_is_named_as_not_counted";
    let Some(elsewhere) = check("elsewhere", test) else { return };
    for (name, program) in [("systemd-run", "systemd"), ("shell", "systemd"), ("at", "atd")] {
        let missing = elsewhere.json(&format!("{name}.json"))["missing"].to_string();
        assert!(missing.contains(&format!("what {program} starts")), "{name}: {missing}");
        let text = elsewhere.text(&format!("{name}.text"));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("what {program} starts")), "{text}");
    }
    let scope = elsewhere.json("scope.json")["missing"].to_string();
    assert!(!scope.contains("systemd starts"), "{scope}");
}
