//! The application's tree, step by step: of processes that stand still while they are looked at, what is counted is what the
//! kernel says of each. Their program is `workload.rs` of the whole project's tests.

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alumet::process::tick;
use alumet::target::{Command, Root, Usage};
use alumet::{
    Agent, Batch, Bound, Consumer, Gaps, Interval, Output, Registry, Series, Source, Target, Total, Totals,
};
use alumet_plugin_procfs::tree::Tree;
use alumet_plugin_procfs::{Config, Procfs};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// A process that launches an application reaps every child that it has: one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// The program, compiled if it is newer than what is there.
fn workload() -> String {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/support/workload.rs");
    let path = directory.join("workload-procfs");
    let age = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    if age(&path) < age(&source) {
        let own = directory.join(format!("workload-procfs-{}", std::process::id()));
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let mut rustc = std::process::Command::new(rustc);
        assert!(rustc.args(["--edition=2024", "-O", "-o"]).args([&own, &source]).status().unwrap().success());
        fs::rename(own, &path).unwrap();
    }
    path.display().to_string()
}

/// What the kernel says of a process, as it is at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Seen {
    state: char,
    minor: f64,
    major: f64,
    children_minor: f64,
    /// Bytes.
    resident: f64,
    /// Of the main thread.
    voluntary: f64,
    involuntary: f64,
    read: f64,
    written: f64,
    /// Seconds, exact.
    cpu: f64,
}

fn number(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
}

impl Seen {
    fn of(pid: i32) -> Option<Self> {
        let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        let stat = file("stat")?;
        let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
        // As proc_pid_stat(5) numbers them.
        let field = |n: usize| fields[n - 3].parse::<f64>().unwrap();
        // That of one that has ended may not be read by everybody.
        let none = "read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n";
        let (status, io) = (file("status")?, file("io").unwrap_or_else(|| none.into()));
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).ok()?;
        Some(Self {
            state: fields[0].chars().next()?,
            minor: field(10),
            children_minor: field(11),
            major: field(12),
            resident: field(24) * 4096.0,
            voluntary: number(&status, "voluntary_ctxt_switches"),
            involuntary: number(&status, "nonvoluntary_ctxt_switches"),
            read: number(&io, "read_bytes"),
            written: number(&io, "write_bytes") - number(&io, "cancelled_write_bytes"),
            cpu: Duration::from(clock_gettime(clock).ok()?).as_secs_f64(),
        })
    }

    /// Waits until a process waits for something.
    fn standing(pid: i32) -> Self {
        soon(|| {
            let seen = Self::of(pid).filter(|seen| seen.state == 'S')?;
            // On its way there it may have rested elsewhere.
            std::thread::sleep(Duration::from_millis(5));
            Self::of(pid).filter(|later| *later == seen)
        })
    }
}

/// The state in a `stat`.
fn state(stat: &str) -> char {
    stat[stat.rfind(')').unwrap() + 2..].chars().next().unwrap()
}

