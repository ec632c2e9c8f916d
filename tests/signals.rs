//! Signals and terminals: everything reaches the application as without alumet, and the report is always written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::ffi::CStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Alumet, binary, soon};

/// As `support::Done` has it: negative where a signal has ended alumet itself.
fn status(found: ExitStatus) -> i32 {
    assert!(!found.core_dumped(), "a core dump of alumet");
    found.code().unwrap_or_else(|| -found.signal().unwrap())
}

/// How alumet ends if this signal has ended the application.
fn status_by(signal: i32) -> i32 {
    if [libc::SIGINT, libc::SIGQUIT].contains(&signal) { -signal } else { 128 + signal }
}

/// `alumet exec` of a shell script in the background.
struct Run {
    alumet: Alumet,
    child: Child,
}

impl Run {
    /// Returns when the script has made the file `ready`.
    fn start(mut alumet: Alumet) -> Self {
        let file = |name: &str| File::create(alumet.path(name)).unwrap();
        let (out, err) = (file("out"), file("err"));
        let child = alumet.command.stdout(out).stderr(err).spawn().unwrap();
        let run = Self { alumet, child };
        assert!(soon(|| run.alumet.path("ready").exists()), "not ready: {}", run.alumet.read("err"));
        run
    }

    fn of(options: &[&str], script: &str) -> Self {
        Self::start(Alumet::new(["exec"].iter().chain(options).chain(&["sh", "-c", script])))
    }

    /// To alumet alone.
    fn send(&self, signal: Signal) {
        self.send_number(signal as i32);
    }

    fn send_number(&self, signal: i32) {
        // SAFETY: takes two numbers; the child is not reaped yet.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end; gives the run back for a look at its files.
    #[track_caller]
    fn end(mut self, status: i32) -> Alumet {
        let child = Mutex::new(&mut self.child);
        assert!(soon(|| child.lock().unwrap().try_wait().unwrap().is_some()), "alumet still runs");
        let found = self.child.wait().unwrap();
        assert_eq!(self::status(found), status, "{found:?}\n{}", self.alumet.read("err"));
        self.alumet
    }
}

#[test]
fn signals_sent_to_alumet_are_passed_on_and_nobody_is_left_behind() {
    for signal in ["TERM", "HUP", "QUIT", "INT"] {
        let script = format!("trap 'echo got {signal}; exit 9' {signal}; sleep 300 & touch ready; wait");
        let run = Run::of(&["--json", "p.json", "-o", "s.csv"], &script);
        run.send(format!("SIG{signal}").parse().unwrap());
        let alumet = run.end(9);
        assert_eq!(alumet.processes().pids(), [0; 0], "{signal}");
        assert_eq!(alumet.read("out"), format!("got {signal}\n"));
        assert!(alumet.read("err").contains("ended with status 9"));
        assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["code"], 9);
        assert!(!alumet.rows("s.csv").is_empty());
    }
}

/// A row of the table in the book.
struct Row {
    signal: i32,
    does: String,
    /// How alumet ends; negative where it dies of a signal.
    status: Option<i32>,
}

/// All rows of it, one for each signal.
fn book() -> Vec<Row> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/src/signals.md");
    let text = std::fs::read_to_string(page).unwrap();
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(cells).skip(1);
    let status = |cell: &str| match cell {
        "" => None,
        name if name.starts_with("SIG") => Some(-(name.parse::<Signal>().unwrap() as i32)),
        number => Some(number.parse::<i32>().unwrap()),
    };
    rows.flat_map(|cells| {
        let does = cells[3].clone();
        match cells[2].split_once(" to ") {
            Some((first, last)) => {
                let (low, high) = cells[4].split_once(" to ").unwrap();
                let [first, last, low, high] = [first, last, low, high].map(|n| n.parse::<i32>().unwrap());
                let statuses = (low..=high).map(Some);
                let both = (first..=last).zip(statuses);
                both.map(|(signal, status)| Row { signal, does: does.clone(), status }).collect::<Vec<_>>()
            }
            None => {
                let signal = cells[2].parse().unwrap();
                assert_eq!(Signal::try_from(signal).map_or("SIGRTMAX", Signal::as_str), cells[1]);
                vec![Row { signal, does, status: status(&cells[4]) }]
            }
        }
    })
    .collect()
}

