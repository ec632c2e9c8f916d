//! The environment that alumet was started with. If its file has capabilities, the dynamic loader has removed what it
//! does not believe, such as LD_LIBRARY_PATH and TMPDIR (ld.so(8), "Secure-execution mode"); the application, which has no
//! capabilities, is to have it all.

use std::ffi::CString;

/// All variables; `None` if none was removed.
pub fn whole() -> Option<Vec<CString>> {
    if !alumet::privilege::is_lent() {
        return None;
    }
    let (start, end) = place(&std::fs::read("/proc/self/stat").ok()?)?;
    // SAFETY: the kernel has placed the texts there, on the stack of the main thread, which is never unmapped. The loader
    // removes only pointers to them, and nothing in alumet changes its environment.
    let texts = unsafe { std::slice::from_raw_parts(start as *const u8, end - start) };
    let texts = texts.split(|byte| *byte == 0).filter(|text| !text.is_empty());
    Some(texts.filter_map(|text| CString::new(text).ok()).collect())
}

/// Where the environment begins and ends: the 50th and 51st field (proc_pid_stat(5)).
fn place(stat: &[u8]) -> Option<(usize, usize)> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace();
    // The third is the first after the name.
    let start: usize = fields.nth(50 - 3)?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    (0 < start && start < end).then_some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_where_the_kernel_says() {
        let (start, end) = place(&std::fs::read("/proc/self/stat").unwrap()).unwrap();
        assert_eq!(end - start, std::fs::read("/proc/self/environ").unwrap().len());
        assert_eq!(place(b"1 (a) b) S 2 3"), None);
    }
}