/// Waits until there is something, for half a minute.
#[track_caller]
fn soon<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "it does not come about");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The resident memory of a process in bytes, page by page.
fn resident(pid: i32) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    number(&rollup, "Rss") * 1024.0
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn kill(pid: i32) {
    // SAFETY: kill takes two numbers.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

/// An application, and the source that looks at it when it is told to.
struct Application {
    pid: i32,
    target: Arc<Target>,
    tree: Tree,
    registry: Arc<Registry>,
    gaps: Gaps,
    totals: Totals,
    retired: Vec<Arc<Series>>,
    stdin: PipeWriter,
    stdout: BufReader<PipeReader>,
    /// Of one that was attached to.
    child: Option<Child>,
    _one: MutexGuard<'static, ()>,
}

fn config() -> Config {
    Config { interval: Interval::from_millis(200), per_process: true, per_thread: true }
}

impl Application {
    /// At the gate, where it was looked at once.
    fn launch(words: &[&str], config: &Config) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let words = match words {
            [first, ..] if first.contains('=') || *first == "ignore" => {
                [&[workload()][..], &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()].concat()
            }
            words => words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let (their_stdin, stdin) = std::io::pipe().unwrap();
        let (stdout, their_stdout) = std::io::pipe().unwrap();
        let mut command = Command::new(words);
        command.stream(0, their_stdin).stream(1, their_stdout);
        let target = Target::launch(&command).unwrap();
        drop(command);
        target.wait_at_gate().unwrap();
        Self::of(target, config, (stdin, stdout), None, one)
    }

    fn of(
        target: Target,
        config: &Config,
        (stdin, stdout): (PipeWriter, PipeReader),
        child: Option<Child>,
        one: MutexGuard<'static, ()>,
    ) -> Self {
        let (target, registry, gaps) = (Arc::new(target), Registry::new(), Gaps::default());
        let tree = Tree::new(Arc::clone(&target), &registry, &gaps, config).unwrap();
        let mut application = Self {
            pid: target.pid(),
            target,
            tree,
            registry,
            gaps,
            totals: Totals::new(),
            retired: Vec::new(),
            stdin,
            stdout: BufReader::new(stdout),
            child,
            _one: one,
        };
        application.poll();
        application
    }

    /// Opens the gate, and waits until the application has told its usage and stands.
    fn start(&mut self) -> Seen {
        self.target.open_gate().unwrap();
        self.stand()
    }

    fn stand(&mut self) -> Seen {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it has ended");
        Seen::standing(self.pid)
    }

    fn go(&mut self) {
        self.stdin.write_all(b"\n").unwrap();
    }

    /// Up to the next stand.
    fn go_on(&mut self) -> Seen {
        self.go();
        self.stand()
    }

    fn poll(&mut self) {
        let mut batch = Batch::new(Arc::clone(&self.registry));
        self.tree.poll(&mut batch).unwrap();
        self.take(&batch);
    }

    fn take(&mut self, batch: &Batch) {
        self.retired.extend(batch.retired().iter().map(|series| batch.series(*series)));
        self.totals.write(batch).unwrap();
    }

    /// Lets it go to its end, and takes the last reading. Returns what was reaped.
    fn finish(&mut self) -> Usage {
        self.go();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            self.target.exited().await.unwrap();
            self.target.reap_the_ending().await;
        });
        self.last_reading();
        self.target.reaped()
    }

    fn last_reading(&mut self) {
        let mut batch = Batch::new(Arc::clone(&self.registry));
        self.tree.finish(&mut batch).unwrap();
        self.take(&batch);
    }

    fn total(&self, consumer: Consumer, metric: &str, label: &str) -> Option<Total> {
        let is = |series: &Series| {
            series.consumer == consumer
                && series.metric.name == metric
                && (label.is_empty() || series.labels.iter().any(|(_, value)| value == label))
        };
        let mut all = self.totals.get().into_iter().filter(|total| is(&total.series));
        let first = all.next();
        assert!(all.next().is_none(), "one series alone");
        first
    }

    fn of_target(&self, metric: &str, label: &str) -> f64 {
        self.total(Consumer::Target, metric, label).map_or(f64::NAN, |total| total.value)
    }

    fn of_process(&self, pid: i32, metric: &str, label: &str) -> f64 {
        self.total(Consumer::Process(pid), metric, label).map_or(f64::NAN, |total| total.value)
    }

    /// A gauge as it was read last.
    fn last(&self, consumer: Consumer, metric: &str) -> f64 {
        self.total(consumer, metric, "").map_or(f64::NAN, |total| total.last)
    }

    /// Seconds, of both modes.
    fn cpu(&self) -> f64 {
        self.of_target("process.cpu.time", "user") + self.of_target("process.cpu.time", "system")
    }

    /// The CPU time is that which the files tell of, in seconds. A cgroup also knows of what is on the way between them;
    /// without one, that of children comes in ticks of two modes.
    #[track_caller]
    fn is_cpu(&self, files: f64) {
        let cut = if self.target.cgroup().is_ok() { 1e-6 } else { 2.0 * tick().as_secs_f64() };
        let got = self.cpu();
        assert!((files - cut..files * 1.01 + 0.005).contains(&got), "{got} s is not {files} s");
    }

    fn faults(&self) -> [f64; 2] {
        ["minor", "major"].map(|label| self.of_target(FAULTS, label))
    }

    fn bound(&self, metric: &str, label: &str) -> (Bound, String) {
        let total = self.total(Consumer::Target, metric, label).unwrap();
        (total.bound, total.bound_reason.into_owned())
    }
}

/// A program that runs already and has told its usage.
struct Running {
    child: Child,
    streams: (PipeWriter, PipeReader),
    one: MutexGuard<'static, ()>,
}

impl Running {
    fn start(steps: &[&str]) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (their_stdin, stdin) = std::io::pipe().unwrap();
        let (stdout, their_stdout) = std::io::pipe().unwrap();
        let mut command = std::process::Command::new(workload());
        command.args(steps).stdin(their_stdin).stdout(their_stdout).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        drop(command);
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut String::new()).unwrap();
        Self { child, streams: (stdin, stdout.into_inner()), one }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn attach(self, config: &Config) -> Application {
        let target = Target::attach(vec![Root::hold(self.pid()).unwrap()]);
        Application::of(target, config, self.streams, Some(self.child), self.one)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        // Whatever has become of the test: the next one starts without children.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = runtime.block_on(self.target.terminate(Duration::ZERO));
        self.target.leave();
    }
}

const FAULTS: &str = "process.paging.faults";
const SWITCHES: &str = "process.context_switches";
const IO: &str = "process.disk.io";
const CPU: &str = "process.cpu.time";

#[test]
fn of_a_process_that_stands_still_everything_is_counted_but_what_it_used_at_the_gate() {
    let mut app = Application::launch(&["burn=60", "touch=3", "usage", "go"], &config());
    let gate = Seen::of(app.pid).unwrap();
    assert!(gate.minor > 0.0 && gate.cpu > 0.0, "{gate:?}");
    let now = app.start();
    let resident_before = resident(app.pid);
    app.poll();
    assert_eq!(app.faults(), [now.minor - gate.minor, now.major - gate.major]);
    assert!(now.minor - gate.minor > 700.0, "3 MB in pages of 4 kB");
    let switches = ["voluntary", "involuntary"].map(|label| app.of_target(SWITCHES, label));
    assert_eq!(switches, [now.voluntary - gate.voluntary, now.involuntary - gate.involuntary]);
    let io = ["read", "write"].map(|label| app.of_target(IO, label));
    assert_eq!(io, [now.read - gate.read, now.written - gate.written]);
    app.is_cpu(now.cpu - gate.cpu);
    assert!(app.cpu() > 0.06);
    assert!(app.of_target(CPU, "user") > 0.03, "nearly all is in user mode");
    let method = app.total(Consumer::Target, CPU, "user").unwrap().series.method.to_string();
    assert_eq!(method.starts_with("cgroup cpu.stat"), app.target.cgroup().is_ok(), "{method}");
    assert_eq!(app.last(Consumer::Target, "process.count"), 1.0);
    assert_eq!(app.last(Consumer::Target, "process.thread.count"), 1.0);
    // All of the process' own that is resident, each page once; of a program's file, the kernel may have taken some away.
    let memory = app.last(Consumer::Target, "process.memory.usage");
    assert!((resident(app.pid)..=resident_before).contains(&memory), "{memory} {resident_before}");
    let used = app.finish();
    assert_eq!(app.faults(), [used.minor_faults as f64 - gate.minor, used.major_faults as f64 - gate.major]);
    assert_eq!(app.of_target(SWITCHES, "voluntary"), used.voluntary as f64 - gate.voluntary);
    app.is_cpu(used.cpu().as_secs_f64() - gate.cpu);
    for label in ["user", "system"] {
        assert_eq!(app.bound(CPU, label).0, Bound::Exact, "{label}");
    }
    assert_eq!(app.bound(FAULTS, "minor").0, Bound::Exact);
}

