//! CPUs by the name that they give themselves.
//!
//! `cpus.csv` has the thermal design power and the hardware threads of one package; `docs/src/estimate.md` names its
//! sources.

use crate::band::Band;
use crate::cpus::Cpus;
use crate::figure::{Figure, Share};

const TABLE: &str = include_str!("cpus.csv");

#[derive(Debug)]
struct Row<'a> {
    name: &'a str,
    tdp_w: f64,
    threads: u32,
}

impl<'a> Row<'a> {
    /// A line without quotes: `name,tdp_w,threads,source`.
    fn parse(line: &'a str) -> Option<Self> {
        let mut cells = line.split(',');
        let (name, tdp_w, threads) = (cells.next()?, cells.next()?, cells.next()?);
        Some(Self { name, tdp_w: tdp_w.parse().ok()?, threads: threads.parse().ok()? })
    }
}

/// The CPU's own figure.
pub fn figure(cpus: &Cpus) -> Option<Figure> {
    let name = plain(&cpus.model);
    // Most runs look for one name among thousands, before the application starts.
    let is_it = |line: &&str| {
        let (line, name) = (line.as_bytes(), name.as_bytes());
        line.get(name.len()) == Some(&b',') && line[..name.len()].eq_ignore_ascii_case(name)
    };
    let row = Row::parse(TABLE.lines().skip(1).find(is_it)?)?;
    let of = row.name.to_owned();
    Some(Figure { of, tdp: row.tdp_w, threads: row.threads, share: Share::Packages, band: Band::CPU })
}

/// The name as the table has it: without trademarks, core counts, generations, graphics and frequencies.
fn plain(model: &str) -> String {
    let name = model.split(['@', ',']).next().unwrap_or_default();
    let name =
        ["(R)", "(TM)", "(tm)", "(r)"].iter().fold(name.to_owned(), |name, mark| name.replace(mark, ""));
    let name = name.split(" with ").next().unwrap_or_default().split(" w/ ").next().unwrap_or_default();
    let words: Vec<_> = name.split_whitespace().filter(|word| !is_noise(word)).collect();
    // AMD's first chips with graphics name both: `AMD A10-9700 RADEON R7`.
    let graphics =
        words.iter().position(|word| word.eq_ignore_ascii_case("radeon") || matches!(*word, "R5" | "R7"));
    words[..graphics.unwrap_or(words.len())].join(" ")
}

