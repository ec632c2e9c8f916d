//! The application as a child of this process: its gate, what it inherits, its tree, its end. And processes attached to.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alumet::privilege::CapabilitySet;
use alumet::target::{Command, Exit, Inherited, LaunchError, Root, Usage};
use alumet::testing::ManualClock;
use alumet::{Agent, Batch, Bound, Clock, Host, Interval, RealClock, Target};
use nix::sys::signal::{SigSet, Signal};

/// A process that launches an application reaps every child that it has: one at a time.
static ONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn skip(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

fn is_root(test: &str) -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        skip(test, "needs root");
    }
    root
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

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn exists(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn state(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next()
}

/// Whether a process is a child of this one, and has executed its program.
fn is_adopted(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let parent = stat[stat.rfind(')').unwrap() + 4..].split(' ').next().unwrap().parse::<u32>();
    parent.unwrap() == std::process::id() && stat.contains(" (sleep) ")
}

fn kill(pid: i32) {
    // SAFETY: kill takes two numbers.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

/// A shell script that is told to go on through its standard input, and tells its pids and what it likes.
struct Script {
    target: Target,
    stdin: Option<PipeWriter>,
    stdout: BufReader<PipeReader>,
    _one: MutexGuard<'static, ()>,
}

impl Script {
    fn at_gate(script: &str, change: impl FnOnce(&mut Command)) -> Self {
        Self::of(&["sh", "-c", script], change)
    }

    fn of(words: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        Self::beside(alone(), words, change)
    }

    fn beside(one: MutexGuard<'static, ()>, words: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let (their_stdin, stdin) = std::io::pipe().unwrap();
        let (stdout, their_stdout) = std::io::pipe().unwrap();
        let mut command = Command::new(words.iter().copied());
        command.stream(0, their_stdin).stream(1, their_stdout);
        change(&mut command);
        let target = Target::launch(&command).unwrap();
        drop(command);
        target.wait_at_gate().unwrap();
        Self { target, stdin: Some(stdin), stdout: BufReader::new(stdout), _one: one }
    }

    fn start(script: &str) -> Self {
        let script = Self::at_gate(script, |_| {});
        script.target.open_gate().unwrap();
        script
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn pid(&mut self) -> i32 {
        self.line().parse().unwrap()
    }

    fn go(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Everything that it says to its end, which is reaped.
    fn rest(&mut self) -> String {
        self.stdin = None;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut text).unwrap();
        self.end();
        text
    }

    fn end(&self) {
        run(async {
            self.target.exited().await.unwrap();
            self.target.reap_the_ending().await;
        });
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Who is left behind is what a test asks, and not this.
        let _ = run(self.target.terminate(Duration::ZERO));
        self.target.leave();
    }
}

fn members(target: &Target) -> Vec<i32> {
    let mut pids = Vec::new();
    target.members(&mut pids);
    pids
}

fn of_cgroup(target: &Target) -> Vec<i32> {
    let mut pids = Vec::new();
    target.cgroup_members(&mut pids);
    pids
}

#[test]
fn a_process_stands_at_its_gate_until_it_opens_and_its_end_is_seen_before_it_is_reaped() {
    let mut script = Script::at_gate("echo ready; read x; exit 7", |_| {});
    let pid = script.target.pid();
    assert_eq!(script.target.display(), "sh -c 'echo ready; read x; exit 7'");
    assert!(!script.target.is_attached() && !script.target.is_foreign() && script.target.is_followed());
    assert!(script.target.needed_capabilities().contains(CapabilitySet::KILL));
    // It has the name of what it will be, and nobody else is there.
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "sh\n");
    let is_own = fs::read_link(format!("/proc/{pid}/exe")).unwrap() == std::env::current_exe().unwrap();
    assert!(is_own && !script.target.has_executed());
    assert_eq!((members(&script.target), script.target.count()), (vec![pid], (1, 1)));
    script.target.open_gate().unwrap();
    assert!(script.target.has_executed());
    assert_eq!(script.line(), "ready");
    let target = &script.target;
    assert!(!target.has_exited() && target.ended().is_none());
    assert_eq!((target.exit(), target.peek_exit()), (None, None));
    assert_eq!(target.reaped(), Usage::default());
    let before = RealClock.now();
    script.go();
    let target = &script.target;
    run(target.exited()).unwrap();
    let ended = target.ended().unwrap();
    assert!(target.has_exited() && before <= ended && ended <= RealClock.now());
    assert_eq!((target.exit(), target.peek_exit()), (None, Some(Exit::Code(7))));
    assert!(target.reap_orphans(), "the first process is kept, and there");
    assert_eq!((target.exit(), state(pid)), (None, Some('Z')));
    assert!(!target.was_alone(), "nobody knows yet");
    script.end();
    let target = &script.target;
    assert_eq!((target.exit(), target.peek_exit()), (Some(Exit::Code(7)), Some(Exit::Code(7))));
    assert!(!exists(pid) && members(target).is_empty() && target.survivors().is_empty());
    assert!(target.was_alone());
    let used = target.reaped();
    assert!(used.minor_faults > 50 && used.peak_resident > 500_000, "{used:?}");
    assert!(!target.reap_orphans(), "nobody is left");
    assert_eq!(target.ended(), Some(ended));
}

#[test]
fn who_is_ended_by_a_signal_has_that_for_its_end() {
    let mut script = Script::start("echo; sleep 60; read x");
    script.line();
    script.target.signal(libc::SIGTERM);
    run(script.target.exited()).unwrap();
    assert_eq!(script.target.peek_exit(), Some(Exit::Signal(libc::SIGTERM)));
    script.end();
    let exit = script.target.exit().unwrap();
    assert_eq!((exit, exit.status(), exit.is_success()), (Exit::Signal(libc::SIGTERM), 143, false));
    assert!(Exit::Code(0).is_success() && !Exit::Code(1).is_success());
}

#[test]
fn its_children_are_members_and_are_ended_with_it() {
    let mut script = Script::start("sleep 60 & echo $!; read x");
    let (pid, child) = (script.target.pid(), script.pid());
    soon(|| fs::read_to_string(format!("/proc/{child}/comm")).unwrap().eq("sleep\n").then_some(()));
    let target = &script.target;
    let mut both = [pid, child];
    both.sort_unstable();
    assert_eq!((members(target), target.count()), (both.to_vec(), (2, 2)));
    let survivors = target.survivors();
    let names: Vec<_> = survivors.iter().map(|survivor| (survivor.pid, survivor.name.as_str())).collect();
    let mut expected = [(pid, "sh"), (child, "sleep")];
    expected.sort_unstable();
    assert_eq!(names, expected);
    let ended = |target: &Target| {
        run(async { tokio::time::timeout(Duration::from_millis(20), target.all_ended()).await.is_ok() })
    };
    assert!(!ended(target));
    run(target.terminate(Duration::from_secs(10))).unwrap();
    assert!(ended(target));
    assert_eq!(target.peek_exit(), Some(Exit::Signal(libc::SIGTERM)));
    assert!(target.ended().is_some());
    script.end();
    assert!(!script.target.was_alone());
    assert!([pid, child].iter().all(|pid| !exists(*pid)));
}

#[test]
fn who_does_not_heed_sigterm_is_killed_when_the_grace_is_over() {
    let mut script = Script::start("trap '' TERM; sleep 60 & echo; wait; sleep 60; read x");
    script.line();
    let begun = Instant::now();
    run(script.target.terminate(Duration::from_millis(50))).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50));
    assert_eq!(script.target.peek_exit(), Some(Exit::Signal(libc::SIGKILL)));
    assert!(script.target.survivors().is_empty());
}