#[test]
fn what_is_costly_to_read_is_read_every_ten_milliseconds_alone() {
    let config = Config { interval: Interval::from_millis(5), per_process: true, ..Config::default() };
    let mut app = Application::launch(&["burn=1", "usage", "go", "touch=1", "usage", "go"], &config);
    let gate = Seen::of(app.pid).unwrap();
    let first = app.start();
    app.poll();
    assert_eq!(app.of_target(SWITCHES, "voluntary"), first.voluntary - gate.voluntary);
    let second = app.go_on();
    assert!(second.voluntary > first.voluntary && second.minor > first.minor);
    app.poll();
    assert_eq!(app.of_target(SWITCHES, "voluntary"), first.voluntary - gate.voluntary);
    assert_eq!(app.faults()[0], second.minor - gate.minor);
    assert_eq!(app.of_process(app.pid, SWITCHES, "voluntary"), first.voluntary - gate.voluntary);
    let faults = ["minor", "major"].map(|label| app.of_process(app.pid, FAULTS, label));
    assert_eq!(faults, [second.minor - gate.minor, second.major - gate.major]);
    app.poll();
    assert_eq!(app.of_target(SWITCHES, "voluntary"), second.voluntary - gate.voluntary);
    assert_eq!(app.of_process(app.pid, SWITCHES, "voluntary"), second.voluntary - gate.voluntary);
    assert!(app.totals.get().iter().all(|total| !matches!(total.series.consumer, Consumer::Thread(_))));
}

#[test]
fn a_child_is_counted_beside_its_parent_and_then_in_it() {
    let mut app =
        Application::launch(&["burn=20", "stay=30", "usage", "go", "reap", "usage", "go"], &config());
    let gate = Seen::of(app.pid).unwrap();
    let before = app.start();
    let [child] = children(app.pid)[..] else { panic!("one child") };
    let of_child = Seen::standing(child);
    app.poll();
    let minor = |of: &Seen| of.minor - gate.minor;
    assert_eq!(app.faults()[0], minor(&before) + of_child.minor);
    assert_eq!(app.of_target(SWITCHES, "voluntary"), before.voluntary - gate.voluntary + of_child.voluntary);
    app.is_cpu(before.cpu - gate.cpu + of_child.cpu);
    assert_eq!(app.last(Consumer::Target, "process.count"), 2.0);
    assert_eq!(app.last(Consumer::Target, "process.thread.count"), 2.0);
    // By process: the child from its birth on, the parent since the gate.
    assert_eq!(app.of_process(child, FAULTS, "minor"), of_child.minor);
    assert_eq!(app.of_process(app.pid, FAULTS, "minor"), minor(&before));
    assert_eq!(app.of_process(child, SWITCHES, "voluntary"), of_child.voluntary);
    assert!((app.of_process(child, CPU, "") - of_child.cpu).abs() < 1e-6);
    assert!((app.of_process(app.pid, CPU, "") - (before.cpu - gate.cpu)).abs() < 1e-6);
    assert_eq!(app.last(Consumer::Process(child), "process.thread.count"), 1.0);
    assert_eq!(app.last(Consumer::Process(child), "process.memory.usage"), of_child.resident);
    // Both together have more than each, and less than both alone: they share what was forked.
    let memory = app.last(Consumer::Target, "process.memory.usage");
    let each = [app.pid, child].map(resident);
    assert!(memory >= each[0].max(each[1]) && memory < each[0] + each[1], "{memory} of {each:?}");
    assert!(app.retired.is_empty());
    kill(child);
    let after = app.go_on();
    assert!(after.children_minor >= of_child.minor);
    app.poll();
    assert_eq!(app.faults()[0], minor(&after) + after.children_minor);
    // Nobody tells of the switches of a child but itself.
    assert_eq!(app.of_target(SWITCHES, "voluntary"), after.voluntary - gate.voluntary + of_child.voluntary);
    app.is_cpu(after.cpu - gate.cpu + of_child.cpu);
    assert_eq!(app.last(Consumer::Target, "process.count"), 1.0);
    let gone: Vec<_> =
        app.retired.iter().filter(|series| series.consumer == Consumer::Process(child)).collect();
    assert_eq!(gone.len(), 9, "each of its series: {gone:?}");
    assert!(app.retired.iter().any(|series| series.consumer == Consumer::Thread(child)));
    assert!(app.retired.iter().all(|series| series.consumer != Consumer::Process(app.pid)));
    let used = app.finish();
    assert_eq!(app.faults()[0], used.minor_faults as f64 - gate.minor);
    assert_eq!(app.of_target(SWITCHES, "voluntary"), used.voluntary as f64 - gate.voluntary);
    assert_eq!(app.bound(FAULTS, "minor").0, Bound::Exact);
    assert_eq!(app.bound(CPU, "user").0, Bound::Exact);
}