/// The signals of which the book says this, each with how alumet ends.
fn that(does: &str) -> Vec<(i32, Option<i32>)> {
    book().into_iter().filter(|row| row.does == does).map(|row| (row.signal, row.status)).collect()
}

#[test]
fn the_book_has_a_row_for_every_signal_and_the_right_status() {
    let rows = book();
    let signals: Vec<_> = rows.iter().map(|row| row.signal).collect();
    assert_eq!(signals, (1..=31).chain(libc::SIGRTMIN()..=libc::SIGRTMAX()).collect::<Vec<_>>());
    for Row { signal, does, status } in rows {
        let ends = ["ends the application", "asks the application to end"].contains(&&*does);
        let expected = ends.then(|| status_by(signal));
        assert_eq!(status, expected.or((signal == libc::SIGKILL).then_some(-signal)), "{signal} {does}");
    }
}

#[test]
fn whatever_signal_ends_an_application_ends_it_with_alumet_and_the_report_is_written() {
    let mut signals = [that("ends the application"), that("asks the application to end")].concat();
    // Of the real-time signals, which are all alike, the first and the last two.
    signals.retain(|(signal, _)| !(36..=61).contains(signal));
    assert_eq!(signals.len(), 26);
    for some in signals.chunks(9) {
        let runs: Vec<_> = some
            .iter()
            .map(|(signal, status)| {
                // Who has left a process behind: that is ended, too.
                let script = "ulimit -c 0; sleep 300 & touch ready; exec sleep 300";
                (*signal, status.unwrap(), Run::of(&["--json", "p.json", "-o", "s.csv"], script))
            })
            .collect();
        runs.iter().for_each(|(signal, _, run)| run.send_number(*signal));
        for (signal, status, run) in runs {
            let alumet = run.end(status);
            let name = Signal::try_from(signal).map_or(format!("signal {signal}"), |name| name.to_string());
            assert!(alumet.read("err").contains(&format!("was ended by {name}\n")), "{}", alumet.read("err"));
            assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["signal"], signal);
            assert!(!alumet.rows("s.csv").is_empty(), "{signal}");
            assert_eq!(alumet.processes().pids(), [0; 0], "{signal}");
        }
    }
}

#[test]
fn an_alarm_that_was_set_before_alumet_ends_the_application() {
    let Some(perl) = perl() else { return };
    let mut alumet = Alumet::with(Command::new(perl), ["-e", "alarm 1; exec @ARGV"]);
    alumet.command.arg(binary()).args(["exec", "--json", "p.json", "sleep", "300"]);
    alumet.run().status(128 + libc::SIGALRM).says("was ended by SIGALRM");
    assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["signal"], libc::SIGALRM);
    assert_eq!(alumet.processes().pids(), [0; 0]);
}

fn perl() -> Option<&'static str> {
    let found = Command::new("perl").arg("-v").output().is_ok();
    if !found {
        support::skip("an_alarm", "there is no perl");
    }
    found.then_some("perl")
}

#[test]
fn signals_that_end_nothing_are_passed_on() {
    let signals = that("is passed on");
    assert_eq!(signals.len(), 3);
    for (signal, _) in signals {
        let script = format!(
            "trap 'echo x >>got' {signal}; touch ready; while [ ! -e go ]; do sleep 0.02; done; exit 3"
        );
        let run = Run::of(&[], &script);
        let got = || std::fs::read_to_string(run.alumet.path("got")).unwrap_or_default();
        run.send_number(signal);
        assert!(soon(|| got().len() == 2), "{signal}: {:?}", got());
        // These are alumet's own affair.
        that("is not passed on").into_iter().for_each(|(signal, _)| run.send_number(signal));
        run.alumet.write("go", "");
        assert_eq!(run.end(3).read("got"), "x\n");
    }
}

