//! Creates the application's process and holds it at a gate just before it becomes the application.
//!
//! Between `clone3` and `execvp` the child only makes async-signal-safe calls: everything that allocates is done before.

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::wait::waitpid;
use nix::unistd::{Gid, Group, Pid, Uid, User, getgrouplist, pipe2};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use tracing::debug;

use crate::process::Stat;
use crate::text;

/// What to launch, and as whom.
#[derive(Debug, Clone)]
pub struct Command {
    arguments: Vec<OsString>,
    user: Option<Credentials>,
    inherited: Inherited,
    streams: [Option<Arc<OwnedFd>>; 3],
}

/// What the application would have got from its parent if that parent were not alumet.
///
/// A program that changes its own signal mask, dispositions or descriptors captures this first; otherwise the
/// application gets the present mask, and the default of [`Inherited::DISPOSITIONS`].
#[derive(Debug, Clone, Default)]
pub struct Inherited {
    /// The signals that are blocked.
    pub mask: Option<SigSet>,
    /// Of [`Inherited::DISPOSITIONS`] those that are ignored.
    pub ignored: Vec<libc::c_int>,
    /// The standard descriptors that are closed (the Rust runtime opens /dev/null for them).
    pub closed: Vec<RawFd>,
    /// The signal that it gets if its parent dies (PR_SET_PDEATHSIG, prctl(2)).
    pub parent_death: Option<libc::c_int>,
    /// The environment, as `NAME=VALUE`, if it was another than that of this process.
    pub environment: Option<Vec<CString>>,
    /// The soft and the hard limit of open files (RLIMIT_NOFILE), if they were others than those of this process.
    pub open_files: Option<(u64, u64)>,
}

impl Inherited {
    /// The signals that the application does not get from this process as they are: the Rust runtime ignores SIGPIPE in
    /// every program, [`Target::launch`](super::Target::launch) needs SIGCHLD, and who writes files had better ignore
    /// SIGXFSZ, the limit of a file's size, for an error that can be told.
    pub const DISPOSITIONS: [libc::c_int; 3] = [libc::SIGPIPE, libc::SIGCHLD, libc::SIGXFSZ];
}

#[derive(Debug, Clone)]
struct Credentials {
    /// As it was given.
    name: String,
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// Why the application could not be launched.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// There is no such program: 127.
    #[error("{program}: not found")]
    NotFound {
        /// As it was given.
        program: String,
    },
    /// There is, but it cannot be executed: 126.
    #[error("{program}: cannot be executed: {reason}")]
    NotExecutable {
        /// As it was given.
        program: String,
        /// From the kernel.
        reason: String,
    },
    /// An argument holds a NUL byte, which no program can be given.
    #[error("argument {0} holds a NUL byte")]
    Nul(usize),
    /// No such user.
    #[error("there is no user `{0}`")]
    NoUser(String),
    /// There is no such user to take the group from.
    #[error("there is no user {0} that has a group; name one, as in `--user {0}:{0}`")]
    NoGroupOf(u32),
    /// No such group.
    #[error("there is no group `{0}`")]
    NoGroup(String),
    /// The process may not become this user.
    #[error("cannot become user `{0}`: only root may; run alumet with sudo, or without --user")]
    NotPermitted(String),
    /// It has the right to, and the kernel does not let it.
    #[error("cannot become user `{user}`: {reason}")]
    NotBecome {
        /// As it was given.
        user: String,
        /// From the kernel, and what it means.
        reason: String,
    },
    /// No process could be created.
    #[error("cannot create a process: {}", crate::file::reason(.0))]
    Fork(io::Error),
}