#[test]
fn of_a_child_that_nobody_waits_for_what_was_seen_of_it_counts_and_the_totals_are_at_least_that() {
    let mut app =
        Application::launch(&["ignore", "stay=30", "usage", "go", "burn=1", "usage", "go"], &config());
    let gate = Seen::of(app.pid).unwrap();
    app.start();
    let [child] = children(app.pid)[..] else { panic!("one child") };
    let of_child = Seen::standing(child);
    app.poll();
    kill(child);
    soon(|| children(app.pid).is_empty().then_some(()));
    let after = app.go_on();
    for _ in 0..3 {
        app.poll();
        assert_eq!(after.children_minor, 0.0);
        assert_eq!(app.faults()[0], after.minor - gate.minor + of_child.minor);
        app.is_cpu(after.cpu - gate.cpu + of_child.cpu);
    }
    let used = app.finish();
    assert_eq!(app.faults()[0], used.minor_faults as f64 - gate.minor + of_child.minor);
    let (bound, reason) = app.bound(FAULTS, "minor");
    assert_eq!(bound, Bound::AtLeast);
    assert!(reason.contains("ignores SIGCHLD") && reason.contains("workload"), "{reason}");
    assert_eq!(app.bound(IO, "read").0, Bound::AtLeast);
    // A cgroup knows of it all the same.
    let has_cgroup = app.target.cgroup().is_ok();
    assert_eq!(app.bound(CPU, "user").0 == Bound::Exact, has_cgroup);
}

/// The cgroup around that of the application, if it has one.
fn outside(app: &Application) -> Option<PathBuf> {
    app.target.cgroup().ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().rfind(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
    let text = fs::read_to_string(format!("/proc/{}/cgroup", app.pid)).unwrap();
    let own = Path::new(mount).join(text.lines().find_map(|line| line.strip_prefix("0::/"))?);
    own.parent().map(Path::to_owned)
}

fn skip(test: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}, because no cgroup can be made here");
}

#[test]
fn a_child_that_nobody_has_seen_or_waited_for_is_known_to_the_cgroup_alone() {
    let mut app = Application::launch(&["forget=100", "usage", "go"], &config());
    if app.target.cgroup().is_err() {
        return skip("a child that nobody has seen");
    }
    let now = app.start();
    app.poll();
    assert!(now.cpu < 0.1 && (0.1..0.15).contains(&app.cpu()), "{} {}", now.cpu, app.cpu());
    app.finish();
    assert_eq!(app.bound(CPU, "user").0, Bound::Exact);
    let (bound, reason) = app.bound(FAULTS, "minor");
    assert_eq!(bound, Bound::AtLeast);
    assert!(reason.contains("nobody has waited for") && reason.contains(": they had 0.1"), "{reason}");
}

#[test]
fn who_has_left_the_cgroup_is_counted_and_then_it_knows_no_more_of_those_whom_nobody_waits_for() {
    for (steps, is_whole) in [
        (&["usage", "go", "burn=100", "usage", "go"][..], true),
        (&["usage", "go", "ignore", "child=100", "burn=100", "usage", "go"], false),
    ] {
        let mut app = Application::launch(&[&["burn=1"], steps].concat(), &config());
        let Some(outside) = outside(&app) else { return skip("who has left the cgroup") };
        let gate = Seen::of(app.pid).unwrap();
        app.start();
        app.poll();
        fs::write(outside.join("cgroup.procs"), app.pid.to_string()).unwrap();
        let now = app.go_on();
        app.poll();
        app.is_cpu(now.cpu - gate.cpu);
        assert_eq!(app.last(Consumer::Target, "process.count"), 1.0, "found from parent to child");
        app.finish();
        let expected = if is_whole { Bound::Exact } else { Bound::AtLeast };
        assert_eq!((app.bound(CPU, "user").0, app.bound(FAULTS, "minor").0), (expected, expected));
    }
}

#[test]
fn what_a_parent_told_of_others_before_is_not_taken_for_a_child_that_nobody_waits_for() {
    let steps = ["child=5", "usage", "go", "ignore", "stay=10", "usage", "go", "usage", "go"];
    let mut app = Application::launch(&steps, &config());
    let gate = Seen::of(app.pid).unwrap();
    let first = app.start();
    assert!(first.children_minor > 0.0);
    app.poll();
    app.go_on();
    let [child] = children(app.pid)[..] else { panic!("one child") };
    let of_child = Seen::standing(child);
    app.poll();
    kill(child);
    soon(|| children(app.pid).is_empty().then_some(()));
    let after = app.go_on();
    app.poll();
    let expected = after.minor - gate.minor + first.children_minor + of_child.minor;
    assert_eq!(app.faults()[0], expected);
}