#[test]
fn a_stop_of_alumet_stops_the_application_where_that_can_be_told_and_both_go_on() {
    let signals = [that("stops both"), that("stops alumet alone")].concat();
    assert_eq!(signals.len(), 4);
    for (signal, _) in signals {
        let script = "echo $$ >pid; mkfifo go; touch ready; read -r line <go; exit 6";
        let mut alumet = Alumet::new(["exec", "sh", "-c", script]);
        // In a process group whose leader's parent is in another one: such a group may be stopped (setpgid(2)).
        alumet.command.process_group(0);
        let run = Run::start(alumet);
        let application: i32 = run.alumet.read("pid").trim().parse().unwrap();
        let both = [application, run.child.id() as i32];
        let states = || both.map(state);
        run.send_number(signal);
        let of_application = if signal == libc::SIGSTOP { 'S' } else { 'T' };
        assert!(soon(|| states() == [of_application, 'T']), "{signal}: {:?}", states());
        run.send(Signal::SIGCONT);
        assert!(soon(|| !states().contains(&'T')), "{signal}: {:?}", states());
        run.alumet.write("go", "on\n");
        run.end(6);
    }
}

/// The state of a process, as proc_pid_stat(5) has it; `-` if there is none.
fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('-')
}

#[test]
fn the_application_ends_by_the_signal_that_was_meant_for_the_death_of_who_has_started_alumet() {
    for (signal, name) in [(libc::SIGKILL, "KILL"), (libc::SIGTERM, "TERM"), (libc::SIGUSR1, "USR1")] {
        let script = format!(
            "setpriv --pdeathsig {name} \"$@\" >out 2>err & while [ ! -e ready ]; do sleep 0.02; done; kill -9 $$"
        );
        let words = ["exec", "--json", "p.json", "sh", "-c", "ulimit -c 0; touch ready; exec sleep 300"];
        let mut alumet = Alumet::sh(&script, &words);
        assert_eq!(alumet.run().status, -libc::SIGKILL, "of the shell");
        assert!(soon(|| alumet.processes().pids().is_empty()), "{name}: {}", alumet.read("err"));
        assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["signal"], signal, "{}", alumet.read("err"));
    }
    // It can see that itself, and dies with alumet, too.
    for name in ["KILL", "TERM"] {
        let script = format!("exec setpriv --pdeathsig {name} \"$@\"");
        let done = Alumet::sh(&script, &["exec", "-q", "setpriv", "--dump"]).run().status(0);
        assert!(done.stdout.contains(&format!("Parent death signal: {name}\n")), "{}", done.stdout);
    }
    let script = "exec setpriv --pdeathsig KILL \"$@\"";
    let mut run = Run::start(Alumet::sh(script, &["exec", "sh", "-c", "touch ready; exec sleep 300"]));
    run.send(Signal::SIGKILL);
    run.child.wait().unwrap();
    assert!(soon(|| run.alumet.processes().pids().is_empty()));
}

#[test]
fn what_alumet_itself_uses_of_a_limit_of_cpu_time_ends_nothing() {
    // A tick is 10 ms, and a second is the limit.
    let script = "touch ready; while read -r stat </proc/$PPID/stat; do set -- ${stat##*) }; \
        [ $((${12} + ${13})) -gt 130 ] && exit 4; sleep 0.05; done; exit 5";
    let words = ["exec", "-i", "100us", "-o", "/dev/null", "sh", "-c", script];
    let run = Run::start(Alumet::sh("ulimit -S -t 1; exec \"$@\"", &words));
    run.end(4);
}