fn is_noise(word: &str) -> bool {
    let is_ordinal = ["st", "nd", "rd", "th"].iter().any(|end| {
        word.strip_suffix(end).is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()))
    });
    matches!(word, "CPU" | "Processor" | "APU" | "SoC" | "Gen")
        || word.ends_with("-Core")
        || word.ends_with("-Cores")
        || is_ordinal
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows() -> Vec<Row<'static>> {
        TABLE.lines().skip(1).filter_map(Row::parse).collect()
    }

    fn found(written: &str) -> Option<String> {
        figure(&Cpus { model: written.into(), ..Cpus::default() }).map(|figure| figure.of)
    }

    /// As `/proc/cpuinfo` has them, from bug reports and benchmarks.
    #[test]
    fn a_name_is_found_however_the_cpu_writes_it() {
        let names = [
            ("Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz", "Intel Xeon Platinum 8375C"),
            ("Intel(R) Xeon(R) CPU E5-2670 0 @ 2.60GHz", "Intel Xeon E5-2670 0"),
            ("Intel(R) Xeon(R) CPU E3-1230 V2 @ 3.30GHz", "Intel Xeon E3-1230 V2"),
            ("Intel(R) Xeon(R) CPU           X5660  @ 2.80GHz", "Intel Xeon X5660"),
            ("INTEL(R) XEON(R) GOLD 6548Y+", "Intel Xeon Gold 6548Y+"),
            ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763"),
            ("AMD Opteron(tm) Processor 6276", "AMD Opteron 6276"),
            ("AMD Opteron(TM) Processor 6274", "AMD Opteron 6274"),
            ("13th Gen Intel(R) Core(TM) i7-1360P", "Intel Core i7-1360P"),
            ("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz", "Intel Core i7-8650U"),
            ("Intel(R) Core(TM) Ultra 7 155H", "Intel Core Ultra 7 155H"),
            ("Intel(R) Celeron(R) CPU  J1900  @ 1.99GHz", "Intel Celeron J1900"),
            ("Intel(R) Celeron(R) G6900", "Intel Celeron G6900"),
            ("Intel(R) Pentium(R) Gold G7400", "Intel Pentium Gold G7400"),
            ("Intel(R) N100", "Intel N100"),
            ("AMD Ryzen 7 5800U with Radeon Graphics", "AMD Ryzen 7 5800U"),
            ("AMD Ryzen 5 3500 6-Core Processor", "AMD Ryzen 5 3500"),
            ("AMD Ryzen 7 1700 Eight-Core Processor", "AMD Ryzen 7 1700"),
            ("AMD Ryzen AI 9 HX 370 w/ Radeon 890M", "AMD Ryzen AI 9 HX 370"),
            ("AMD Ryzen Threadripper PRO 3995WX 64-Cores", "AMD Ryzen Threadripper PRO 3995WX"),
            ("AMD Ryzen Threadripper PRO 5995WX 64-Cores", "AMD Ryzen Threadripper PRO 5995WX"),
            ("AMD Ryzen Threadripper 9980X 64-Cores", "AMD Ryzen Threadripper 9980X"),
            ("AMD A10-9700 RADEON R7, 10 COMPUTE CORES 4C+6G", "AMD A10-9700"),
            ("AMD PRO A10-9700 R7, 10 COMPUTE CORES 4C+6G", "AMD PRO A10-9700"),
            ("AMD Athlon 200GE with Radeon Vega Graphics", "AMD Athlon 200GE"),
        ];
        for (written, expected) in names {
            assert_eq!(found(written).as_deref(), Some(expected), "{written}");
        }
        for nothing in ["", "Elbrus", "Intel", "Intel(R) Xeon(R) Processor", "AMD EPYC Processor"] {
            assert_eq!(found(nothing), None, "{nothing}");
        }
    }

    /// The ways in which CPUs of its family write themselves, with what stands around the name.
    fn spellings(name: &str) -> Vec<String> {
        let words: Vec<_> = name.split(' ').collect();
        let rest = |from: usize| words[from..].join(" ");
        match words[..] {
            ["AMD", "Opteron", number] => vec![
                format!("AMD Opteron(tm) Processor {number}"),
                format!("AMD Opteron(TM) Processor {number}                 "),
            ],
            ["AMD", "EPYC", ..] => {
                vec![format!("{name} 16-Core Processor"), format!("{name} 64-Core Processor                ")]
            }
            ["AMD", "Ryzen", "Threadripper", ..] => vec![
                format!("{name} 32-Core Processor"),
                format!("{name} 64-Cores"),
                format!("{name} 32-Cores"),
            ],
            ["AMD", "Ryzen", "AI", ..] => vec![format!("{name} w/ Radeon 890M"), name.to_uppercase()],
            ["AMD", "Ryzen", ..] => [
                "8-Core Processor",
                "Six-Core Processor",
                "with Radeon Graphics",
                "with Radeon Vega Mobile Gfx",
            ]
            .map(|end| format!("{name} {end}"))
            .into(),
            ["AMD", ..] => vec![
                format!("{name} with Radeon Vega Graphics"),
                format!("{name} RADEON R5, 10 COMPUTE CORES 4C+6G"),
            ],
            ["Intel", "Xeon", kind, ..] if kind.starts_with(['E', 'D', 'L', 'X', 'W']) && kind.len() > 1 => {
                let number = rest(2);
                vec![
                    format!("Intel(R) Xeon(R) CPU {number} @ 2.60GHz"),
                    format!("Intel(R) Xeon(R) CPU           {number}  @ 2.93GHz"),
                    format!("Intel(R) Xeon(R) {number} CPU @ 3.40GHz"),
                    format!("Intel(R) Xeon(R) CPU {number}").to_uppercase(),
                ]
            }
            ["Intel", "Xeon", ..] => {
                let number = rest(2);
                vec![
                    format!("Intel(R) Xeon(R) {number} CPU @ 2.90GHz"),
                    format!("Intel(R) Xeon(R) {number}"),
                    format!("INTEL(R) XEON(R) {}", number.to_uppercase()),
                ]
            }
            ["Intel", "Core", ..] => {
                let number = rest(2);
                vec![
                    format!("Intel(R) Core(TM) {number} CPU @ 1.90GHz"),
                    format!("11th Gen Intel(R) Core(TM) {number} @ 2.80GHz"),
                    format!("13th Gen Intel(R) Core(TM) {number}"),
                    format!("Intel(R) Core(TM) {number}"),
                ]
            }
            ["Intel", brand @ ("Celeron" | "Pentium" | "Atom"), ..] => {
                let number = rest(2);
                let mark = if brand == "Atom" { "(TM)" } else { "(R)" };
                vec![
                    format!("Intel(R) {brand}{mark} CPU  {number}  @ 1.99GHz"),
                    format!("Intel(R) {brand}{mark} {number} CPU @ 3.70GHz"),
                    format!("Intel(R) {brand}{mark} {number}"),
                ]
            }
            ["Intel", _] => {
                vec![format!("Intel(R) {}", words[1]), format!("Intel(R) Processor {}", words[1])]
            }
            _ => panic!("how does {name} write itself?"),
        }
    }

    #[test]
    fn every_row_is_reached_from_the_name_as_the_cpu_writes_it() {
        for row in rows() {
            for written in spellings(row.name) {
                // The whole table is searched elsewhere; here that would be millions of comparisons.
                assert!(plain(&written).eq_ignore_ascii_case(row.name), "{written} is not {}", row.name);
            }
        }
    }

    #[test]
    fn every_row_can_be_read_is_plausible_and_there_once() {
        let rows = rows();
        assert_eq!(rows.len(), TABLE.lines().skip(1).filter(|line| !line.trim().is_empty()).count());
        for row in &rows {
            assert!((1.0..=600.0).contains(&row.tdp_w) && (1..=512).contains(&row.threads), "{row:?}");
        }
        let names: BTreeSet<_> = rows.iter().map(|row| row.name.to_lowercase()).collect();
        assert_eq!(names.len(), rows.len(), "a name is there twice");
    }
}
