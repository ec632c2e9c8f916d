//! Timestamps are the wall clock's, also after the machine was suspended.

use std::sync::Arc;
use std::time::Duration;

use alumet::testing::{ManualClock, Script};
use alumet::{Agent, Host, Interval, Metric, Series};
use alumet_plugin_csv::{Config, Csv};

#[test]
fn after_a_suspend_the_timestamps_go_on_where_the_wall_clock_is() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let clock = ManualClock::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut agent = Agent::on(Host::default(), Arc::clone(&clock) as _);
        agent.plugin::<Csv>(Config { path: Some(file.path().to_owned()) }).unwrap();
        let mut setup = agent.setup();
        let series = setup.series(Series::new(Metric::counter("work", "1", ""))).unwrap();
        setup.source("work", Interval::from_millis(1000), Script::new(series, [0.0, 1.0, 2.0]));
        let running = agent.start().await.unwrap();
        clock.advance(Duration::from_secs(1));
        clock.suspend(Duration::from_secs(3600));
        clock.advance(Duration::from_secs(1));
        running.finish().await;
    });
    let text = std::fs::read_to_string(file.path()).unwrap();
    let times: Vec<_> =
        text.lines().skip(1).map(|line| line.split(',').take(2).collect::<Vec<_>>()).collect();
    let expected = [
        ["1.000000000", "1970-01-01T00:00:01.000000000Z"],
        ["2.000000000", "1970-01-01T01:00:02.000000000Z"],
    ];
    assert_eq!(times, expected);
}