#[test]
fn user_signals_are_passed_on_each_time_and_end_nothing() {
    for signal in ["USR1", "USR2"] {
        let script = format!(
            "trap 'echo x >>got' {signal}; touch ready; while [ ! -e go ]; do sleep 0.02; done; exit 3"
        );
        let run = Run::of(&["--json", "p.json"], &script);
        let got = || std::fs::read_to_string(run.alumet.path("got")).unwrap_or_default();
        for n in 1..=4 {
            run.send(format!("SIG{signal}").parse().unwrap());
            assert!(soon(|| got().len() == 2 * n), "{signal} {n}: {:?}", got());
        }
        run.alumet.write("go", "");
        let alumet = run.end(3);
        assert_eq!(alumet.read("got").len(), 8);
        assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["code"], 3);
    }
}

#[test]
fn whoever_ignores_the_first_sigterm_is_killed_after_the_second() {
    let script = "trap '' TERM; touch ready; (setsid sleep 300 &); sleep 300 & sleep 300; sleep 300";
    let mut run = Run::of(&["--json", "p.json"], script);
    run.send(Signal::SIGTERM);
    std::thread::sleep(Duration::from_millis(300));
    assert!(!run.has_ended());
    run.send(Signal::SIGTERM);
    let alumet = run.end(137);
    assert_eq!(alumet.processes().pids(), [0; 0]);
    assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["signal"], 9);
}

#[test]
fn one_signal_is_enough_to_wait_no_longer_for_those_that_the_application_left() {
    let script = "(trap '' TERM; touch ready; sleep 300) & exit 3";
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGALRM, Signal::SIGUSR1] {
        let run = Run::of(&["--wait-all", "--json", "p.json"], script);
        let child = run.child.id();
        // Whoever is waited for has been adopted: the first process has ended.
        let of_alumet = || std::fs::read_to_string(format!("/proc/{child}/task/{child}/children")).unwrap();
        assert!(soon(|| of_alumet().split_whitespace().count() > 1));
        run.send(signal);
        let alumet = run.end(status_by(signal as i32));
        assert_eq!(alumet.processes().pids(), [0; 0]);
        let profile = alumet.profile("p.json");
        assert_eq!(profile["runs"][0]["exit"]["code"], 3);
        assert_eq!(profile["runs"][0]["survivors"], serde_json::json!([]));
    }
}

#[test]
fn an_application_that_is_stopped_ends_by_the_signal_too() {
    let run = Run::of(&[], "echo $$ >ready; kill -STOP $$; sleep 300");
    let pid = || run.alumet.read("ready").trim().to_owned();
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid())).unwrap_or_default();
    assert!(soon(|| state().contains(") T ")), "{}", state());
    run.send(Signal::SIGTERM);
    run.end(143);
}

#[test]
fn a_termination_ends_alumet_also_where_it_waits_for_what_never_comes() {
    // The reader of the series is there, and does not read.
    let script = "mkfifo pipe; (exec <pipe; touch ready; sleep 300) & exec \"$@\"";
    let words = ["exec", "-q", "-i", "1ms", "-o", "pipe", "sh", "-c", "sleep 1; touch finished"];
    let run = Run::start(Alumet::sh(script, &words));
    assert!(soon(|| run.alumet.path("finished").exists()));
    let pid = run.child.id();
    let children = || std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    assert!(soon(|| children().split_whitespace().count() == 1), "{}", children());
    run.send(Signal::SIGTERM);
    let alumet = run.end(143);
    assert!(alumet.read("err").contains("ended by SIGTERM while it waited for"), "{}", alumet.read("err"));
}

#[test]
fn signals_that_alumet_was_started_to_ignore_change_nothing() {
    // As nohup(1) does.
    let script = "touch ready; while [ ! -e go ]; do sleep 0.02; done; (sleep 2 && touch survived) & exit 4";
    let alumet = Alumet::sh("trap '' HUP INT; exec \"$@\"", &["exec", "sh", "-c", script]);
    let run = Run::start(alumet);
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGHUP] {
        run.send(signal);
        std::thread::sleep(Duration::from_millis(50));
    }
    run.alumet.write("go", "");
    let alumet = run.end(4);
    assert!(soon(|| alumet.path("survived").exists()), "{:?}", alumet.read("err"));
}