#[test]
fn the_threads_of_a_process_are_all_of_it_together() {
    let mut app = Application::launch(&["crew=3:20", "usage", "go"], &config());
    let gate = Seen::of(app.pid).unwrap();
    let now = app.start();
    let tids: Vec<i32> = alumet::target::threads(app.pid).collect();
    assert_eq!(tids.len(), 4);
    let of_thread =
        |tid: i32, file: &str| fs::read_to_string(format!("/proc/{}/task/{tid}/{file}", app.pid)).unwrap();
    for tid in &tids {
        soon(|| state(&of_thread(*tid, "stat")).eq(&'S').then_some(()));
    }
    let on_cpu =
        |tid: i32| of_thread(tid, "schedstat").split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9;
    let voluntary = |tid: i32| number(&of_thread(tid, "status"), "voluntary_ctxt_switches");
    let minor = |tid: i32| {
        let stat = of_thread(tid, "stat");
        stat[stat.rfind(')').unwrap() + 2..].split(' ').nth(7).unwrap().parse::<f64>().unwrap()
    };
    let seen: Vec<_> = tids.iter().map(|tid| (*tid, on_cpu(*tid), voluntary(*tid), minor(*tid))).collect();
    app.poll();
    assert_eq!(app.last(Consumer::Target, "process.thread.count"), 4.0);
    assert_eq!(app.last(Consumer::Process(app.pid), "process.thread.count"), 4.0);
    let all: f64 = seen.iter().map(|(_, _, voluntary, _)| voluntary).sum();
    for _ in 0..2 {
        // A second reading of what stands still has nothing new.
        assert_eq!(app.of_target(SWITCHES, "voluntary"), all - gate.voluntary);
        app.is_cpu(now.cpu - gate.cpu);
        app.poll();
    }
    for (tid, cpu, voluntary, minor) in seen {
        let of = |metric, label| app.total(Consumer::Thread(tid), metric, label).unwrap().value;
        // The main thread is that of the gate.
        let is_main = tid == app.pid;
        let since = |gate: f64| if is_main { gate } else { 0.0 };
        assert_eq!(of(SWITCHES, "voluntary"), voluntary - since(gate.voluntary));
        assert_eq!(of(FAULTS, "minor"), minor - since(gate.minor));
        if is_main {
            assert!(of(CPU, "") <= now.cpu - gate.cpu, "{tid}");
        } else {
            assert!((of(CPU, "") - cpu).abs() < 1e-6 && cpu >= 0.02, "{tid}: {} {cpu}", of(CPU, ""));
        }
    }
    let name = |tid| {
        app.total(Consumer::Thread(tid), CPU, "")
            .unwrap()
            .series
            .label_value("thread.name")
            .map(str::to_owned)
    };
    assert_eq!(name(tids[1]).as_deref(), Some("workload-procfs"));
}

#[test]
fn what_a_process_attached_to_had_used_before_is_not_counted_nor_what_its_children_had() {
    let running = Running::start(&[
        "burn=50", "child=30", "stay=40", "usage", "go", "burn=30", "child=20", "usage", "go", "reap",
        "usage", "go",
    ]);
    let pid = running.pid();
    let before = Seen::standing(pid);
    let [old] = children(pid)[..] else { panic!("one child") };
    let of_old = Seen::standing(old);
    let mut app = running.attach(&config());
    app.poll();
    assert_eq!(app.faults(), [0.0, 0.0]);
    assert!(app.cpu() < 0.001, "{}", app.cpu());
    let now = app.go_on();
    app.poll();
    let used = |now: &Seen| (now.minor - before.minor) + (now.children_minor - before.children_minor);
    assert_eq!(app.faults()[0], used(&now));
    assert_eq!(app.of_target(SWITCHES, "voluntary"), now.voluntary - before.voluntary);
    assert!((0.05..0.15).contains(&app.cpu()), "{}", app.cpu());
    let io = ["read", "write"].map(|label| app.of_target(IO, label));
    assert_eq!(io, [now.read - before.read, now.written - before.written]);
    assert_eq!(app.last(Consumer::Target, "process.count"), 2.0);
    assert_eq!(app.of_process(pid, FAULTS, "minor"), now.minor - before.minor);
    assert_eq!(app.of_process(old, FAULTS, "minor"), 0.0);
    let of_thread = |tid: i32| app.total(Consumer::Thread(tid), CPU, "").unwrap().value;
    assert!((of_thread(pid) - (now.cpu - before.cpu)).abs() < 1e-3, "{}", of_thread(pid));
    assert_eq!(of_thread(old), 0.0);
    // The old child ends, and its parent tells of all that it has ever used.
    kill(old);
    let after = app.go_on();
    app.poll();
    assert_eq!(app.faults()[0], used(&after) - of_old.minor);
    assert!(app.cpu() < 0.15, "{}", app.cpu());
    app.poll();
    assert_eq!(app.faults()[0], used(&after) - of_old.minor);
    // A counter that has seen what was before is no witness.
    app.target.note_counted(Duration::from_secs(3600));
    app.last_reading();
    assert!(app.cpu() < 0.15, "{}", app.cpu());
    let (bound, reason) = app.bound(FAULTS, "minor");
    assert_eq!((bound, reason.as_str()), (Bound::AtLeast, "what ended unseen is missing"));
    let method = app.total(Consumer::Target, CPU, "user").unwrap().series.method.to_string();
    assert_eq!(app.bound(CPU, "user").0 == Bound::Exact, method.starts_with("task-clock"), "{method}");
    let peak = app.total(Consumer::Target, "process.memory.peak", "largest_process").unwrap();
    assert_eq!(peak.bound, Bound::AtLeast);
    assert!(peak.last >= after.resident, "{peak:?}");
}

/// How often this thread has read something (`syscr` in proc_pid_io(5)).
fn reads() -> f64 {
    number(&fs::read_to_string("/proc/thread-self/io").unwrap(), "syscr")
}