impl Command {
    /// A program, looked up in PATH as the shell does, with its arguments.
    ///
    /// # Panics
    /// If there is not even a program.
    pub fn new<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
        assert!(!arguments.is_empty(), "a command has at least one word");
        Self { arguments, user: None, inherited: Inherited::default(), streams: [const { None }; 3] }
    }

    /// The program and its arguments.
    pub fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    /// Launches it as this user: `USER`, with the user's groups, or `USER:GROUP`, with this group alone. Both are names
    /// or numbers, of which nobody need have heard.
    ///
    /// # Errors
    /// There is no such user or group, or the process may not become another one.
    pub fn user(&mut self, name: &str) -> Result<&mut Self, LaunchError> {
        let user = Credentials::of(name)?;
        if Uid::effective().is_root() {
            self.user = Some(user);
        } else if user.uid != Uid::effective() || (name.contains(':') && user.gid != Gid::effective()) {
            return Err(LaunchError::NotPermitted(name.to_owned()));
        }
        Ok(self)
    }

    /// Launches it with what it would have inherited.
    pub fn inherited(&mut self, inherited: Inherited) -> &mut Self {
        self.inherited = inherited;
        self
    }

    /// Gives it this file as standard input (0), output (1) or error (2), instead of this process' own.
    ///
    /// # Panics
    /// If it is another number.
    pub fn stream(&mut self, number: usize, file: impl Into<OwnedFd>) -> &mut Self {
        self.streams[number] = Some(Arc::new(file.into()));
        self
    }

    /// Whether there can be such a program: known before anything is created.
    ///
    /// # Errors
    /// There is certainly none.
    pub fn check(&self) -> Result<(), LaunchError> {
        match is_missing(&self.arguments[0]) {
            true => Err(LaunchError::NotFound { program: self.program() }),
            false => Ok(()),
        }
    }

    /// As it could be typed, but for what is not [harmless](text::harmless).
    pub fn display(&self) -> String {
        display(&self.arguments)
    }

    fn program(&self) -> String {
        self.arguments[0].to_string_lossy().into_owned()
    }
}

impl Credentials {
    fn of(name: &str) -> Result<Self, LaunchError> {
        let (user, group) = name.split_once(':').map_or((name, None), |(user, group)| (user, Some(group)));
        let number = number(user);
        let known = match number {
            Some(uid) => User::from_uid(Uid::from_raw(uid)),
            None => User::from_name(user),
        };
        let known = known.ok().flatten();
        let no_user = || LaunchError::NoUser(user.to_owned());
        let uid = known.as_ref().map(|user| user.uid).or(number.map(Uid::from_raw)).ok_or_else(no_user)?;
        let (gid, groups) = match (group, &known) {
            (Some(group), _) => {
                (group_of(group).ok_or_else(|| LaunchError::NoGroup(group.to_owned()))?, vec![])
            }
            (None, Some(user)) => {
                let login = CString::new(user.name.as_str()).map_err(|_| no_user())?;
                (user.gid, getgrouplist(&login, user.gid).map_err(|_| no_user())?)
            }
            (None, None) => return Err(LaunchError::NoGroupOf(uid.as_raw())),
        };
        Ok(Self { name: name.to_owned(), uid, gid, groups })
    }
}

fn group_of(name: &str) -> Option<Gid> {
    number(name).map(Gid::from_raw).or_else(|| Some(Group::from_name(name).ok()??.gid))
}

/// The last number means to leave everything as it is (setresuid(2)): it is nobody's.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

/// A child that waits. If this is dropped before [`Gate::open`], the child ends without having been the application.
#[derive(Debug)]
pub(super) struct Gate {
    open: std::fs::File,
    /// A 0 is in it when the child stands at the gate, and its end is reached when the child has become the application.
    /// Anything else is the errno of what has failed, negative if it was to become the user.
    result: std::fs::File,
    program: String,
    user: Option<String>,
}

pub(super) struct Held {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) gate: Gate,
    pub(super) in_cgroup: bool,
}

/// What the child needs, prepared before it exists.
struct Plan<'a> {
    argv: Vec<*const libc::c_char>,
    /// The environment, unless it is that of this process.
    envp: Option<Vec<*const libc::c_char>>,
    /// The command name that it will have: a reading just before exec shows no other.
    name: CString,
    wait: RawFd,
    report: RawFd,
    /// The parent's ends, which the child must not keep open: it would never see the gate's end.
    parents: [RawFd; 2],
    mask: SigSet,
    command: &'a Command,
}