#[test]
fn without_alumet_the_application_goes_on_and_the_file_has_whole_rows() {
    for wait_ms in [0, 33, 170] {
        let script = "touch ready; while [ ! -e go ]; do sleep 0.02; done; echo x; touch finished";
        let mut run = Run::of(&["-i", "1ms", "--per-process", "-o", "s.csv"], script);
        assert!(soon(|| run.alumet.path("s.csv").metadata().is_ok_and(|file| file.len() > 0)));
        std::thread::sleep(Duration::from_millis(wait_ms));
        run.send(Signal::SIGKILL);
        run.child.wait().unwrap();
        let alumet = &run.alumet;
        let (text, rows) = (alumet.read("s.csv"), alumet.rows("s.csv"));
        assert!(text.ends_with('\n') && rows.len() > 10, "{} rows", rows.len());
        assert!(!alumet.path("finished").exists());
        alumet.write("go", "");
        assert!(soon(|| alumet.path("finished").exists()));
        assert_eq!(alumet.read("out"), "x\n");
        assert!(soon(|| alumet.processes().pids().is_empty()));
    }
}

/// A terminal with a program in a session of its own.
struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    alumet: Alumet,
    child: Child,
}

impl Terminal {
    /// `program` with the arguments, in the foreground.
    fn open(program: &std::path::Path, arguments: &[&str]) -> Self {
        let file = |path: &str, flags| {
            use std::os::unix::fs::OpenOptionsExt;
            File::options().read(true).write(true).custom_flags(libc::O_NOCTTY | flags).open(path).unwrap()
        };
        let keyboard = file("/dev/ptmx", libc::O_NONBLOCK);
        let mut name = [0; 64];
        // SAFETY: the descriptor is open; the buffer is as long as is said and outlives the call.
        let made = unsafe {
            libc::unlockpt(keyboard.as_raw_fd()) == 0
                && libc::ptsname_r(keyboard.as_raw_fd(), name.as_mut_ptr().cast(), name.len()) == 0
        };
        assert!(made, "{}", std::io::Error::last_os_error());
        let name = CStr::from_bytes_until_nul(&name).unwrap().to_str().unwrap();
        let slave = || file(name, 0);
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program);
        let mut alumet = Alumet::with(command, arguments).env("TERM", "xterm").env("PS1", "$ ");
        alumet.command.env_remove("NO_COLOR").env_remove("HISTFILE");
        let child = alumet.command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        // The parent's copies of the terminal would keep it open.
        alumet.command = Command::new("true");
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (keyboard.try_clone().unwrap(), Arc::downgrade(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Until the last program or the terminal has gone.
            while let Some(screen) = to.upgrade() {
                match from.read(&mut bytes) {
                    Ok(n @ 1..) => screen.lock().unwrap().extend(&bytes[..n]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        drop(screen);
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    _ => break,
                }
            }
        });
        Self { keyboard, screen, alumet, child }
    }

    /// `alumet exec` of a script.
    fn exec(options: &[&str], script: &str) -> Self {
        Self::open(binary(), &[&["exec"], options, &["sh", "-c", script]].concat())
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) {
        assert!(soon(|| self.screen().contains(text)), "no `{text}` on the screen:\n{}", self.screen());
    }

    #[track_caller]
    fn wait_for_file(&self, name: &str) {
        assert!(soon(|| self.alumet.path(name).exists()), "no {name}; the screen:\n{}", self.screen());
    }

    #[track_caller]
    fn end(&mut self, status: i32) {
        let child = Mutex::new(&mut self.child);
        assert!(
            soon(|| child.lock().unwrap().try_wait().unwrap().is_some()),
            "still runs:\n{}",
            self.screen()
        );
        let found = self.child.wait().unwrap();
        assert_eq!(self::status(found), status, "{found:?}\n{}", self.screen());
    }
}