#[test]
fn of_children_that_nobody_waits_for_each_is_looked_at_when_it_is_found_and_not_until_its_parent_waits_for_some()
 {
    const N: usize = 300;
    let left = format!("left={N}:0");
    let running =
        Running::start(&["burn=20", &left, "usage", "go", "child=30", "usage", "go", "reap", "usage", "go"]);
    let pid = running.pid();
    let left = children(pid);
    assert_eq!(left.len(), N);
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    soon(|| left.iter().all(|pid| state(&stat(*pid)) == 'Z').then_some(()));
    let of_left: f64 = left.iter().map(|pid| Seen::of(*pid).unwrap().minor).sum();
    let before = Seen::standing(pid);
    let used = |now: &Seen| (now.minor - before.minor) + (now.children_minor - before.children_minor);

    let at = reads();
    let mut app = running.attach(&Config { per_process: false, per_thread: false, ..config() });
    let first = reads() - at;
    eprintln!("{first} reads for {N} processes");
    // When it is looked for, and of what it had used, twice: `stat` and `io`.
    assert!(first >= N as f64 && first < 3.2 * N as f64 + 60.0, "{first}");
    for _ in 0..3 {
        let at = reads();
        app.poll();
        assert!(reads() - at < 60.0, "{}", reads() - at);
    }
    assert_eq!(app.target.count().0, N + 1);
    assert_eq!((app.faults(), app.last(Consumer::Target, "process.count")), ([0.0; 2], 1.0));

    // It has waited for another one, which might have been any of them.
    let now = app.go_on();
    // A reading that has cost much is followed by none for a while.
    let tells = |app: &mut Application, faults: f64| {
        soon(|| {
            app.poll();
            (app.faults()[0] == faults).then_some(())
        });
    };
    tells(&mut app, used(&now));
    let at = reads();
    app.poll();
    assert!(reads() - at < 60.0, "{}", reads() - at);

    let after = app.go_on();
    tells(&mut app, used(&after) - of_left);
    assert!((0.02..0.1).contains(&app.cpu()), "{}", app.cpu());
    assert_eq!(app.target.count().0, 1);
}

#[test]
fn a_process_that_becomes_another_program_goes_on_under_its_new_name() {
    let mut app = Application::launch(&["sh", "-c", "echo; read x; echo; exec cat"], &config());
    let gate = Seen::of(app.pid).unwrap();
    let first = app.start();
    app.poll();
    app.go();
    app.stdout.read_line(&mut String::new()).unwrap();
    let name = |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    soon(|| (name(app.pid) == "cat\n").then_some(()));
    let now = Seen::standing(app.pid);
    app.poll();
    let of = |name: &str, value: &str| {
        let is = |total: &&Total| {
            total.series.consumer == Consumer::Process(app.pid)
                && total.series.metric.name == FAULTS
                && total.series.label_value("process.executable.name") == Some(name)
                && total.series.labels.iter().any(|(_, label)| label == value)
        };
        app.totals.get().iter().find(is).map(|total| total.value)
    };
    assert_eq!(of("sh", "minor"), Some(first.minor - gate.minor));
    assert_eq!(of("cat", "minor"), Some(now.minor - first.minor));
    let retired: Vec<_> =
        app.retired.iter().filter_map(|series| series.label_value("process.executable.name")).collect();
    assert_eq!(retired, ["sh"; 9]);
    let thread = |name: &str| {
        let is = |total: &&Total| {
            total.series.consumer == Consumer::Thread(app.pid)
                && total.series.metric.name == FAULTS
                && total.series.label_value("thread.name") == Some(name)
        };
        app.totals.get().iter().filter(is).map(|total| total.value).sum::<f64>()
    };
    assert_eq!(thread("sh"), first.minor + first.major - gate.minor - gate.major);
    assert_eq!(thread("cat"), now.minor + now.major - first.minor - first.major);
}

#[test]
fn of_a_process_alone_the_peak_is_what_the_kernel_says_and_it_is_exact() {
    let mut app = Application::launch(&["touch=100", "usage", "go"], &config());
    app.start();
    app.poll();
    let used = app.finish();
    // More than this process has had, which a child forked from it has too.
    assert!(used.peak_resident > 100_000_000);
    for scope in ["largest_process", "tree"] {
        let peak = app.total(Consumer::Target, "process.memory.peak", scope).unwrap();
        assert_eq!((peak.last, peak.bound), (used.peak_resident as f64, Bound::Exact), "{scope}");
        assert_eq!(peak.series.method, "rusage");
    }
}

#[test]
fn the_memory_of_a_large_process_is_its_resident_size_and_that_of_one_without_a_main_thread_is_that_of_the_others()
 {
    let mut app = Application::launch(&["leader=40:5000"], &config());
    app.target.open_gate().unwrap();
    soon(|| (state(&fs::read_to_string(format!("/proc/{}/stat", app.pid)).unwrap()) == 'Z').then_some(()));
    let memory = soon(|| {
        app.poll();
        Some(app.last(Consumer::Target, "process.memory.usage")).filter(|memory| *memory > 40e6)
    });
    assert!(memory < 50e6, "{memory}");
    assert_eq!(app.last(Consumer::Target, "process.thread.count"), 2.0);
    let own = app.last(Consumer::Process(app.pid), "process.memory.usage");
    assert!((40e6..50e6).contains(&own), "{own}");
}

#[test]
fn a_child_that_has_the_memory_of_its_parent_adds_nothing_to_it() {
    let mut app = Application::launch(&["vfork=40:3000"], &config());
    app.target.open_gate().unwrap();
    soon(|| children(app.pid).first().copied());
    app.poll();
    assert_eq!(app.last(Consumer::Target, "process.count"), 2.0);
    let memory = app.last(Consumer::Target, "process.memory.usage");
    assert!((40e6..50e6).contains(&memory), "{memory}");
}