/// Whether there is certainly no such program, where execvp(3) would look for it. Known before anything is created; what
/// cannot be said before is said by exec.
fn is_missing(program: &OsStr) -> bool {
    let missing =
        |path: &Path| path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    if program.as_bytes().contains(&b'/') {
        return missing(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    std::env::split_paths(&path).all(|directory| missing(&directory.join(program)))
}

/// Creates the process, in `cgroup` (an open directory) if that works, and holds it.
pub(super) fn hold(command: &Command, cgroup: Option<RawFd>) -> Result<Held, LaunchError> {
    command.check()?;
    let arguments = command
        .arguments
        .iter()
        .enumerate()
        .map(|(i, argument)| CString::new(argument.clone().into_vec()).map_err(|_| LaunchError::Nul(i)))
        .collect::<Result<Vec<_>, _>>()?;
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|errno| LaunchError::Fork(errno.into()));
    let (wait, open) = pipe()?;
    let (result, report) = pipe()?;
    let mut present = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut present))
        .map_err(|errno| LaunchError::Fork(errno.into()))?;
    let name = arguments[0].to_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default();
    let name = CString::new(name).expect("a part of a text without NUL");
    let plan = Plan {
        argv: pointers(&arguments),
        envp: command.inherited.environment.as_deref().map(pointers),
        name,
        wait: wait.as_raw_fd(),
        report: report.as_raw_fd(),
        parents: [open.as_raw_fd(), result.as_raw_fd()],
        mask: command.inherited.mask.unwrap_or(present),
        command,
    };
    let (pid, pidfd, in_cgroup) = clone_child(&plan, cgroup).map_err(LaunchError::Fork)?;
    let user = command.user.as_ref().map(|user| user.name.clone());
    let gate = Gate { open: open.into(), result: result.into(), program: command.program(), user };
    Ok(Held { pid, pidfd, gate, in_cgroup })
}

/// As exec wants them.
fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

impl Gate {
    /// Waits until the child stands at the gate: what it does before is alumet's. It takes no longer than to be scheduled.
    ///
    /// # Errors
    /// It cannot become the user that was asked for.
    pub(super) fn wait(&mut self) -> Result<(), LaunchError> {
        match self.said() {
            None | Some(0) => Ok(()),
            Some(errno) if errno < 0 => Err(self.not_become(Errno::from_raw(-errno))),
            Some(errno) => Err(LaunchError::Fork(Errno::from_raw(errno).into())),
        }
    }

    /// Lets the child become the application. To be called after [`Self::wait`].
    pub(super) fn open(mut self) -> Result<(), LaunchError> {
        // A child that was killed at the gate cannot read; its end is seen as the application's.
        let _ = self.open.write_all(&[1]);
        match self.said() {
            None => Ok(()),
            Some(errno) => Err(self.failure(Errno::from_raw(errno))),
        }
    }

    fn said(&mut self) -> Option<i32> {
        let mut errno = [0; 4];
        self.result.read_exact(&mut errno).ok().map(|()| i32::from_ne_bytes(errno))
    }

    fn not_become(&self, errno: Errno) -> LaunchError {
        let why = match errno {
            Errno::EPERM => ": it takes CAP_SETUID and CAP_SETGID, which this container or namespace lacks",
            Errno::EINVAL => ": this user namespace has no such user or group",
            _ => "",
        };
        let reason = format!("{}{why}", errno.desc().to_lowercase());
        LaunchError::NotBecome { user: self.user.clone().unwrap_or_default(), reason }
    }

    fn failure(&self, errno: Errno) -> LaunchError {
        let program = self.program.clone();
        match errno {
            Errno::ENOENT if !Path::new(&program).exists() => LaunchError::NotFound { program },
            Errno::ENOENT => {
                LaunchError::NotExecutable { program, reason: "its interpreter does not exist".into() }
            }
            errno => LaunchError::NotExecutable { program, reason: errno.desc().to_lowercase() },
        }
    }
}

fn clone_child(plan: &Plan<'_>, cgroup: Option<RawFd>) -> io::Result<(i32, OwnedFd, bool)> {
    let attempts = cgroup.map(Some).into_iter().chain([None]);
    let mut last = io::Error::from(Errno::ENOSYS);
    for cgroup in attempts {
        match clone3(plan, cgroup) {
            // Where the cgroup that this process is in was killed before (`cgroup.kill`), Linux takes a child that is created
            // into another one for one that has escaped, and kills it (`kill_seq` in kernel/cgroup/cgroup.c, 6.18).
            Ok((pid, _)) if cgroup.is_some() && Stat::is_being_killed(pid) => {
                debug!("the kernel killed the process that clone3 created in the cgroup");
                let _ = waitpid(Pid::from_raw(pid), None);
            }
            Ok((pid, pidfd)) => return Ok((pid, pidfd, cgroup.is_some())),
            Err(error) => {
                debug!(into_cgroup = cgroup.is_some(), %error, "clone3 was refused");
                last = error;
            }
        }
    }
    // Sandboxes that do not know clone3 refuse it with ENOSYS or EPERM.
    if !matches!(last.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) {
        return Err(last);
    }
    debug!("the application's process is created by fork");
    // SAFETY: the child makes only async-signal-safe calls (see `become_application`) and does not return.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: this is the new child.
        0 => unsafe { become_application(plan) },
        pid => {
            // SAFETY: pidfd_open takes two numbers and returns a new descriptor (close-on-exec) or -1.
            let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the descriptor is new and ours.
            Ok((pid, unsafe { OwnedFd::from_raw_fd(fd as RawFd) }, false))
        }
    }
}

