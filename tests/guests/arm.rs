//! Hardware events, on an emulated ARM machine whose counts are exact and whose programs have known counts.
//!
//! All checks are made in two boots, one with a PMU and one without; the tests read what they printed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::skip;

/// A loop of this many rounds is 5 + 2 × so many instructions.
const LOOPS: [u64; 4] = [1_000_000, 1_050_000, 20_000_000, 100_000_000];

const SETTING: &str = "
children='i=0; while [ $i -lt 30 ]; do tiny1000000; i=$((i + 1)); done'
# More than the seven counters that there are.
eight=instructions:u,cycles:u,r8:u,r11:u,r8,r11,cycles,instructions
eleven=$eight,stalled-cycles-frontend,stalled-cycles-backend,r23
profile() {
    alumet exec -q --json p.json \"$@\"
    status=$?
    cat p.json
    return $status
}
as_user() {
    start-stop-daemon -S -c 1000:1000 -x /t/alumet -- \"$@\"
}
";

const WITH_A_PMU: &str = "
check one profile -e instructions:u tiny1000000
check children profile -e instructions:u sh -c \"$children\"
check turns_of_children profile -e $eleven sh -c \"$children\"
check turns_shown alumet exec -e $eleven sh -c \"$children\"
check turns_at_10ms profile -i 10ms -o s.csv -e $eleven tiny100000000
check rows_at_10ms cat s.csv
check turns_at_200ms profile -i 200ms -e $eleven tiny100000000
check no_turn alumet exec -e $eleven,r8:k,r11:k tiny1000000
check no_turn_in_runs alumet exec -r 2 -e $eleven,r8:k,r11:k tiny1000000
check modes alumet exec -v -e cycles,instructions,cycles:u,instructions:u,cycles:k,instructions:k tiny1000000
check usual alumet exec -v --json p.json tiny1000000
check fingerprint cat p.json
check equal alumet check --gate instructions:u --baseline-cmd tiny1000000 -- tiny1000000
check more alumet check --gate instructions:u --baseline-cmd tiny1000000 -- tiny1050000
check shared alumet compare --pairs 5 -e $eight --gate instructions:u tiny20000000 tiny20000000
check absent alumet compare -q --gate branches tiny1000000 tiny1000000
check memory profile dd if=/dev/zero of=/dev/null bs=20M count=1
check closed as_user exec -e instructions tiny1000000
check closed_for_the_kernel as_user exec -e context-switches tiny1000000
echo 2 >/proc/sys/kernel/perf_event_paranoid
check opened as_user exec -e instructions tiny1000000
";

const WITHOUT_A_PMU: &str = "
check asked alumet exec -e instructions tiny1000000
check usual alumet exec -v tiny1000000
";

/// What the checks of a guest printed, and their statuses, by their names.
type Checks = BTreeMap<String, (i32, String)>;

/// What is needed to boot, or why there is none.
fn guest() -> &'static Result<PathBuf, String> {
    static GUEST: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    GUEST.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests/arm");
        if Command::new("qemu-system-aarch64").arg("--version").output().is_err() {
            return Err("qemu-system-aarch64 is not installed".into());
        }
        let image = Command::new(script("image")).arg(&folder).output().unwrap();
        match image.status.code() {
            Some(0) => {}
            Some(69) => return Err(String::from_utf8_lossy(&image.stdout).trim().to_owned()),
            _ => panic!("{image:?}"),
        }
        programs(&folder)?;
        Ok(folder)
    })
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/arm").join(name)
}