#[test]
fn an_orphan_is_reaped_by_this_process_and_what_it_used_is_told() {
    let mut script = Script::start("(sleep 60 & echo $!) ; echo; read x");
    let orphan = script.pid();
    script.line();
    soon(|| is_adopted(orphan).then_some(()));
    let target = &script.target;
    assert!(members(target).contains(&orphan), "adopted, and of the tree as before");
    assert!(target.reap_orphans());
    assert_eq!(target.reaped(), Usage::default());
    kill(orphan);
    soon(|| (state(orphan) == Some('Z')).then_some(()));
    assert!(target.reap_orphans(), "the first process lives");
    assert!(!exists(orphan) && target.reaped().minor_faults > 0);
    assert_eq!((target.exit(), members(target)), (None, vec![target.pid()]));
    script.rest();
    assert!(!script.target.was_alone());
}

#[test]
fn all_have_ended_when_the_last_of_the_tree_has() {
    let mut script = Script::start("(sleep 60 & echo $!) ; read x");
    let orphan = script.pid();
    script.go();
    run(script.target.exited()).unwrap();
    let target = &script.target;
    let first = target.ended().unwrap();
    let all = run(async {
        let mut all = std::pin::pin!(target.all_ended());
        let early = tokio::time::timeout(Duration::from_millis(20), &mut all).await;
        assert!(early.is_err() && target.ended().is_none(), "it is waited for");
        kill(orphan);
        all.await;
        target.ended().unwrap()
    });
    assert!(all > first);
}

#[test]
fn children_that_were_there_before_are_none_of_it() {
    let one = alone();
    let mut before = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let mut script = Script::beside(one, &["sh", "-c", "echo; read x"], |_| {});
    script.target.open_gate().unwrap();
    script.line();
    assert_eq!(members(&script.target), [script.target.pid()]);
    let waits =
        run(async { tokio::time::timeout(Duration::from_millis(20), script.target.all_ended()).await });
    assert!(waits.is_err(), "the first one lives");
    before.kill().unwrap();
    soon(|| (state(before.id() as i32) == Some('Z')).then_some(()));
    script.target.reap_orphans();
    assert_eq!(script.target.reaped(), Usage::default());
    // It was reaped with the others.
    let _ = before.wait();
    script.rest();
    run(script.target.all_ended());
    assert!(script.target.was_alone());
}

#[test]
fn who_has_waited_for_a_child_or_ignores_their_ends_was_not_alone() {
    let was_alone = |words: &[&str], ignored: &[libc::c_int]| {
        let inherited = Inherited { ignored: ignored.into(), ..Inherited::default() };
        let mut script = Script::of(words, |command| {
            command.inherited(inherited);
        });
        script.target.open_gate().unwrap();
        script.rest();
        script.target.was_alone()
    };
    assert!(was_alone(&["cat"], &[]));
    assert!(!was_alone(&["sh", "-c", "sh -c 'exit 0'; read x"], &[]));
    assert!(!was_alone(&["cat"], &[libc::SIGCHLD]), "what children had would be told to nobody");
}