#[test]
fn the_peak_of_a_small_process_is_not_that_of_this_process_before_it_was_the_application() {
    // A child that is forked from this process has it too, until it executes the application.
    let memory = std::hint::black_box(vec![1u8; 40_000_000]);
    let mut app = Application::launch(&["burn=1", "usage", "go"], &config());
    app.start();
    drop(memory);
    app.poll();
    let sample = resident(app.pid);
    let used = app.finish();
    assert!(used.peak_resident > 40_000_000, "rusage has it");
    let peak = app.total(Consumer::Target, "process.memory.peak", "largest_process").unwrap();
    assert_eq!(peak.bound, Bound::AtLeast);
    assert!((sample..10e6).contains(&peak.last), "{peak:?} {sample}");
    let peak = app.total(Consumer::Target, "process.memory.peak", "tree").unwrap();
    assert!((sample..10e6).contains(&peak.last), "{peak:?} {sample}");
}

#[test]
fn of_a_child_that_has_ended_everything_is_read_as_long_as_it_can_be_and_it_counts_as_none() {
    let config = Config { interval: Interval::from_millis(5), per_process: true, ..Config::default() };
    let mut app = Application::launch(&["stay=10", "usage", "go"], &config);
    app.start();
    app.poll();
    let [child] = children(app.pid)[..] else { panic!("one child") };
    let alive = Seen::of(child).unwrap();
    kill(child);
    let ended = soon(|| Seen::of(child).filter(|seen| seen.state == 'Z'));
    assert!(ended.voluntary > alive.voluntary);
    // In this reading, what is costly is not due.
    app.poll();
    assert_eq!(app.of_process(child, SWITCHES, "voluntary"), ended.voluntary);
    assert_eq!(app.last(Consumer::Target, "process.count"), 1.0);
}

#[test]
fn who_is_younger_than_the_last_look_and_lives_on_is_counted_at_the_end() {
    let mut app = Application::launch(&["burn=1", "usage", "go", "stay=30"], &config());
    let gate = Seen::of(app.pid).unwrap();
    app.start();
    app.poll();
    let used = app.finish();
    let mut pids = Vec::new();
    app.target.members(&mut pids);
    let [child] = pids[..] else { panic!("one has stayed: {pids:?}") };
    let of_child = Seen::standing(child);
    assert_eq!(app.faults()[0], used.minor_faults as f64 - gate.minor + of_child.minor);
    app.is_cpu(used.cpu().as_secs_f64() - gate.cpu + of_child.cpu);
    assert_eq!(app.last(Consumer::Process(child), "process.thread.count"), 1.0);
}

#[test]
fn small_processes_have_their_memory_page_by_page_also_where_the_main_thread_is_over() {
    let mut app = Application::launch(&["leader=6:3000"], &config());
    app.target.open_gate().unwrap();
    soon(|| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", app.pid)).unwrap();
        (state(&stat) == 'Z').then_some(())
    });
    let memory = soon(|| {
        app.poll();
        Some(app.last(Consumer::Target, "process.memory.usage")).filter(|memory| *memory > 6e6)
    });
    assert!(memory < 12e6, "{memory}");
}

#[test]
fn memory_that_children_have_copied_counts_for_each_of_them() {
    let mut app = Application::launch(&["copied=10:3000"], &config());
    app.target.open_gate().unwrap();
    let memory = soon(|| {
        app.poll();
        Some(app.last(Consumer::Target, "process.memory.usage")).filter(|memory| *memory > 58e6)
    });
    assert!(memory < 75e6, "{memory}");
}

#[test]
fn threads_that_are_new_are_looked_at_at_once() {
    let config = Config { interval: Interval::from_millis(5), ..Config::default() };
    let mut app = Application::launch(&["burn=1", "usage", "go", "crew=2:1", "usage", "go"], &config);
    let gate = Seen::of(app.pid).unwrap();
    app.start();
    app.poll();
    app.go_on();
    let voluntary = |tid: i32| {
        let status = fs::read_to_string(format!("/proc/{}/task/{tid}/status", app.pid)).unwrap();
        (status.contains("S (sleeping)"), number(&status, "voluntary_ctxt_switches"))
    };
    let all = soon(|| {
        let each: Vec<_> = alumet::target::threads(app.pid).map(voluntary).collect();
        each.iter().all(|(sleeps, _)| *sleeps).then(|| each.iter().map(|(_, n)| n).sum::<f64>())
    });
    // What is costly is due at the second of these readings, and threads that are known are not.
    app.poll();
    app.poll();
    assert_eq!(app.of_target(SWITCHES, "voluntary"), all - gate.voluntary);
}

#[test]
fn the_peak_of_several_is_at_least_that_of_the_largest_also_where_only_one_was_seen() {
    let mut app = Application::launch(&["tear=100:1", "usage", "go"], &config());
    app.start();
    app.poll();
    let used = app.finish();
    assert!(used.peak_resident > 100_000_000);
    let [largest, tree] = ["largest_process", "tree"]
        .map(|scope| app.total(Consumer::Target, "process.memory.peak", scope).unwrap());
    assert_eq!((largest.last, largest.bound), (used.peak_resident as f64, Bound::Exact));
    assert_eq!((tree.last, tree.bound), (largest.last, Bound::AtLeast));
}

#[test]
fn the_peak_of_a_process_that_nobody_has_seen_is_at_most_what_the_kernel_says() {
    // That of a child that is forked from this process.
    let memory = std::hint::black_box(vec![1u8; 40_000_000]);
    let mut app = Application::launch(&["burn=0", "go"], &config());
    app.target.open_gate().unwrap();
    let used = app.finish();
    drop(memory);
    for scope in ["largest_process", "tree"] {
        let peak = app.total(Consumer::Target, "process.memory.peak", scope).unwrap();
        assert_eq!((peak.last, peak.bound), (used.peak_resident as f64, Bound::AtMost), "{scope}");
    }
}

