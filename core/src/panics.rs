//! Where a panic happened. Who catches one gets its message alone; the file and the line are told to the panic hook, which
//! is the program's: a library installs none. So the program's hook calls [`remember`], and who catches asks for a [`Caught`].
//!
//! Without that, a panic of an element is reported with its message only.
//!
//! ```
//! std::panic::set_hook(Box::new(alumet::panics::remember));
//! ```

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::panic::PanicHookInfo;

thread_local! {
    static LAST: RefCell<Option<Caught>> = const { RefCell::new(None) };
}

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// What it was given, as one line.
    pub message: String,
    /// `file:line`, if the hook has [remembered](remember) it.
    pub place: Option<String>,
}

/// Remembers the place of this thread's panic until it is caught. To be called by the panic hook; prints nothing.
pub fn remember(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
    let caught = Caught { message: message(panic.payload()), place };
    // A thread that is ending has no place to remember anything.
    let _ = LAST.try_with(|last| last.replace(Some(caught)));
}

impl Caught {
    /// What `catch_unwind` has returned on this thread.
    pub fn of(payload: &(dyn Any + Send)) -> Self {
        let message = message(payload);
        // One that was raised without the hook (`resume_unwind`) must not get the place of an earlier one.
        let last = LAST.try_with(RefCell::take).ok().flatten().filter(|last| last.message == message);
        last.unwrap_or(Self { message, place: None })
    }
}

/// `panicked at file:line: message`.
impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "panicked at {place}: {}", self.message),
            None => write!(f, "panicked: {}", self.message),
        }
    }
}

/// The text that a panic was given. That of `assert_eq!`, for one, has several lines.
fn message(payload: &dyn Any) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{catch_unwind, resume_unwind, set_hook, take_hook};

    fn caught(f: impl FnOnce() + std::panic::UnwindSafe) -> Caught {
        Caught::of(&*catch_unwind(f).unwrap_err())
    }

    /// One test, for there is one hook in a process: those of other tests go on as they are.
    #[test]
    fn a_panic_is_caught_with_its_place_if_the_hook_remembers_it_and_with_no_other() {
        let (before, here) = (take_hook(), std::thread::current().id());
        set_hook(Box::new(
            move |panic| {
                if std::thread::current().id() == here { remember(panic) } else { before(panic) }
            },
        ));
        let (one, line) = (caught(|| panic!("one")), line!());
        let place = Some(format!("{}:{line}", file!()));
        assert_eq!(one, Caught { message: "one".into(), place });
        assert_eq!(one.to_string(), format!("panicked at {}:{line}: one", file!()));
        let two = caught(|| assert_eq!(1 + 1, 3, "count {}", "well"));
        assert_eq!(two.message, "assertion `left == right` failed: count well left: 2 right: 3");
        // Of an earlier panic that nobody has asked about, neither the place nor the text is taken.
        let _ = catch_unwind(|| panic!("unasked"));
        let again = caught(|| resume_unwind(Box::new("raised again")));
        assert_eq!(again.to_string(), "panicked: raised again");
        let other = caught(|| std::panic::panic_any(7));
        assert_eq!((other.message.as_str(), other.place.is_some()), ("without a message", true));
        // On another thread, the hook of this test remembers nothing.
        let elsewhere = std::thread::spawn(|| caught(|| resume_unwind(Box::new("one".to_owned()))));
        assert_eq!(elsewhere.join().unwrap().to_string(), "panicked: one");
    }
}