/// Builds alumet and the programs of known counts for the guest, into `FOLDER/programs`.
fn programs(folder: &Path) -> Result<(), String> {
    const TARGET: &str = "aarch64-unknown-linux-musl";
    let added = Command::new("rustup").args(["target", "add", TARGET]).output();
    if !added.is_ok_and(|added| added.status.success()) {
        return Err(format!("`rustup target add {TARGET}` fails"));
    }
    let (programs, libraries) = (folder.join("programs"), folder.join("lib"));
    for folder in [&programs, &libraries] {
        std::fs::create_dir_all(folder).unwrap();
    }
    // An empty archive: NVML's loader asks for the library, which musl has no part of.
    std::fs::write(libraries.join("libdl.a"), "!<arch>\n").unwrap();
    let linker = linker();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "alumet-cli", "--profile", "guest", "--target", TARGET]);
    cargo.arg("--target-dir").arg(folder.join("cargo")).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", &linker);
    cargo.env("RUSTFLAGS", format!("-L {}", libraries.display()));
    run(&mut cargo);
    let alumet = folder.join("cargo").join(TARGET).join("guest/alumet");
    std::fs::copy(alumet, programs.join("alumet")).unwrap();
    for loops in LOOPS {
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "--target", TARGET, "-C", "panic=abort", "-C", "opt-level=1"]);
        rustc.args([
            "-C",
            "relocation-model=static",
            "-C",
            "link-self-contained=no",
            "-C",
            "linker-flavor=ld.lld",
        ]);
        rustc.arg("-C").arg(format!("linker={}", linker.display()));
        rustc.arg(script("tiny.rs")).arg("-o").arg(programs.join(format!("tiny{loops}")));
        run(rustc.env("LOOPS", loops.to_string()));
    }
    Ok(())
}

