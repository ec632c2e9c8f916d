//! A panic of alumet's own: one line on stderr that a bug report can be made of.

use std::panic::{UnwindSafe, catch_unwind, set_hook, take_hook};

use alumet::panics::{Caught, remember};

/// Runs it. A panic comes back with its place, and nothing is printed by it; if the user asks for a backtrace, as of any
/// Rust program (`RUST_BACKTRACE`), the standard message with it is printed first, also for a panic of an element, which
/// is isolated and reported.
pub fn catch<T>(f: impl FnOnce() -> T + UnwindSafe) -> Result<T, Caught> {
    let standard = take_hook();
    set_hook(Box::new(move |panic| {
        remember(panic);
        if wants_backtrace() {
            standard(panic);
        }
    }));
    catch_unwind(f).map_err(|panic| Caught::of(&*panic))
}

/// What there is to say of a panic that nobody has isolated.
pub fn line(Caught { message, place }: &Caught) -> String {
    let at = place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let with = match wants_backtrace() {
        true => "with this line and the backtrace above",
        false => "with this line (RUST_BACKTRACE=1 adds where it came from)",
    };
    format!("internal error{at}: {message}; this is a bug in alumet {version}, please report it {with}")
}

/// As the standard library decides it.
fn wants_backtrace() -> bool {
    std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const LINE: u32 = line!() + 3;

    fn fail(numbers: &[u32]) -> u32 {
        numbers[std::hint::black_box(7)]
    }

    /// The hook is the whole process', so it is set in another one.
    #[test]
    fn a_panic_is_one_line_with_its_place_and_a_backtrace_only_if_that_is_asked_for() {
        let test =
            "panics::tests::a_panic_is_one_line_with_its_place_and_a_backtrace_only_if_that_is_asked_for";
        if std::env::var_os("PANICS").is_some() {
            let caught = catch(|| fail(&[1, 2])).unwrap_err();
            crate::terminal::note(&line(&caught));
            return;
        }
        let stderr = |backtrace: Option<&str>| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args([test, "--exact", "--nocapture"]).env("PANICS", "1").env_remove("RUST_BACKTRACE");
            backtrace.map(|value| child.env("RUST_BACKTRACE", value));
            String::from_utf8(child.output().unwrap().stderr).unwrap()
        };
        let version = env!("CARGO_PKG_VERSION");
        let said = format!(
            "alumet: internal error at src/panics.rs:{LINE}: index out of bounds: the len is 2 but the index is 7; \
             this is a bug in alumet {version}, please report it with this line"
        );
        for off in [None, Some("0")] {
            assert_eq!(stderr(off), format!("{said} (RUST_BACKTRACE=1 adds where it came from)\n"));
        }
        let whole = stderr(Some("1"));
        let last = format!("{said} and the backtrace above");
        assert_eq!(whole.lines().last(), Some(&*last), "{whole}");
        assert!(whole.contains(&format!("panicked at src/panics.rs:{LINE}:")), "{whole}");
        assert!(whole.contains("stack backtrace:"), "{whole}");
    }
}
