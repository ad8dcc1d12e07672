//! The geometry of charts, in a box of 600 by 160 that the style sheet stretches.

use serde::Serialize;

use super::view::Tone;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 160.0;
/// Space between two bars, in units of the drawing.
const GAP: f64 = 1.2;

/// A chart as the template draws it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Chart {
    id: &'static str,
    title: &'static str,
    value: String,
    unit: &'static str,
    axis: &'static str,
    is_empty: bool,
    summary: String,
    legend: Vec<Legend>,
    y_labels: [String; 3],
    grid: [f64; 3],
    x_labels: Vec<Tick>,
    bars: Vec<Bar>,
    lines: Vec<Line>,
    hits: Vec<Hit>,
}

/// What a chart is called and which figure stands on it.
pub(super) struct Caption {
    /// Unique on the page.
    pub(super) id: &'static str,
    /// The heading of the chart.
    pub(super) title: &'static str,
    /// The figure that is shown large beside the heading.
    pub(super) value: String,
    /// What the figure counts.
    pub(super) unit: &'static str,
    /// The chart in a sentence, for those who do not see it.
    pub(super) summary: String,
}

/// An entry of the legend.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Legend {
    /// The colour of the series.
    pub(super) tone: Tone,
    /// The name of the series.
    pub(super) label: &'static str,
    /// The figure of the series, if it has one.
    pub(super) value: Option<String>,
}

/// The times that a chart covers: the beginnings of its steps, oldest first.
pub(super) struct Axis {
    /// RFC 3339, one for each step.
    pub(super) steps: Vec<String>,
    /// Whether ticks show days or minutes.
    pub(super) is_days: bool,
}

#[derive(Clone, Debug, Serialize)]
struct Tick {
    at: String,
    text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Bar {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
    tone: Tone,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    tone: Tone,
    d: String,
    area: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Hit {
    x: f64,
    w: f64,
    at: String,
    text: String,
}

/// A series: its colour and a value for each step; `None` where nothing is known.
pub(super) struct Series {
    /// The colour of the series.
    pub(super) tone: Tone,
    /// One value for each step.
    pub(super) values: Vec<Option<f64>>,
    /// Whether the area beneath is filled.
    pub(super) is_area: bool,
}

impl Chart {
    /// A chart without anything drawn yet.
    pub(super) fn new(caption: Caption, axis: &Axis, legend: Vec<Legend>) -> Self {
        let last = axis.steps.len().saturating_sub(1);
        let ticks = (0..=4).filter_map(|part| axis.steps.get(last * part / 4));
        Self {
            id: caption.id,
            title: caption.title,
            value: caption.value,
            unit: caption.unit,
            summary: caption.summary,
            axis: if axis.is_days { "day" } else { "minute" },
            is_empty: true,
            legend,
            y_labels: [String::new(), String::new(), "0".into()],
            grid: [0.0, HEIGHT / 2.0, HEIGHT],
            x_labels: ticks.map(|at| Tick { at: at.clone(), text: tick_text(at, axis.is_days) }).collect(),
            bars: Vec::new(),
            lines: Vec::new(),
            hits: Vec::new(),
        }
    }

    /// Draws series as bars, the first at the bottom and the others on top of it.
    pub(super) fn stacked(mut self, series: &[Series], label: impl Fn(f64) -> String) -> Self {
        let steps = series.iter().map(|one| one.values.len()).max().unwrap_or(0);
        let sum = |step: usize| series.iter().filter_map(|one| one.values.get(step).copied().flatten()).sum::<f64>();
        let top = self.scale((0..steps).map(sum).fold(0.0, f64::max), label);
        let step_width = WIDTH / as_float(steps.max(1));
        for step in 0..steps {
            let mut y = HEIGHT;
            for one in series {
                let height = tenths(one.values.get(step).copied().flatten().unwrap_or(0.0) / top * HEIGHT);
                if height > 0.0 {
                    y -= height;
                    let (x, w) = (tenths(as_float(step) * step_width + GAP / 2.0), tenths((step_width - GAP).max(0.4)));
                    self.bars.push(Bar { x, y: tenths(y), w, h: height, tone: one.tone });
                }
            }
        }
        self.is_empty = self.bars.is_empty();
        self
    }

    /// Draws series as lines, each scaled to `top` of its own where `shares_scale` is false.
    pub(super) fn lines(mut self, series: &[Series], shares_scale: bool, label: impl Fn(f64) -> String) -> Self {
        let highest = |one: &Series| one.values.iter().flatten().copied().fold(0.0, f64::max);
        let first =
            if shares_scale { series.iter().map(highest).fold(0.0, f64::max) } else { series.first().map_or(0.0, highest) };
        let shared = self.scale(first, label);
        for (place, one) in series.iter().enumerate() {
            let top = if shares_scale || place == 0 { shared } else { nice(highest(one)) };
            let points = points(&one.values, top);
            if let (Some((first, _)), Some((last, _))) = (points.first().copied(), points.last().copied()) {
                let d = path(&points);
                let area = one.is_area.then(|| format!("{d} L{last} {HEIGHT} L{first} {HEIGHT} Z"));
                self.is_empty &= highest(one) <= 0.0;
                self.lines.push(Line { tone: one.tone, d, area });
            }
        }
        self
    }

    /// What is told of each step where the pointer stands on it.
    pub(super) fn told(mut self, axis: &Axis, text: impl Fn(usize) -> String) -> Self {
        if !self.is_empty {
            let width = WIDTH / as_float(axis.steps.len().max(1));
            let hit = |(step, at): (usize, &String)| Hit {
                x: tenths(as_float(step) * width),
                w: tenths(width),
                at: at.clone(),
                text: text(step),
            };
            self.hits = axis.steps.iter().enumerate().map(hit).collect();
        }
        self
    }

    fn scale(&mut self, highest: f64, label: impl Fn(f64) -> String) -> f64 {
        let top = nice(highest);
        if highest > 0.0 {
            self.y_labels = [label(top), label(top / 2.0), label(0.0)];
        }
        top
    }
}

/// A small line without axes, in a box of 100 by 24.
pub(super) fn spark(values: &[f64]) -> String {
    let top = values.iter().copied().fold(0.0, f64::max);
    let top = if top > 0.0 { top } else { 1.0 };
    let last = as_float(values.len().saturating_sub(1).max(1));
    let points: Vec<_> = values
        .iter()
        .enumerate()
        .map(|(step, value)| (tenths(as_float(step) / last * 100.0), tenths(22.0 - value / top * 20.0)))
        .collect();
    path(&points)
}

fn points(values: &[Option<f64>], top: f64) -> Vec<(f64, f64)> {
    let width = WIDTH / as_float(values.len().max(1));
    let place = |(step, value): (usize, &Option<f64>)| {
        value.map(|value| (tenths((as_float(step) + 0.5) * width), tenths(HEIGHT - value / top * HEIGHT)))
    };
    values.iter().enumerate().filter_map(place).collect()
}

fn path(points: &[(f64, f64)]) -> String {
    let mut text = String::with_capacity(points.len() * 12);
    for (place, (x, y)) in points.iter().enumerate() {
        text.push_str(if place == 0 { "M" } else { " L" });
        text.extend([x.to_string().as_str(), " ", y.to_string().as_str()]);
    }
    text
}

/// The smallest of 1, 2, 4, 5 and 10 times a power of ten that is not less; 1 for nothing.
fn nice(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 5.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(10.0 * power)
}

/// Hours and minutes, or month and day, out of RFC 3339; the script puts the reader's own in their place.
fn tick_text(at: &str, is_days: bool) -> String {
    let part = if is_days { at.get(5..10) } else { at.get(11..16) };
    part.unwrap_or_default().to_owned()
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "steps of a chart are few")]
fn as_float(value: usize) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(steps: usize) -> Axis {
        Axis { steps: (0..steps).map(|step| format!("2026-11-28T23:{step:02}:00Z")).collect(), is_days: false }
    }