const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";
const CTRL_BACKSLASH: &str = "\x1c";

#[test]
fn ctrl_c_reaches_the_application_once_and_one_that_handles_it_goes_on() {
    // Half a second is left for a second one to arrive.
    let script = "n=0; trap 'n=$((n+1))' INT; touch ready; while [ $n = 0 ]; do sleep 0.02; done; \
        sleep 0.5; echo count $n; exit 5";
    let mut terminal = Terminal::exec(&["--json", "p.json"], script);
    terminal.wait_for_file("ready");
    terminal.press(CTRL_C);
    terminal.end(5);
    terminal.wait_for("count 1\r\n");
    terminal.wait_for("ended with status 5");
    terminal.wait_for("not measured:");
    assert_eq!(terminal.alumet.profile("p.json")["runs"][0]["exit"]["code"], 5);
}

#[test]
fn impatient_keys_leave_a_complete_report() {
    for (pause_ms, keys, signal) in [
        (0, CTRL_C, libc::SIGINT),
        (2, CTRL_C, libc::SIGINT),
        (10, CTRL_C, libc::SIGINT),
        (0, CTRL_BACKSLASH, libc::SIGQUIT),
    ] {
        let script = "sleep 300 & touch ready; ulimit -c 0; exec sleep 300";
        let mut terminal = Terminal::exec(&["--json", "p.json", "-o", "s.csv"], script);
        terminal.wait_for_file("ready");
        for _ in 0..3 {
            terminal.press(keys);
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
        terminal.end(-signal);
        terminal.wait_for("was ended by");
        assert_eq!(terminal.alumet.profile("p.json")["runs"][0]["exit"]["signal"], signal);
        assert!(!terminal.alumet.rows("s.csv").is_empty());
        assert_eq!(terminal.alumet.processes().pids(), [0; 0]);
    }
}

#[test]
fn ctrl_c_stops_the_loop_of_a_shell_and_the_reports_are_complete() {
    for (options, report) in
        [("--json p.json", "was ended by SIGINT"), ("-r 5 --json p.json", "interrupted by SIGINT")]
    {
        // The second run is interrupted; of the first the report is there in any case.
        let script = format!(
            "for i in 1 2 3; do \"$0\" exec {options} -- sh -c 'echo x >>runs; test $(wc -l <runs) = 1 || \
             {{ touch ready; exec sleep 300; }}'; done; touch went-on"
        );
        let arguments = ["-c", &script, binary().to_str().unwrap()];
        let mut terminal = Terminal::open("bash".as_ref(), &arguments);
        terminal.wait_for_file("ready");
        terminal.press(CTRL_C);
        terminal.end(-libc::SIGINT);
        terminal.wait_for(report);
        assert!(!terminal.alumet.path("went-on").exists());
        assert_eq!(terminal.alumet.read("runs"), "x\nx\n");
        assert_eq!(terminal.alumet.profile("p.json")["runs"].as_array().unwrap().len(), 1);
        assert_eq!(terminal.alumet.processes().pids(), [0; 0]);
    }
}

#[test]
fn an_application_that_ends_by_itself_after_ctrl_c_lets_the_loop_go_on() {
    let script = "for i in 1 2; do \"$0\" exec -q -- sh -c 'trap \"exit 130\" INT; touch ready$0; \
        while [ ! -e go$0 ]; do sleep 0.02; done' $i; echo status=$?; done";
    let mut terminal = Terminal::open("bash".as_ref(), &["-c", script, binary().to_str().unwrap()]);
    terminal.wait_for_file("ready1");
    terminal.press(CTRL_C);
    terminal.wait_for("status=130");
    terminal.wait_for_file("ready2");
    terminal.alumet.write("go2", "");
    terminal.wait_for("status=0");
    terminal.end(0);
}

#[test]
fn nothing_is_written_to_the_terminal_while_the_application_has_it() {
    let script = "echo one; sleep 0.4; echo two >&2; sleep 0.4; echo three";
    let mut terminal = Terminal::exec(&["-i", "5ms", "-o", "s.csv"], script);
    terminal.end(0);
    terminal.wait_for("not measured:");
    let screen = terminal.screen();
    assert!(screen.starts_with("one\r\ntwo\r\nthree\r\n\r\n"), "{screen}");
    assert!(screen.contains("\x1b["), "no colours on a terminal: {screen}");

    let mut terminal = Terminal::exec(&["-q"], "echo one");
    terminal.end(0);
    assert!(soon(|| terminal.screen() == "one\r\n"), "{}", terminal.screen());
}

#[test]
fn the_application_can_use_the_terminal() {
    let mut terminal =
        Terminal::exec(&["-q"], "test -t 0 && touch ready; read line; echo got $line; stty -echo");
    terminal.wait_for_file("ready");
    terminal.press("words\n");
    terminal.end(0);
    terminal.wait_for("got words\r\n");
}

#[test]
fn a_terminal_that_goes_away_ends_the_application_and_the_report_is_written() {
    let terminal = Terminal::exec(&["--json", "p.json"], "sleep 300 & touch ready; exec sleep 300");
    terminal.wait_for_file("ready");
    let Terminal { keyboard, screen, alumet, mut child } = terminal;
    drop((keyboard, screen));
    assert!(soon(|| alumet.processes().pids().is_empty()));
    assert_eq!(child.wait().unwrap().code(), Some(129));
    assert_eq!(alumet.profile("p.json")["runs"][0]["exit"]["signal"], 1);
}

/// The states of everything that the shell in the terminal has started.
fn states(terminal: &Terminal) -> Vec<char> {
    let pids =
        terminal.alumet.processes().pids().into_iter().filter(|pid| *pid != terminal.child.id() as i32);
    let stats = pids.filter_map(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    stats.filter_map(|stat| stat.rsplit(") ").next()?.chars().next()).collect()
}

fn shell() -> Terminal {
    let mut terminal = Terminal::open("bash".as_ref(), &["--norc", "--noprofile", "--noediting", "-i"]);
    terminal.press(&format!("alumet={}\n", binary().display()));
    terminal
}

#[test]
fn a_shell_can_stop_and_continue_it() {
    let mut shell = shell();
    // Without a fork: who waits in vfork(2) for a child that is stopped is not stopped itself.
    let script = "mkfifo go; touch ready; read -r line <go; exit 6";
    shell.press(&format!("$alumet exec --json p.json -i 10ms sh -c '{script}'\n"));
    shell.wait_for_file("ready");
    shell.press(CTRL_Z);
    shell.wait_for("Stopped");
    assert!(
        soon(|| states(&shell).len() >= 2 && states(&shell).iter().all(|s| *s == 'T')),
        "{:?}",
        states(&shell)
    );
    shell.press("fg\n");
    assert!(soon(|| states(&shell).iter().all(|s| *s != 'T')));
    assert!(!shell.screen().contains("Time "));
    shell.alumet.write("go", "on\n");
    shell.wait_for("ended with status 6");
    shell.press("echo status=$?\nexit\n");
    shell.wait_for("status=6");
    shell.end(0);
    assert_eq!(shell.alumet.profile("p.json")["runs"][0]["exit"]["code"], 6);
}

#[test]
fn it_runs_in_the_background_of_a_shell() {
    let mut shell = shell();
    shell.press("$alumet exec --json p.json sh -c 'touch ready; sleep 0.3; exit 8' &\n");
    shell.wait_for_file("ready");
    shell.press("wait $!; echo status=$?\nexit\n");
    shell.wait_for("status=8");
    shell.end(0);
    assert!(shell.screen().contains("ended with status 8"), "{}", shell.screen());
    assert_eq!(shell.alumet.profile("p.json")["runs"][0]["exit"]["code"], 8);
}
