//! A plot of use over time as the pages show it, as shapes of SVG: where things lie in it, what is named below it, and bars of alerts.

use std::fmt::Write;

use jiff::Timestamp;
use watchdog_core::bytes::Bytes;
use watchdog_core::trace::Trace;

/// Where the plot lies in its picture of 1,000 by 250.
pub const LEFT: f64 = 80.0;
pub const WIDTH: f64 = 920.0;
pub const TOP: f64 = 10.0;
pub const HEIGHT: f64 = 180.0;
/// The bottom of the bars of alerts.
const BARS: f64 = 226.0;

/// Use is cut off where it is more than this many times the limit: the limit would be a line at the bottom otherwise.
const HIGHEST: f64 = 2.5;

/// The time that a plot shows, from its left to its right.
#[derive(Clone, Copy)]
pub struct Axis {
    start: i64,
    end: i64,
}

/// A day or an hour that is named below a plot.
pub struct Tick {
    pub x: String,
    pub label: String,
}

/// The use in a plot that may hold several limits, and where things lie in it.
pub struct Frame {
    /// The outline of the use.
    pub area: String,
    /// What is named below it.
    pub ticks: Vec<Tick>,
    /// Whether use was cut off above.
    pub is_cut: bool,
    /// The time that it shows.
    pub axis: Axis,
    highest: f64,
}

/// One alert, from opened to resolved.
pub struct Bar {
    pub level: &'static str,
    pub x: String,
    pub width: String,
    pub y: String,
    pub height: String,
    pub words: String,
    /// Whether its level's word fits into it.
    pub is_wide: bool,
}

impl Axis {
    /// From one second to another, by the Unix clock.
    pub fn new(start: i64, end: i64) -> Self {
        Self { start, end: end.max(start + 1) }
    }

    /// Where an instant lies, from the left.
    pub fn x(self, at: i64) -> f64 {
        LEFT + WIDTH * ((at - self.start) as f64 / (self.end - self.start) as f64).clamp(0.0, 1.0)
    }

    /// At most ten instants at the beginnings of days of UTC, or of hours where the time is short.
    pub fn ticks(self) -> Vec<Tick> {
        let Self { start, end } = self;
        let steps = [1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 744, 2_232, 8_784].map(|hours| hours * 3600);
        let step = steps.into_iter().find(|step| (end - start) / step <= 10).unwrap_or(10 * 366 * 86_400);
        let form = if step < 86_400 { "%b %d %H:%M" } else { "%b %d" };
        let first = start.div_euclid(step) * step + if start.rem_euclid(step) == 0 { 0 } else { step };
        let ticks = (0..=10).map(|n| first + n * step).take_while(|at| *at <= end - (end - start) / 20);
        let label = |at| Some(Timestamp::from_second(at).ok()?.strftime(form).to_string());
        ticks.filter_map(|at| Some(Tick { x: format!("{:.1}", self.x(at)), label: label(at)? })).collect()
    }

    /// The bar of an alert; one that is still open goes on to the right.
    pub fn bar(self, level: &'static str, opened: Timestamp, ended: Option<Timestamp>, words: String) -> Bar {
        let (left, right) = (self.x(opened.as_second()), ended.map_or(LEFT + WIDTH, |at| self.x(at.as_second())));
        let height = match level {
            "exhausted" => 24.0,
            "critical" => 16.0,
            _ => 8.0,
        };
        Bar {
            level,
            x: format!("{left:.1}"),
            // A bar that is too thin to be seen is none.
            width: format!("{:.1}", (right - left).max(2.5)),
            y: format!("{:.1}", BARS - height),
            height: format!("{height:.1}"),
            is_wide: right - left >= 70.0 && height >= 16.0,
            words,
        }
    }
}

impl Frame {
    /// The frame for this use, with room for a limit of `most`.
    pub fn new(trace: &Trace, most: Bytes, (from, until): (Timestamp, Timestamp)) -> Self {
        let axis = Axis::new(from.as_second(), until.as_second());
        let most = most.get().max(1) as f64;
        let share = trace.peak().get() as f64 / most;
        let highest = most * share.clamp(1.0, HIGHEST) * 1.05;
        let mut frame = Self { area: String::new(), ticks: axis.ticks(), is_cut: share > HIGHEST, axis, highest };
        let mut last = LEFT;
        let mut area = String::new();
        for (n, (at, used)) in trace.points().enumerate() {
            let (x, y) = (axis.x(at), frame.height_of(used));
            // Writing to a string does not fail.
            let _ = match n {
                0 => write!(area, "M{x:.1} {:.1}V{y:.1}", TOP + HEIGHT),
                _ => write!(area, "L{x:.1} {y:.1}"),
            };
            last = x;
        }
        if !area.is_empty() {
            let _ = write!(area, "L{last:.1} {:.1}Z", TOP + HEIGHT);
        }
        frame.area = area;
        frame
    }

    /// Where so much lies, from above.
    pub fn height_of(&self, bytes: Bytes) -> f64 {
        TOP + HEIGHT * (1.0 - (bytes.get() as f64 / self.highest).clamp(0.0, 1.0))
    }
}