/// The linker that comes with Rust.
fn linker() -> PathBuf {
    let print = |what: &str| {
        let output = Command::new("rustc").args(["--print", what]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    Path::new(&print("sysroot")).join("lib/rustlib").join(print("host-tuple")).join("bin/rust-lld")
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Boots the guest with this CPU, and makes these checks.
fn boot(folder: &Path, cpu: &str, checks: &str) -> Checks {
    let files = tempfile::tempdir().unwrap();
    for program in std::fs::read_dir(folder.join("programs")).unwrap() {
        let program = program.unwrap();
        std::fs::copy(program.path(), files.path().join(program.file_name())).unwrap();
    }
    std::fs::write(files.path().join("script"), format!("{SETTING}{checks}")).unwrap();
    let console = Command::new(script("boot")).arg(folder).arg(files.path()).arg(cpu).output().unwrap();
    let text = String::from_utf8_lossy(&console.stdout).replace('\r', "");
    let mut made = Checks::new();
    for part in text.split("=== begin ").skip(1) {
        let (name, rest) = part.split_once('\n').unwrap();
        let (output, end) = rest.split_once(&format!("=== end {name} ")).unwrap_or_else(|| panic!("{text}"));
        let status = end.split_whitespace().next().unwrap().parse().unwrap();
        made.insert(name.to_owned(), (status, output.to_owned()));
    }
    assert_eq!(made.len(), checks.matches("\ncheck ").count(), "{text}{console:?}");
    made
}

/// The checks of the guest with a PMU, unless there is none, which is said of this test.
fn with_a_pmu(test: &str) -> Option<&'static Checks> {
    static CHECKS: OnceLock<Option<Checks>> = OnceLock::new();
    let checks = CHECKS.get_or_init(|| Some(boot(guest().as_ref().ok()?, "max", WITH_A_PMU)));
    if let Err(why) = guest() {
        skip(test, why);
    }
    checks.as_ref()
}

fn without_a_pmu(test: &str) -> Option<&'static Checks> {
    static CHECKS: OnceLock<Option<Checks>> = OnceLock::new();
    let checks = CHECKS.get_or_init(|| Some(boot(guest().as_ref().ok()?, "max,pmu=off", WITHOUT_A_PMU)));
    if let Err(why) = guest() {
        skip(test, why);
    }
    checks.as_ref()
}

/// The text of a check that ended with this status, in one line.
#[track_caller]
fn words(checks: &Checks, name: &str, status: i32) -> String {
    let (got, text) = &checks[name];
    assert_eq!(*got, status, "{name}: {text}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A profile that a check printed.
#[track_caller]
fn profile(checks: &Checks, name: &str) -> Value {
    let text = &checks[name].1;
    let json = &text[text.find('{').unwrap_or_else(|| panic!("{name}: {text}"))..];
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{name}: {error}: {text}"))
}

/// The totals of events that were counted, each with the share of the time for which it was.
fn events(profile: &Value) -> BTreeMap<String, (f64, f64)> {
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let share = |event: &str| {
        let running = |metric: &&Value| {
            metric["metric"] == "perf_event.running" && metric["labels"]["perf.event"] == event
        };
        metrics.iter().find(running).and_then(|metric| metric["mean"].as_f64()).unwrap_or(1.0)
    };
    let counted = metrics.iter().filter_map(|metric| {
        let event = metric["metric"].as_str()?.strip_prefix("perf.")?;
        Some((event.to_owned(), (metric["value"].as_f64()?, share(event))))
    });
    counted.collect()
}

#[track_caller]
fn close(got: f64, expected: f64, within: f64, what: &str) {
    assert!((got / expected - 1.0).abs() <= within, "{what}: {got} is not {expected}");
}

#[test]
fn counts_that_share_no_counter_are_exact() {
    let Some(checks) = with_a_pmu("counts_that_share_no_counter_are_exact") else { return };
    let count = |name: &str| events(&profile(checks, name))["instructions:u"];
    assert_eq!(count("one"), (2_000_005.0, 1.0));
    let (children, share) = count("children");
    // The shell's own are a hundredth.
    assert!(share == 1.0 && (60_000_150.0..61_500_000.0).contains(&children), "{children}");
}

#[test]
fn events_that_take_turns_over_short_children_are_right_or_marked_and_never_zero() {
    let test = "events_that_take_turns_over_short_children_are_right_or_marked_and_never_zero";
    let Some(checks) = with_a_pmu(test) else { return };
    let truth = events(&profile(checks, "children"))["instructions:u"].0;
    let counted = events(&profile(checks, "turns_of_children"));
    // Codes 8 and 0x11 are instructions and cycles, of which there is one each.
    let counted_in_user_mode =
        ["instructions:u", "cycles:u", "r8:u", "r11:u"].map(|event| counted.get(event));
    assert!(counted_in_user_mode.iter().flatten().count() >= 2, "{counted:?}");
    let shown = words(checks, "turns_shown", 125);
    for (count, share) in counted_in_user_mode.into_iter().flatten() {
        assert!(*share < 1.0 || (count / truth - 1.0).abs() <= 0.03, "{count} of {truth} at {share}");
    }
    assert!(counted.values().any(|(_, share)| *share < 1.0), "{counted:?}");
    assert!(shown.contains("multiplexed: counted"), "{shown}");
}

#[test]
fn what_takes_turns_comes_to_the_same_at_every_interval_and_its_points_add_up() {
    let test = "what_takes_turns_comes_to_the_same_at_every_interval_and_its_points_add_up";
    let Some(checks) = with_a_pmu(test) else { return };
    let [fine, coarse] = ["turns_at_10ms", "turns_at_200ms"].map(|name| events(&profile(checks, name)));
    for event in ["instructions:u", "cycles:u", "r8:u", "r11:u"] {
        for (totals, interval) in [(&fine, "10 ms"), (&coarse, "200 ms")] {
            let (count, share) = totals[event];
            close(count, 200_000_005.0, 0.002, &format!("{event} at {interval}"));
            assert!(share < 0.8, "{event} took turns: {share}");
        }
    }
    let rows = checks["rows_at_10ms"].1.lines().filter(|row| row.contains(",perf.instructions:u,"));
    let increases: Vec<f64> = rows.map(|row| row.split(',').nth(4).unwrap().parse().unwrap()).collect();
    assert!(increases.len() >= 15, "{increases:?}");
    close(increases.iter().sum(), fine["instructions:u"].0, 1e-9, "the sum of the rows");
    // The program is the same all the time: so are its increases, but for those in which the event waited.
    let (last, others) = increases.split_last().unwrap();
    assert!(others.iter().all(|increase| *increase >= 0.0), "{increases:?}");
    assert!(last.abs() < 0.1 * fine["instructions:u"].0, "the end corrects little: {increases:?}");
}

#[test]
fn an_event_that_was_asked_for_and_had_no_turn_ends_with_125() {
    let Some(checks) = with_a_pmu("an_event_that_was_asked_for_and_had_no_turn_ends_with_125") else {
        return;
    };
    let says = "not counted: it never got one of the CPU's counters; ask for fewer events";
    for name in ["no_turn", "no_turn_in_runs"] {
        let text = words(checks, name, 125);
        assert!(text.contains(says), "{name}: {text}");
    }
}

#[test]
fn the_row_of_work_has_what_belongs_to_its_own_mode() {
    let Some(checks) = with_a_pmu("the_row_of_work_has_what_belongs_to_its_own_mode") else { return };
    let text = &checks["modes"].1;
    let rows: Vec<_> = text.lines().filter(|line| line.trim_start().starts_with("Work")).collect();
    assert_eq!(rows.len(), 2, "{text}");
    for row in rows {
        assert_eq!(row.matches("per cycle").count(), 1, "{text}");
    }
}

#[test]
fn of_a_pmu_that_lacks_events_those_are_named_and_the_others_counted() {
    let test = "of_a_pmu_that_lacks_events_those_are_named_and_the_others_counted";
    let Some(checks) = with_a_pmu(test) else { return };
    let text = words(checks, "usual", 0);
    let reason = "unavailable: the counters that this virtual machine has do not count it";
    let gap = format!("branches, branch-misses, cache-references, cache-misses ({reason})");
    assert!(text.contains(&gap) && !text.contains("no hardware counters"), "{text}");
    assert!(text.contains(" instructions "), "{text}");
    let text = words(checks, "absent", 125);
    assert!(text.contains(reason), "{text}");
}

#[test]
fn without_a_pmu_an_event_that_was_asked_for_ends_with_125_and_the_true_reason() {
    let test = "without_a_pmu_an_event_that_was_asked_for_ends_with_125_and_the_true_reason";
    let Some(checks) = without_a_pmu(test) else { return };
    let reason = "unavailable: this virtual machine has no hardware counters";
    let text = words(checks, "asked", 125);
    assert!(text.contains(&format!("event `instructions` cannot be counted: {reason}")), "{text}");
    let text = words(checks, "usual", 0);
    assert!(text.contains(&format!("hardware events ({reason}")), "{text}");
}

#[test]
fn exact_counts_of_instructions_decide_a_gate_and_shared_ones_do_not() {
    let test = "exact_counts_of_instructions_decide_a_gate_and_shared_ones_do_not";
    let Some(checks) = with_a_pmu(test) else { return };
    let text = words(checks, "equal", 0);
    assert!(text.contains("PASS"), "{text}");
    let text = words(checks, "more", 3);
    assert!(text.contains("REGRESSION"), "{text}");
    let text = words(checks, "shared", 125);
    assert!(text.contains("instructions:u cannot decide: it is multiplexed"), "{text}");
}

#[test]
fn users_who_may_count_nothing_are_told_the_one_command_that_changes_that() {
    let test = "users_who_may_count_nothing_are_told_the_one_command_that_changes_that";
    let Some(checks) = with_a_pmu(test) else { return };
    let reason = "not permitted: this kernel lets users count nothing (perf_event_paranoid is 3)";
    let text = words(checks, "closed", 125);
    assert!(text.contains(&format!("{reason}; sudo sysctl kernel.perf_event_paranoid=2")), "{text}");
    assert!(!text.contains("setcap"), "{text}");
    let text = words(checks, "closed_for_the_kernel", 125);
    assert!(text.contains("perf_event_paranoid=2 && sudo setcap cap_perfmon=ep /t/alumet"), "{text}");
    let text = words(checks, "opened", 0);
    assert!(text.contains("2.00 M instructions:u"), "{text}");
}

#[test]
fn a_machine_that_is_no_pc_knows_that_it_is_virtual_and_what_cpu_it_has() {
    let test = "a_machine_that_is_no_pc_knows_that_it_is_virtual_and_what_cpu_it_has";
    let Some(checks) = with_a_pmu(test) else { return };
    let host = &profile(checks, "fingerprint")["host"];
    assert_eq!((&host["virtualisation"], &host["architecture"]), (&"vm".into(), &"aarch64".into()));
    assert_eq!(host["cpu_model"], "ARM 0x00/0x051");
}

#[test]
fn memory_that_is_used_for_a_moment_is_in_the_peak() {
    let Some(checks) = with_a_pmu("memory_that_is_used_for_a_moment_is_in_the_peak") else { return };
    let profile = profile(checks, "memory");
    let metrics = profile["runs"][0]["metrics"].as_array().unwrap();
    let is_peak = |metric: &&Value| {
        metric["metric"] == "process.memory.peak" && metric["labels"]["process.memory.peak.scope"] == "tree"
    };
    let peak = metrics.iter().find(is_peak).unwrap()["max"].as_f64().unwrap();
    assert!((20.0..24.0).contains(&(peak / 1024.0 / 1024.0)), "{peak}");
}
