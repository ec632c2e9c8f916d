//! What is to be known of a number at once.

use alumet::Bound;

use crate::units::GLUE;

/// For serde: what is exact is not told.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub fn is_exact(bound: &Option<Bound>) -> bool {
    *bound == Some(Bound::Exact)
}

/// A number as every table shows it, with what is to be known of it at once: `~ 96 J` if it is estimated, `at least 96 J`
/// if it is a bound.
pub fn marked(provenance: &str, bound: Option<Bound>, value: &str) -> String {
    let mark = match bound {
        _ if provenance == "estimated" => "~",
        Some(bound) => bound.as_str(),
        None => "about",
    };
    if mark.is_empty() {
        value.to_owned()
    } else {
        format!("{}{GLUE}{value}", mark.replace(' ', &GLUE.to_string()))
    }
}