/// From linux/sched.h; the constant in libc is of a type that is too small for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

fn clone3(plan: &Plan<'_>, cgroup: Option<RawFd>) -> io::Result<(i32, OwnedFd)> {
    let mut pidfd: RawFd = -1;
    // SAFETY: all-zero is a valid `clone_args`.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = libc::CLONE_PIDFD as u64;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup as u64;
    }
    // SAFETY: without CLONE_VM this is a fork (clone(2)): the child has a copy of the memory, makes only
    // async-signal-safe calls and does not return; `args` outlives the call.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: this is the new child.
        0 => unsafe { become_application(plan) },
        // SAFETY: with CLONE_PIDFD the kernel has stored a new descriptor (close-on-exec), which is ours.
        pid => Ok((pid as i32, unsafe { OwnedFd::from_raw_fd(pidfd) })),
    }
}

const NO_CAPABILITIES: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// The child's side: restore, wait, exec.
///
/// # Safety
/// To be called only in a child just forked. Every call in here is async-signal-safe (signal-safety(7); glibc's
/// `execvp` takes no lock and allocates on the stack; what is called for capabilities are plain system calls).
unsafe fn become_application(plan: &Plan<'_>) -> ! {
    let inherited = &plan.command.inherited;
    // SAFETY: all are plain system calls on values prepared by the parent, which the child has copies of.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, plan.name.as_ptr());
        for signal in Inherited::DISPOSITIONS {
            let ignored = inherited.ignored.contains(&signal);
            libc::signal(signal, if ignored { libc::SIG_IGN } else { libc::SIG_DFL });
        }
        for fd in plan.parents.iter().chain(&inherited.closed) {
            libc::close(*fd);
        }
        for (number, file) in plan.command.streams.iter().enumerate() {
            if let Some(file) = file
                && libc::dup2(file.as_raw_fd(), number as RawFd) < 0
            {
                fail(plan.report);
            }
        }
        if let Some(user) = &plan.command.user {
            let groups = user.groups.as_ptr().cast::<libc::gid_t>();
            let gid = user.gid.as_raw();
            let uid = user.uid.as_raw();
            // Not glibc's functions: they tell all threads, and wait for those of the parent, which this process has not
            // (nptl(7), "NPTL and the POSIX.1 requirements for credentials").
            if libc::syscall(libc::SYS_setgroups, user.groups.len(), groups) != 0
                || libc::syscall(libc::SYS_setresgid, gid, gid, gid) != 0
                || libc::syscall(libc::SYS_setresuid, uid, uid, uid) != 0
            {
                say_and_end(plan.report, -Errno::last_raw());
            }
            // The kernel clears what root had, but not what it would hand on (capabilities(7), "Effect of user ID changes").
            let has_any = || capabilities(None) != Ok(NO_CAPABILITIES);
            if uid != 0
                && has_any()
                && let Err(errno) = set_capabilities(None, NO_CAPABILITIES)
            {
                say_and_end(plan.report, -errno.raw_os_error());
            }
        }
        if let Some((rlim_cur, rlim_max)) = inherited.open_files {
            let limit = libc::rlimit { rlim_cur, rlim_max };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) != 0 {
                fail(plan.report);
            }
        }
        // A change of the user would clear it.
        if let Some(signal) = inherited.parent_death {
            libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong);
        }
        let here = 0i32.to_ne_bytes();
        libc::write(plan.report, here.as_ptr().cast(), here.len());
        let mut byte = 0u8;
        let read = loop {
            let read = libc::read(plan.wait, (&raw mut byte).cast(), 1);
            if read >= 0 || Errno::last_raw() != libc::EINTR {
                break read;
            }
        };
        if read != 1 {
            // The gate will never open.
            libc::_exit(125);
        }
        libc::sigprocmask(libc::SIG_SETMASK, plan.mask.as_ref(), std::ptr::null_mut());
        match &plan.envp {
            Some(envp) => libc::execvpe(plan.argv[0], plan.argv.as_ptr(), envp.as_ptr()),
            None => libc::execvp(plan.argv[0], plan.argv.as_ptr()),
        };
        fail(plan.report)
    }
}