/// While this process may open no file.
fn without_descriptors<T>(f: impl FnOnce() -> T) -> T {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the place outlives the calls.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        let none = libc::rlimit { rlim_cur: 0, ..limit };
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const none), 0);
        let result = f();
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
        result
    }
}

#[test]
fn who_cannot_be_looked_at_for_want_of_descriptors_counts_as_alive_unless_it_was_seen_to_end() {
    let mut script = Script::start("echo; read x");
    script.line();
    let survivors = || {
        let found = without_descriptors(|| script.target.survivors());
        found.into_iter().map(|survivor| (survivor.pid, survivor.name)).collect::<Vec<_>>()
    };
    assert_eq!(survivors(), [(script.target.pid(), "?".to_owned())]);
    kill(script.target.pid());
    run(script.target.exited()).unwrap();
    assert_eq!(survivors(), []);
}

#[test]
fn what_fails_before_the_gate_is_no_matter_of_the_user() {
    let _one = alone();
    let mut command = Command::new(["true"]);
    // The soft limit is above the hard one.
    command.inherited(Inherited { open_files: Some((200, 100)), ..Inherited::default() });
    let target = Target::launch(&command).unwrap();
    let error = target.wait_at_gate().unwrap_err().to_string();
    assert_eq!(error, "cannot create a process: invalid argument");
}

/// A source on a clock that stands still, beside an application that ends on the real one.
#[test]
fn an_end_that_was_seen_late_bounds_the_time_of_the_run() {
    let _one = alone();
    let report = |clock: Arc<dyn Clock>| {
        run(async {
            let mut agent = Agent::on(Host::default(), clock);
            let pid = agent.launch(&Command::new(["true"])).unwrap().pid();
            let mut setup = agent.setup();
            assert_eq!(setup.target().map(|target| target.pid()), Some(pid));
            setup.source("s", Interval::from_millis(10_000), |_: &mut Batch| Ok(()));
            setup.output("nowhere", |_: &Batch| Ok(()));
            let running = agent.start().await.unwrap();
            assert_eq!(running.target().map(|target| target.pid()), Some(pid));
            running.wait().await
        })
    };
    let late = report(ManualClock::new());
    assert_eq!((late.wall_bound, late.exit), (Bound::AtMost, Some(Exit::Code(0))));
    assert!(
        late.wall_bound_reason.contains("alumet was stopped, or had no CPU"),
        "{}",
        late.wall_bound_reason
    );
    let good = report(Arc::new(RealClock));
    assert_eq!((good.wall_bound, good.wall_bound_reason.as_str()), (Bound::Exact, ""));
}

#[test]
fn what_this_process_has_cost_counts_from_when_it_was_said_to() {
    let _one = alone();
    let used = || {
        let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
        Duration::from(nix::time::clock_gettime(clock).unwrap())
    };
    let cost = |from: Option<Duration>| {
        run(async {
            let mut agent = Agent::new();
            if let Some(from) = from {
                agent.own_from(from);
            }
            agent.setup().output("nowhere", |_: &Batch| Ok(()));
            agent.start().await.unwrap().wait().await.own
        })
    };
    let before = used();
    let since = cost(None);
    let all = cost(Some(Duration::ZERO));
    let after = used();
    assert!(since.cpu > Duration::ZERO && since.cpu <= after - before, "{since:?}");
    assert!(all.cpu > before && all.cpu <= after, "{all:?}");
    assert_eq!(cost(Some(Duration::MAX)).cpu, Duration::ZERO);
}

#[test]
fn who_is_dropped_at_the_gate_was_never_the_application() {
    let one = alone();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let target = Target::launch(&Command::new(["touch", file.to_str().unwrap()])).unwrap();
    let pid = target.pid();
    target.wait_at_gate().unwrap();
    assert!(exists(pid));
    drop(target);
    assert!(!exists(pid) && !file.exists());
    drop(one);
}

fn refused(words: &[&str]) -> String {
    let launched = Target::launch(&Command::new(words.iter().copied()));
    let error = launched.and_then(|target| {
        target.wait_at_gate()?;
        target.open_gate()
    });
    error.unwrap_err().to_string()
}

#[test]
fn what_cannot_be_launched_is_told_with_the_reason() {
    let _one = alone();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    assert_eq!(refused(&["no-such-program-here"]), "no-such-program-here: not found");
    let missing = directory.path().join("missing").display().to_string();
    assert_eq!(refused(&[&missing]), format!("{missing}: not found"));
    let plain = file("plain", "text", 0o644);
    assert_eq!(refused(&[&plain]), format!("{plain}: cannot be executed: permission denied"));
    let script = file("script", "#!/no/such/interpreter\n", 0o755);
    assert_eq!(refused(&[&script]), format!("{script}: cannot be executed: its interpreter does not exist"));
    assert_eq!(refused(&["true", "a\0b"]), "argument 1 holds a NUL byte");
    assert!(std::panic::catch_unwind(|| Command::new([""; 0])).is_err());
    let command = Command::new(["a", "b"]);
    assert_eq!(command.arguments(), ["a", "b"]);
}

