//! Lists of CPUs as the kernel writes them (cpuset(7), "List format").

/// The CPUs of a list such as `0,4-6`; `None` if it is no such list.
///
/// ```
/// assert_eq!(alumet::cpu_list("0,4-6"), Some(vec![0, 4, 5, 6]));
/// assert_eq!(alumet::cpu_list("all"), None);
/// ```
pub fn cpu_list(text: &str) -> Option<Vec<u32>> {
    /// Far more than any kernel is built for.
    const MOST: u32 = 1 << 16;
    let mut cpus = Vec::new();
    for range in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last > MOST || cpus.len() > MOST as usize {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_single_cpus_and_ranges() {
        assert_eq!(cpu_list("0"), Some(vec![0]));
        assert_eq!(cpu_list("0,4-6,20"), Some(vec![0, 4, 5, 6, 20]));
        assert_eq!(cpu_list(""), Some(vec![]));
        assert_eq!(cpu_list("65535-65536"), Some(vec![65535, 65536]));
        assert_eq!(cpu_list("65536,65537"), None);
        assert_eq!(cpu_list("4-4"), Some(vec![4]));
        // Whoever names a CPU twice has it twice; but there is an end to it.
        assert_eq!(cpu_list("0-65535,0").map(|cpus| cpus.len()), Some(65537));
        assert_eq!(cpu_list("0-65535,0,0"), None);
        assert_eq!(cpu_list(&["0-65535"; 100].join(",")), None);
        for text in ["0,", "4-3", "a", "0-4294967295", "-1"] {
            assert_eq!(cpu_list(text), None, "{text}");
        }
    }
}