/// # Safety
/// As for [`become_application`].
unsafe fn fail(report: RawFd) -> ! {
    // SAFETY: as for this function.
    unsafe { say_and_end(report, Errno::last_raw()) }
}

/// # Safety
/// As for [`become_application`].
unsafe fn say_and_end(report: RawFd, what: i32) -> ! {
    let what = what.to_ne_bytes();
    // SAFETY: writes four bytes that live on the stack.
    unsafe {
        libc::write(report, what.as_ptr().cast(), what.len());
        libc::_exit(127)
    }
}

/// The name that the summary shows: the arguments as a person would type them.
pub(super) fn display(arguments: &[OsString]) -> String {
    let quote = |argument: &OsString| {
        let text = text::name(argument.as_bytes());
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%^~".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text
        } else {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
    };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::tests::{is_root, sandbox};

    #[test]
    fn a_command_is_shown_as_it_could_be_typed() {
        let words = ["./a b", "--x=1", "", "it's"].map(OsString::from);
        assert_eq!(display(&words), r"'./a b' --x=1 '' 'it'\''s'");
        assert_eq!(display(&["a\n\x1b[1m".into()]), "'a\u{fffd}\u{fffd}[1m'");
    }

    #[test]
    fn an_unknown_user_is_named() {
        let says = |name: &str| Credentials::of(name).unwrap_err().to_string();
        for nobody in ["no-such-user-here", "", "no-such-user-here:0", "-1", "4294967295", "4294967295:0"] {
            assert_eq!(says(nobody), format!("there is no user `{}`", nobody.split(':').next().unwrap()));
        }
        for nobody in ["no-such-group-here", "", "4294967295", "1:2"] {
            assert_eq!(says(&format!("0:{nobody}")), format!("there is no group `{nobody}`"));
        }
        assert_eq!(
            says("3999999999"),
            "there is no user 3999999999 that has a group; name one, as in `--user 3999999999:3999999999`"
        );
    }

    #[test]
    fn a_number_needs_no_user_of_its_own() {
        let of = |name: &str| {
            let user = Credentials::of(name).unwrap();
            (user.uid.as_raw(), user.gid.as_raw(), user.groups.len())
        };
        assert_eq!(of("3999999999:3999999998"), (3_999_999_999, 3_999_999_998, 0));
        assert_eq!(of("root:5"), (0, 5, 0));
        let (uid, gid, groups) = of("0");
        assert_eq!((uid, gid), (0, 0));
        assert!(groups > 0);
    }

    /// Runs something in a thread that is this user's, as far as the kernel asks.
    fn as_user<T: Send>(uid: libc::uid_t, f: impl FnOnce() -> T + Send) -> T {
        let run = move || {
            // SAFETY: the call takes three numbers. It is made past glibc, whose function changes all threads.
            let set = unsafe { libc::syscall(libc::SYS_setresuid, -1, uid, -1) };
            assert_eq!(set, 0);
            f()
        };
        std::thread::scope(|scope| scope.spawn(run).join().unwrap())
    }

    #[test]
    fn who_is_not_root_launches_as_nobody_but_himself() {
        if !is_root("who_is_not_root_launches_as_nobody_but_himself") {
            return;
        }
        let group = Gid::effective();
        let allowed = |name: String| {
            as_user(4242, move || match Command::new(["true"]).user(&name) {
                Ok(command) => Some(command.user.is_none()),
                Err(LaunchError::NotPermitted(_)) => None,
                Err(error) => panic!("{error}"),
            })
        };
        assert_eq!(allowed(format!("4242:{group}")), Some(true));
        assert_eq!(allowed(format!("4242:{}", group.as_raw() + 1)), None);
        assert_eq!(allowed(format!("0:{group}")), None);
        assert_eq!(allowed("root".into()), None);
    }

    #[test]
    fn a_container_without_the_right_to_change_users_is_told_so() {
        if !is_root("a_container_without_the_right_to_change_users_is_told_so") {
            return;
        }
        let launch = || {
            let mut command = Command::new(["true"]);
            command.user("4242:4242").unwrap();
            let mut held = hold(&command, None).unwrap();
            let error = held.gate.wait().unwrap_err();
            // SAFETY: the child is this process' own; nothing is written.
            unsafe { libc::waitpid(held.pid, std::ptr::null_mut(), 0) };
            error.to_string()
        };
        let unused = CapabilitySet::SETUID | CapabilitySet::SETGID;
        let told =
            std::thread::spawn(move || crate::privilege::without(unused, launch)).join().unwrap().unwrap();
        assert!(
            told.starts_with("cannot become user `4242:4242`: ") && told.contains("CAP_SETUID"),
            "{told}"
        );
    }

    #[test]
    fn a_sandbox_that_does_not_know_clone3_gets_a_fork() {
        let launch = |errno: libc::c_int| {
            sandbox(libc::SYS_clone3, libc::SECCOMP_RET_ERRNO | errno as u32, || {
                let mut held = hold(&Command::new(["true"]), None)?;
                held.gate.wait()?;
                held.gate.open()?;
                let mut status = 0;
                // SAFETY: the child is this process' own; the place outlives the call.
                let waited = unsafe { libc::waitpid(held.pid, &raw mut status, 0) };
                Ok::<_, LaunchError>((waited == held.pid, status, held.in_cgroup))
            })
        };
        for errno in [libc::ENOSYS, libc::EPERM] {
            assert_eq!(launch(errno).unwrap(), (true, 0, false));
        }
        let error = launch(libc::EAGAIN).unwrap_err().to_string();
        assert!(error.starts_with("cannot create a process: "), "{error}");
        let refuse = |errno: libc::c_int| libc::SECCOMP_RET_ERRNO | errno as u32;
        let without_pidfd = sandbox(libc::SYS_clone3, refuse(libc::ENOSYS), || {
            sandbox(libc::SYS_pidfd_open, refuse(libc::ENOSYS), || hold(&Command::new(["true"]), None).err())
        });
        let error = without_pidfd.unwrap().to_string();
        assert!(error.starts_with("cannot create a process: function not implemented"), "{error}");
    }

    #[test]
    fn a_program_that_is_missing_is_known_before_anything_is_created() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(!is_missing(file.as_os_str()) && is_missing(directory.path().join("none").as_os_str()));
        Command::new([&file]).check().unwrap();
        let none = Command::new([directory.path().join("none")]).check().unwrap_err();
        assert!(matches!(none, LaunchError::NotFound { .. }), "{none}");
        assert!(!is_missing(OsStr::new("sh")) && is_missing(OsStr::new("no-such-program-here")));
        // That there is one, and it cannot be run, is said by exec.
        assert!(!is_missing(file.join("below").as_os_str()));
        assert_eq!(Command::new(["a b", "c"]).display(), "'a b' c");
    }

    #[test]
    fn what_fails_at_the_gate_is_told_with_the_reason() {
        let file = || tempfile::tempfile().unwrap();
        let gate = |program: &str| Gate {
            open: file(),
            result: file(),
            program: program.into(),
            user: Some("alice".into()),
        };
        let failed = |program: &str, errno| gate(program).failure(errno).to_string();
        assert_eq!(failed("/no/such/program", Errno::ENOENT), "/no/such/program: not found");
        let reason = "/dev/null: cannot be executed: its interpreter does not exist";
        assert_eq!(failed("/dev/null", Errno::ENOENT), reason);
        assert_eq!(failed("/no/such", Errno::ENOEXEC), "/no/such: cannot be executed: exec format error");
        let not_become = |errno| gate("true").not_become(errno).to_string();
        let reason = "invalid argument: this user namespace has no such user or group";
        assert_eq!(not_become(Errno::EINVAL), format!("cannot become user `alice`: {reason}"));
        assert!(not_become(Errno::EPERM).contains("CAP_SETUID"));
        assert_eq!(not_become(Errno::ENOMEM), "cannot become user `alice`: out of memory");
    }
}