#[test]
fn that_a_living_parent_tells_of_children_in_whole_ticks_is_no_loss() {
    let script = "( \"$0\" burn=15; echo; exec sleep 60 ) & read x";
    let mut app = Application::launch(&["sh", "-c", script, &workload()], &config());
    app.start();
    app.poll();
    app.finish();
    assert_eq!(app.bound(FAULTS, "minor"), (Bound::Exact, String::new()));
}

/// Runs something in a thread in which a system call fails in this way (seccomp(2)).
fn refusing<T: Send>(call: libc::c_long, errno: libc::c_int, f: impl FnOnce() -> T + Send) -> T {
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call as u32) },
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let run = || {
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
        let (yes, none) = (1 as libc::c_ulong, 0 as libc::c_ulong);
        // SAFETY: the program outlives the calls, which copy it.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, none, none, none), 0);
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter), 0);
        }
        f()
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[cfg(target_arch = "x86_64")]
#[test]
fn without_a_cgroup_the_cpu_time_is_at_least_what_was_seen_where_nobody_waits() {
    refusing(libc::SYS_mkdir, libc::EROFS, || {
        let mut app = Application::launch(&["ignore", "stay=30", "usage", "go"], &config());
        assert!(app.target.cgroup().is_err());
        let gate = Seen::of(app.pid).unwrap();
        let now = app.start();
        let [child] = children(app.pid)[..] else { panic!("one child") };
        let of_child = Seen::standing(child);
        app.poll();
        let cpu = now.cpu - gate.cpu + of_child.cpu;
        assert!((app.cpu() - cpu).abs() < 1e-6, "{} {cpu}", app.cpu());
        kill(child);
        app.finish();
        let method = app.total(Consumer::Target, CPU, "user").unwrap().series.method.to_string();
        assert_eq!((method.as_str(), app.bound(CPU, "user").0), ("/proc/PID and wait4", Bound::AtLeast));
    });
}

#[test]
fn without_a_task_clock_the_cpu_time_of_a_process_attached_to_is_at_least_what_was_seen() {
    refusing(libc::SYS_perf_event_open, libc::EPERM, || {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (their_stdin, stdin) = std::io::pipe().unwrap();
        let (stdout, their_stdout) = std::io::pipe().unwrap();
        let mut command = std::process::Command::new(workload());
        command
            .args(["burn=20", "usage", "go", "burn=30", "usage", "go"])
            .stdin(their_stdin)
            .stdout(their_stdout);
        let child = command.spawn().unwrap();
        drop(command);
        let pid = child.id() as i32;
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut String::new()).unwrap();
        let before = Seen::standing(pid);
        let target = Target::attach(vec![Root::hold(pid).unwrap()]);
        let mut app = Application::of(target, &config(), (stdin, stdout.into_inner()), Some(child), one);
        let now = app.go_on();
        app.poll();
        assert!((app.cpu() - (now.cpu - before.cpu)).abs() < 1e-6, "{}", app.cpu());
        app.last_reading();
        assert_eq!(app.bound(CPU, "user"), (Bound::AtLeast, "what ended unseen is missing".to_owned()));
    });
}

#[test]
fn nothing_is_missing_of_what_can_be_followed_and_read() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = |prepare: &dyn Fn(&mut Agent)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut agent = Agent::new();
            prepare(&mut agent);
            agent.plugin::<Procfs>(Config::default()).unwrap();
            agent.setup().output("nowhere", |_: &Batch| Ok(()));
            agent.start().await.unwrap().finish().await.missing
        })
    };
    let of_tree = |missing: Vec<alumet::Missing>| {
        let what = missing.into_iter().map(|gap| gap.what);
        what.filter(|what| what.contains("children") || what.contains("I/O")).collect::<Vec<_>>()
    };
    let launched = missing(&|agent| drop(agent.launch(&Command::new(["true"])).map(Arc::clone).unwrap()));
    assert_eq!(of_tree(launched), [""; 0]);
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let root = || Root::hold(child.id() as i32).unwrap();
    let attached = missing(&|agent| drop(Arc::clone(agent.attach(vec![root()]))));
    assert_eq!(of_tree(attached), [""; 0]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn memory_that_was_forked_counts_once_and_its_peak_is_at_least_what_was_seen() {
    let mut app = Application::launch(&["fat=40:100", "usage", "go"], &config());
    app.target.open_gate().unwrap();
    let child = soon(|| children(app.pid).first().copied());
    app.poll();
    let memory = app.last(Consumer::Target, "process.memory.usage");
    assert!((40e6..50e6).contains(&memory), "{memory} of {child}");
    app.stand();
    app.finish();
    let peak = app.total(Consumer::Target, "process.memory.peak", "tree").unwrap();
    assert_eq!(peak.bound, Bound::AtLeast);
    assert!((40e6..50e6).contains(&peak.last), "{peak:?}");
}

#[test]
fn a_client_of_a_service_is_told_with_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let docker: PathBuf = directory.path().join("docker");
    fs::copy("/bin/sh", &docker).unwrap();
    let mut app = Application::launch(
        &["sh", "-c", "\"$0\" -c 'echo; read x' run; :", docker.to_str().unwrap()],
        &config(),
    );
    app.start();
    app.poll();
    app.poll();
    let gaps = app.gaps.get();
    let [gap] = &gaps[..] else { panic!("{gaps:?}") };
    assert_eq!(gap.what, "what dockerd starts for docker");
}