#[test]
fn it_is_launched_as_another_user_with_the_groups_and_without_the_rights() {
    if !is_root("launching as another user") {
        return;
    }
    let says = |user: &str| {
        let mut script = Script::at_gate("id -u; id -g; id -G; grep CapEff /proc/self/status", |command| {
            command.user(user).unwrap();
        });
        script.target.open_gate().unwrap();
        script.rest()
    };
    assert_eq!(says("54321:54322"), "54321\n54322\n54322\nCapEff:\t0000000000000000\n");
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let effective = own.lines().find(|line| line.starts_with("CapEff")).unwrap().to_owned();
    assert!(says("0").starts_with("0\n0\n") && says("root:0").ends_with(&format!("{effective}\n")));
}

#[test]
fn who_is_not_root_becomes_nobody_else() {
    if nix::unistd::Uid::effective().is_root() {
        return skip("who is not root becomes nobody else", "this is root");
    }
    let mut command = Command::new(["true"]);
    assert!(matches!(command.user("0").unwrap_err(), LaunchError::NotPermitted(_)));
    let (uid, gid) = (nix::unistd::Uid::effective(), nix::unistd::Gid::effective());
    command.user(&format!("{uid}:{gid}")).unwrap();
}

#[test]
fn it_inherits_what_it_would_have_from_its_parent() {
    let signals = "grep -E 'Sig(Blk|Ign)' /proc/self/status | sort; ulimit -Sn; ulimit -Hn; echo ${X-none}";
    let told = |inherited: Option<Inherited>| {
        let mut script = Script::at_gate(signals, |command| {
            if let Some(inherited) = inherited {
                command.inherited(inherited);
            }
        });
        script.target.open_gate().unwrap();
        let text = script.rest();
        text.lines().map(|line| line.rsplit('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let bits = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let bit = |signal: libc::c_int| 1u64 << (signal - 1);
    // The Rust runtime ignores SIGPIPE: the application does not.
    let plain = told(None);
    let ignored =
        |told: &[String]| bits(&told[1]) & (bit(libc::SIGPIPE) | bit(libc::SIGCHLD) | bit(libc::SIGXFSZ));
    assert_eq!(ignored(&plain), 0);
    assert_eq!((bits(&plain[0]), plain[4].as_str()), (0, "none"));
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGUSR1);
    let path = std::env::var("PATH").unwrap();
    let changed = told(Some(Inherited {
        mask: Some(mask),
        ignored: vec![libc::SIGPIPE],
        closed: vec![2],
        environment: Some(vec![c"X=is set".into(), std::ffi::CString::new(format!("PATH={path}")).unwrap()]),
        open_files: Some((100, 200)),
        ..Inherited::default()
    }));
    assert_eq!(bits(&changed[0]), bit(libc::SIGUSR1));
    assert_eq!(ignored(&changed), bit(libc::SIGPIPE));
    assert_eq!(changed[2..], ["100", "200", "is set"]);
    let closed = Inherited { closed: vec![2], ..Inherited::default() };
    let mut script = Script::at_gate("[ -e /proc/$$/fd/2 ] && echo open || echo closed", |command| {
        command.inherited(closed);
    });
    script.target.open_gate().unwrap();
    assert_eq!(script.rest(), "closed\n");
}

#[test]
fn processes_attached_to_are_looked_at_and_nothing_else() {
    let _one = alone();
    let spawn = || {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "sleep 60 & echo $!; read x"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        (shell, line.trim().parse::<i32>().unwrap())
    };
    let ((mut a, of_a), (mut b, of_b)) = (spawn(), spawn());
    let pids = [a.id() as i32, b.id() as i32];
    let target = Target::attach(pids.map(|pid| Root::hold(pid).unwrap()).into());
    assert_eq!(target.display(), format!("sh ({}), sh ({})", pids[0], pids[1]));
    assert!(target.is_attached() && !target.is_foreign() && target.has_executed());
    assert_eq!((target.pid(), target.cgroup().unwrap_err()), (pids[0], "it ran already"));
    assert_eq!(target.needed_capabilities(), CapabilitySet::empty());
    let lists_children = Path::new("/proc/thread-self/children").exists();
    assert_eq!(target.is_followed(), lists_children);
    target.wait_at_gate().unwrap();
    target.open_gate().unwrap();
    let mut all = [pids[0], pids[1], of_a, of_b];
    all.sort_unstable();
    let mut found = members(&target);
    found.sort_unstable();
    assert_eq!((found, target.count()), (all.to_vec(), (4, 4)));
    assert_eq!((of_cgroup(&target), target.survivors().len()), (vec![], 4));
    // Nobody is ended, signalled or reaped.
    target.signal(libc::SIGKILL);
    run(target.terminate(Duration::ZERO)).unwrap();
    target.leave();
    assert!(all.iter().all(|pid| state(*pid).is_some_and(|state| state != 'Z')));
    assert!(!target.reap_orphans() || target.survivors().len() == 4);
    a.kill().unwrap();
    soon(|| (state(pids[0]) == Some('Z')).then_some(()));
    assert!(!target.has_exited() && target.ended().is_none(), "the other one runs");
    b.kill().unwrap();
    run(target.exited()).unwrap();
    assert!(target.has_exited() && target.ended().is_some());
    assert_eq!((target.exit(), target.peek_exit(), target.reaped()), (None, None, Usage::default()));
    assert!(!target.was_alone());
    assert_eq!((state(pids[0]), state(pids[1])), (Some('Z'), Some('Z')));
    let ended =
        || run(async { tokio::time::timeout(Duration::from_millis(20), target.all_ended()).await.is_ok() });
    assert!(!ended(), "what they have left behind runs");
    [of_a, of_b].into_iter().for_each(kill);
    a.wait().unwrap();
    b.wait().unwrap();
    soon(|| ended().then_some(()));
}

#[test]
fn what_an_inherited_counter_has_seen_never_falls() {
    let _one = alone();
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let target = Target::attach(vec![Root::hold(child.id() as i32).unwrap()]);
    assert_eq!(target.counted(), Duration::ZERO);
    target.note_counted(Duration::from_millis(5));
    target.note_counted(Duration::from_millis(3));
    assert_eq!(target.counted(), Duration::from_millis(5));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_process_of_another_user_is_foreign() {
    if !is_root("a process of another user") {
        return;
    }
    let _one = alone();
    let mut child = std::process::Command::new("setpriv")
        .args(["--reuid", "54321", "--clear-groups", "sleep", "60"])
        .spawn()
        .unwrap();
    let pid = child.id() as i32;
    soon(|| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().eq("sleep\n").then_some(()));
    let root = Root::hold(pid).unwrap();
    assert_eq!((root.foreign_owner().as_deref(), root.name()), (Some("uid 54321"), "sleep"));
    assert!(Target::attach(vec![root]).is_foreign());
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Where the cgroup v2 is that this process is in.
fn own_cgroup() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().rfind(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
    let text = fs::read_to_string("/proc/self/cgroup").unwrap();
    Some(Path::new(mount).join(text.lines().find_map(|line| line.strip_prefix("0::/"))?))
}

fn cgroups(below: &Path) -> Vec<String> {
    let entries = fs::read_dir(below).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("alumet-")).collect();
    names.sort_unstable();
    names
}

fn own_cgroups(below: &Path) -> Vec<String> {
    let own = format!("alumet-{}-", std::process::id());
    cgroups(below).into_iter().filter(|name| name.starts_with(&own)).collect()
}

#[test]
fn its_cgroup_has_all_of_it_is_removed_at_the_end_and_whoever_lives_on_goes_back() {
    let Some(parent) = own_cgroup() else { return skip("the application's cgroup", "no cgroup v2 here") };
    let own = std::process::id();
    // What killed runs have left, and what is somebody's.
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let left = [format!("alumet-{}-0", dead.id()), "alumet-1-0".into(), "alumet-x-0".into()];
    if left.iter().any(|name| fs::create_dir(parent.join(name)).is_err()) {
        return skip("the application's cgroup", "none can be made here");
    }
    fs::create_dir(parent.join(&left[0]).join("below")).unwrap();
    let mut script = Script::start(
        "g=$(sed -n 's/^0:://p' /proc/self/cgroup); echo $g; sleep 60 & echo $!; read x; sleep 60 & echo $!; read x",
    );
    let name = format!("alumet-{own}-0");
    assert!(cgroups(&parent).contains(&name) && !cgroups(&parent).contains(&left[0]));
    assert!(left[1..].iter().all(|name| cgroups(&parent).contains(name)), "it may be somebody's");
    left[1..].iter().for_each(|name| fs::remove_dir(parent.join(name)).unwrap());
    assert!(script.line().ends_with(&format!("/{name}")));
    let (pid, child) = (script.target.pid(), script.pid());
    let cgroup = parent.join(&name);
    // One that the application has made for itself.
    fs::create_dir(cgroup.join("below")).unwrap();
    fs::write(cgroup.join("below/cgroup.procs"), child.to_string()).unwrap();
    let mut both = [pid, child];
    both.sort_unstable();
    let mut found = of_cgroup(&script.target);
    found.sort_unstable();
    assert_eq!((found, members(&script.target)), (both.to_vec(), both.to_vec()));
    let cpu = script.target.cgroup().unwrap().cpu().unwrap();
    let text = fs::read_to_string(cgroup.join("cpu.stat")).unwrap();
    let usec = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse::<u64>().unwrap()
    };
    let sum = cpu.user + cpu.system;
    assert!(sum <= Duration::from_micros(usec("usage_usec ")) && sum > Duration::ZERO);
    assert!(cpu.system <= Duration::from_micros(usec("system_usec ")));
    // One that has left it is a member all the same.
    script.go();
    let leaver = script.pid();
    fs::write(parent.join("cgroup.procs"), leaver.to_string()).unwrap();
    assert!(!of_cgroup(&script.target).contains(&leaver) && members(&script.target).contains(&leaver));
    // Somebody who is none of it, but in its cgroup.
    let mut guest = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    fs::write(cgroup.join("cgroup.procs"), guest.id().to_string()).unwrap();
    assert!(members(&script.target).contains(&(guest.id() as i32)));
    fs::write(parent.join("cgroup.procs"), guest.id().to_string()).unwrap();
    guest.kill().unwrap();
    guest.wait().unwrap();
    let memory = fs::read_to_string(cgroup.join("memory.peak")).ok().map(|text| text.trim().parse().unwrap());
    assert_eq!(script.target.cgroup().unwrap().memory_peak(), memory);
    // The end of the first one.
    script.go();
    script.end();
    assert!(members(&script.target).contains(&child) && script.target.survivors().len() == 2);
    script.target.leave();
    assert!(!cgroup.exists());
    let now = fs::read_to_string(format!("/proc/{child}/cgroup")).unwrap();
    assert!(!now.contains(&name), "{now}");
    let over =
        run(async { tokio::time::timeout(Duration::from_millis(20), script.target.all_ended()).await });
    assert!(over.is_err(), "they live on");
    kill(child);
    kill(leaver);
}

#[test]
fn whoever_is_in_its_cgroup_is_waited_for_whoever_it_descends_from() {
    let one = alone();
    let mut guest = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let mut script = Script::beside(one, &["sh", "-c", "echo; read x"], |_| {});
    script.target.open_gate().unwrap();
    script.line();
    let has_cgroup = script.target.cgroup().is_ok();
    if let Some(parent) = own_cgroup().filter(|_| has_cgroup) {
        let cgroup = parent.join(format!("alumet-{}-0", std::process::id()));
        fs::write(cgroup.join("cgroup.procs"), guest.id().to_string()).unwrap();
        script.rest();
        let is_over = || {
            run(async {
                tokio::time::timeout(Duration::from_millis(20), script.target.all_ended()).await.is_ok()
            })
        };
        assert!(!is_over(), "somebody is in it");
        guest.kill().unwrap();
        soon(|| is_over().then_some(()));
    } else {
        skip("whoever is in its cgroup", "none can be made here");
        kill(guest.id() as i32);
    }
    drop(script);
    let _ = guest.wait();
}

#[test]
fn a_run_beside_another_has_a_cgroup_of_its_own() {
    let one = alone();
    let [a, b] = [(); 2].map(|()| Target::launch(&Command::new(["true"])).unwrap());
    let Some(parent) = own_cgroup().filter(|_| a.cgroup().is_ok()) else {
        return skip("two cgroups", "none can be made here");
    };
    let own = std::process::id();
    assert_eq!(own_cgroups(&parent), [format!("alumet-{own}-0"), format!("alumet-{own}-1")]);
    // The root, or another user's, is not written to without a right.
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(&parent).unwrap();
    let is_locked = metadata.uid() != nix::unistd::Uid::effective().as_raw() || metadata.mode() & 0o200 == 0;
    assert_eq!(a.needed_capabilities().contains(CapabilitySet::DAC_OVERRIDE), is_locked);
    drop((a, b));
    assert!(own_cgroups(&parent).is_empty());
    drop(one);
}

#[test]
fn a_launched_process_is_covered_once_and_one_attached_to_with_all_its_threads() {
    let script = Script::at_gate("read x", |_| {});
    let cover = script.target.cover(|tid| if tid > 0 { Ok::<_, i32>(tid) } else { Err(tid) });
    assert_eq!((cover.opened, cover.refused.len(), cover.uncertain), (vec![script.target.pid()], 0, 0));
    let refused = script.target.cover(Err::<(), _>).refused;
    assert_eq!(refused, [(script.target.pid(), script.target.pid())]);
}

/// A cgroup v1 of this controller. Another process may have the same pid, in another namespace, or have left one.
fn cgroup_v1(test: &str, controller: &str) -> Option<PathBuf> {
    let parent = Path::new("/sys/fs/cgroup").join(controller);
    if !is_root(test) {
        return None;
    }
    if !parent.join("cgroup.procs").exists() {
        skip(test, &format!("needs cgroup v1 with the controller {controller}"));
        return None;
    }
    let own = std::process::id();
    let free = (0..1000).map(|n| parent.join(format!("alumet-test-{own}-{n}")));
    Some(free.into_iter().find(|path| fs::create_dir(path).is_ok()).expect("root can make one"))
}

/// A cgroup v1 of the freezer's, thawed and removed at the end.
struct Freezer(PathBuf);

impl Freezer {
    fn new(test: &str) -> Option<Self> {
        cgroup_v1(test, "freezer").map(Self)
    }

    fn freeze(&self, pids: &[i32]) {
        pids.iter().for_each(|pid| fs::write(self.0.join("cgroup.procs"), pid.to_string()).unwrap());
        self.set("FROZEN");
        soon(|| (self.state() == "FROZEN").then_some(()));
    }

    fn set(&self, state: &str) {
        fs::write(self.0.join("freezer.state"), state).unwrap();
    }

    fn state(&self) -> String {
        fs::read_to_string(self.0.join("freezer.state")).unwrap().trim().to_owned()
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.set("THAWED");
        if let Ok(members) = fs::read_to_string(self.0.join("cgroup.procs")) {
            for pid in members.lines() {
                let _ = fs::write("/sys/fs/cgroup/freezer/cgroup.procs", pid);
            }
        }
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn an_application_that_is_frozen_is_thawed_to_be_ended() {
    let mut script = Script::start("echo; read x");
    script.line();
    let test = "an_application_that_is_frozen_is_thawed_to_be_ended";
    let Some(freezer) = Freezer::new(test) else { return };
    freezer.freeze(&[script.target.pid()]);
    run(script.target.terminate(Duration::from_secs(3))).unwrap();
    assert_eq!(freezer.state(), "THAWED");
    assert!(script.target.survivors().is_empty());
}

#[test]
fn an_application_that_is_frozen_with_others_is_left_behind_at_once() {
    let one = alone();
    let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let mut script = Script::beside(one, &["sh", "-c", "echo; read x"], |_| {});
    script.target.open_gate().unwrap();
    script.line();
    let test = "an_application_that_is_frozen_with_others_is_left_behind_at_once";
    if let Some(freezer) = Freezer::new(test) {
        let pid = script.target.pid();
        freezer.freeze(&[pid, other.id() as i32]);
        let grace = Duration::from_secs(8);
        let begun = Instant::now();
        let left = run(script.target.terminate(grace)).unwrap_err();
        assert!(begun.elapsed() < grace);
        assert_eq!((left.survivors[0].pid, left.frozen.as_ref()), (pid, Some(&freezer.0)));
        let told = format!(
            "cannot end sh ({pid}): frozen in {}, and killed when that is thawed",
            freezer.0.display()
        );
        assert_eq!((left.to_string(), freezer.state()), (told, "FROZEN".to_owned()));
        freezer.set("THAWED");
        soon(|| script.target.peek_exit());
    }
    let _ = other.kill();
    let _ = other.wait();
}

#[test]
fn an_application_whose_own_cgroup_is_frozen_hears_that_it_is_to_end() {
    let mut script = Script::start("trap 'echo ended; exit' TERM; echo; while :; do sleep 0.01; done");
    script.line();
    let parent = own_cgroup().filter(|_| script.target.cgroup().is_ok());
    let Some(parent) = parent else {
        return skip(
            "an_application_whose_own_cgroup_is_frozen_hears_that_it_is_to_end",
            "needs a cgroup of its own",
        );
    };
    let name = own_cgroups(&parent).pop().unwrap();
    fs::write(parent.join(name).join("cgroup.freeze"), "1").unwrap();
    run(script.target.terminate(Duration::from_secs(8))).unwrap();
    assert_eq!(script.rest(), "ended\n");
}

#[test]
fn whoever_may_not_be_signalled_is_killed_with_its_cgroup() {
    let test = "whoever_may_not_be_signalled_is_killed_with_its_cgroup";
    if !is_root(test) {
        return;
    }
    let mut script = Script::at_gate("trap '' TERM; echo; read x", |command| {
        command.user("54321:54321").unwrap();
    });
    script.target.open_gate().unwrap();
    script.line();
    if script.target.cgroup().is_err() {
        return skip(test, "needs a cgroup of its own");
    }
    let terminate = || run(script.target.terminate(Duration::ZERO));
    alumet::privilege::without(CapabilitySet::KILL, terminate).unwrap().unwrap();
    assert_eq!(script.target.peek_exit(), Some(Exit::Signal(libc::SIGKILL)));
}

#[test]
fn whoever_has_left_the_cgroup_is_waited_for_and_left_behind_if_nobody_may_kill_it() {
    let test = "whoever_has_left_the_cgroup_is_waited_for_and_left_behind_if_nobody_may_kill_it";
    if !is_root(test) {
        return;
    }
    let mut script = Script::at_gate("(sleep 60 & echo $!); read x", |command| {
        command.user("54321:54321").unwrap();
    });
    script.target.open_gate().unwrap();
    let leaver = script.pid();
    if let Some(parent) = own_cgroup().filter(|_| script.target.cgroup().is_ok()) {
        fs::write(parent.join("cgroup.procs"), leaver.to_string()).unwrap();
    }
    script.stdin = None;
    script.end();
    let target = &script.target;
    assert_eq!((target.exit(), members(target)), (Some(Exit::Code(1)), vec![leaver]));
    let is_over =
        || run(async { tokio::time::timeout(Duration::from_millis(20), target.all_ended()).await.is_ok() });
    assert!(!is_over(), "it lives, whatever became of the first process");
    let begun = Instant::now();
    let terminate = || run(target.terminate(Duration::ZERO));
    let left = alumet::privilege::without(CapabilitySet::KILL, terminate).unwrap().unwrap_err();
    // It is tried for as long as that: who is just ending is not called left behind.
    assert!(begun.elapsed() >= Duration::from_secs(5));
    assert_eq!((left.survivors.len(), left.survivors[0].pid, left.frozen.as_ref()), (1, leaver, None));
    let told = "not even SIGKILL does (uninterruptible sleep, or no right to)";
    assert_eq!(left.to_string(), format!("cannot end sleep ({leaver}): {told}"));
    kill(leaver);
    run(target.all_ended());
    assert!(members(target).is_empty());
}

#[test]
fn whoever_was_reaped_is_no_member_though_this_process_has_another_child() {
    let one = alone();
    let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let script = Script::beside(one, &["true"], |_| {});
    script.target.open_gate().unwrap();
    script.end();
    assert_eq!((script.target.exit(), members(&script.target)), (Some(Exit::Code(0)), vec![]));
    other.kill().unwrap();
    other.wait().unwrap();
}

/// Runs something in a thread that sees no file (chroot(2)), as where the kernel lists no children.
fn without_files<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    let root = tempfile::tempdir().unwrap();
    let run = || {
        // Of this thread alone (unshare(2)).
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
        nix::unistd::chroot(root.path()).unwrap();
        std::env::set_current_dir("/").unwrap();
        f()
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[test]
fn where_no_children_are_listed_only_the_first_process_is_known() {
    if !is_root("where_no_children_are_listed_only_the_first_process_is_known") {
        return;
    }
    let mut script = Script::start("echo; read x");
    script.line();
    let target = &script.target;
    // Else its cgroup tells, too.
    if let Some(parent) = own_cgroup().filter(|_| target.cgroup().is_ok()) {
        fs::write(parent.join("cgroup.procs"), target.pid().to_string()).unwrap();
    }
    let attached = Target::attach(vec![Root::hold(target.pid()).unwrap()]);
    assert!(attached.is_followed() && target.is_followed());
    without_files(|| {
        assert_eq!(target.is_followed(), target.cgroup().is_ok());
        assert!(!attached.is_followed());
        assert_eq!(members(target), [target.pid()]);
        assert!(target.survivors().is_empty(), "nobody is seen to live");
        // Nobody else could be seen to live either.
        run(target.all_ended());
    });
    assert!(!target.has_exited() && target.survivors().len() == 1);
}

#[test]
fn a_cgroup_in_that_of_another_user_takes_a_right_to_remove() {
    let test = "a_cgroup_in_that_of_another_user_takes_a_right_to_remove";
    if !is_root(test) {
        return;
    }
    let _one = alone();
    let target = Target::launch(&Command::new(["true"])).unwrap();
    let Some(parent) = own_cgroup().filter(|_| target.cgroup().is_ok()) else {
        return skip(test, "none can be made here");
    };
    let needs = |owner| {
        std::os::unix::fs::chown(&parent, Some(owner), None).unwrap();
        target.needed_capabilities()
    };
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&parent).unwrap());
    let (of_another, of_its_own) = (needs(54321), needs(owner));
    assert_eq!(of_another, CapabilitySet::KILL | CapabilitySet::DAC_OVERRIDE);
    assert!(of_its_own.contains(CapabilitySet::KILL));
}

#[test]
fn what_the_kernel_kills_for_want_of_memory_is_told_to_whoever_listens() {
    let test = "what_the_kernel_kills_for_want_of_memory_is_told_to_whoever_listens";
    let Some(small) = cgroup_v1(test, "memory") else { return };
    let _one = alone();
    fs::write(small.join("memory.limit_in_bytes"), "16M").unwrap();
    // Else it may swap; the file is there only where that is limited.
    let _ = fs::write(small.join("memory.memsw.limit_in_bytes"), "16M");
    // It keeps a line in memory that has no end.
    let script = format!("echo $$ >{}/cgroup.procs && exec tail -n 1 /dev/zero", small.display());
    let report = |listens: bool| {
        run(async {
            let mut agent = Agent::new();
            agent.launch(&Command::new(["sh", "-c", &script])).unwrap();
            if listens {
                agent.setup().output("nowhere", |_: &Batch| Ok(()));
            }
            agent.start().await.unwrap().wait().await
        })
    };
    let (told, untold) = (report(true), report(false));
    soon(|| fs::remove_dir(&small).ok());
    assert_eq!((told.exit, untold.exit), (Some(Exit::Signal(libc::SIGKILL)), told.exit));
    assert!(told.oom_kills.is_some_and(|kills| kills.count >= 1));
    assert_eq!(untold.oom_kills, None);
}

#[test]
fn orphans_of_a_run_without_a_source_are_reaped_meanwhile() {
    let one = alone();
    let (their_stdin, stdin) = std::io::pipe().unwrap();
    let (stdout, their_stdout) = std::io::pipe().unwrap();
    run(async {
        let mut agent = Agent::new();
        let mut command = Command::new(["sh", "-c", "(sleep 60 & echo $!); read x"]);
        command.stream(0, their_stdin).stream(1, their_stdout);
        agent.launch(&command).unwrap();
        drop(command);
        let running = agent.start().await.unwrap();
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let orphan: i32 = line.trim().parse().unwrap();
        soon(|| is_adopted(orphan).then_some(()));
        kill(orphan);
        let gone = async {
            while exists(orphan) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
        assert!(running.target().unwrap().reaped().minor_faults > 0);
        drop(stdin);
        assert_eq!(running.wait().await.exit, Some(Exit::Code(1)));
    });
    drop(one);
}

#[test]
fn an_end_is_waited_for_also_where_the_runtime_cannot_wait_for_descriptors() {
    let one = alone();
    let wait = || {
        run(async {
            let mut agent = Agent::new();
            agent.launch(&Command::new(["sh", "-c", "sleep 0.05; exit 3"])).unwrap();
            let running = agent.start().await.unwrap();
            if !support::filter(libc::SYS_epoll_ctl, libc::SECCOMP_RET_ERRNO | libc::ENOSPC as u32) {
                skip("an_end_is_waited_for_also_where_the_runtime_cannot", "no filter can be set here");
            }
            let cannot = running.target().unwrap().exited().await.is_err();
            (cannot, running.wait().await.exit)
        })
    };
    let (cannot, exit) = std::thread::scope(|scope| scope.spawn(wait).join().unwrap());
    assert_eq!(exit, Some(Exit::Code(3)));
    if !cannot {
        skip("an_end_is_waited_for_also_where_the_runtime_cannot", "it can");
    }
    drop(one);
}