    fn caption() -> Caption {
        Caption { id: "c", title: "C", value: "1".into(), unit: "", summary: String::new() }
    }

    fn series(values: &[f64]) -> Series {
        Series { tone: Tone::C1, values: values.iter().copied().map(Some).collect(), is_area: true }
    }

    #[test]
    fn bars_stand_on_each_other_and_never_leave_the_box() {
        let chart =
            Chart::new(caption(), &axis(2), Vec::new()).stacked(&[series(&[3.0, 0.0]), series(&[1.0, 0.0])], |v| v.to_string());
        let heights: Vec<_> = chart.bars.iter().map(|bar| (bar.y, bar.h)).collect();
        assert_eq!(heights, [(40.0, 120.0), (0.0, 40.0)]);
        assert_eq!(chart.y_labels, ["4", "2", "0"]);
        assert!(!chart.is_empty);
    }

    #[test]
    fn a_chart_of_nothing_says_so_and_has_nothing_to_point_at() {
        let axis = axis(60);
        let chart = Chart::new(caption(), &axis, Vec::new())
            .lines(&[series(&[0.0; 60])], true, |v| v.to_string())
            .told(&axis, |_| "x".into());
        assert!(chart.is_empty);
        assert!(chart.hits.is_empty());
        assert_eq!(chart.x_labels.len(), 5);
    }

    #[test]
    fn a_line_with_gaps_joins_what_is_known() {
        let values = vec![Some(1.0), None, Some(2.0)];
        let one = Series { tone: Tone::Info, values, is_area: false };
        let chart = Chart::new(caption(), &axis(3), Vec::new()).lines(&[one], true, |v| v.to_string());
        assert_eq!(chart.lines[0].d, "M100 80 L500 0");
        assert_eq!(spark(&[0.0, 1.0]), "M0 22 L100 2");
    }

    #[test]
    fn scales_end_at_round_numbers() {
        let scales = [0.0, 0.3, 1.0, 7.0, 41.0, 512.0].map(|most| nice(most).to_string());
        assert_eq!(scales, ["1", "0.4", "1", "10", "50", "1000"]);
    }
}
