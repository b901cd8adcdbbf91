//! Pictures of results, as SVG: latency by percentile, and what was answered by what was asked.

use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::report::{Loop, Outcome, Report, SCHEMA};

#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    #[error("{} could not be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    #[error("{}: expected a report of `loadtest run -o json` (schema {SCHEMA}): {problem}", .path.display())]
    NoReport { path: PathBuf, problem: String },
    #[error("nothing to draw: no run has an answer with 2xx")]
    Empty,
    #[error("{} could not be drawn: {problem}", .path.display())]
    Draw { path: PathBuf, problem: String },
}

/// A line, and what it is called.
struct Line {
    name: String,
    points: Vec<(f64, f64)>,
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (1280, 560);
const FONT: (&str, u32) = ("sans-serif", 14);
const TITLE: (&str, u32) = ("sans-serif", 18);

/// Draws all runs of these reports into one file.
pub fn plot(results: &[PathBuf], output: &Path) -> Result<(), PlotError> {
    let reports = results.iter().map(|path| Ok((name_of(path), read(path)?))).collect::<Result<Vec<_>, _>>()?;
    let percentiles = percentile_lines(&reports);
    if percentiles.is_empty() {
        return Err(PlotError::Empty);
    }
    let draw = || -> Drawn {
        let canvas = SVGBackend::new(output, SIZE).into_drawing_area();
        canvas.fill(&WHITE)?;
        let (left, right) = canvas.split_horizontally(SIZE.0 / 2);
        draw_percentiles(&left, &percentiles)?;
        draw_throughput(&right, &reports)?;
        Ok(canvas.present()?)
    };
    draw().map_err(|error| PlotError::Draw { path: output.to_owned(), problem: error.to_string() })
}

fn read(path: &Path) -> Result<Report, PlotError> {
    let text = std::fs::read(path).map_err(|error| PlotError::Unreadable(path.to_owned(), error))?;
    let no_report = |problem| PlotError::NoReport { path: path.to_owned(), problem };
    let report: Report = serde_json::from_slice(&text).map_err(|error| no_report(error.to_string()))?;
    if report.schema != SCHEMA {
        return Err(no_report(format!("its schema is '{}'", report.schema)));
    }
    Ok(report)
}

fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// How many nines a quantile has: 0.9 has one, 0.999 three. Beyond five nobody measures long enough.
const NINES_MAX: f64 = 5.0;

fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).max(f64::MIN_POSITIVE).log10()
}

fn percentile_lines(reports: &[(String, Report)]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (file, report) in reports {
        for outcome in &report.runs {
            let name = outcome.name.as_ref().map_or_else(|| file.clone(), |name| format!("{file}: {name}"));
            let points = outcome.latency_distribution.iter().map(|(quantile, micros)| (nines(*quantile), micros / 1e3));
            let points: Vec<_> = points.filter(|(nines, ms)| *nines <= NINES_MAX && *ms > 0.0).collect();
            if !points.is_empty() {
                lines.push(Line { name, points });
            }
        }
    }
    lines
}

fn draw_percentiles(canvas: &Canvas<'_>, lines: &[Line]) -> Drawn {
    let values = || lines.iter().flat_map(|line| &line.points).map(|(_, ms)| *ms);
    let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    let mut chart = ChartBuilder::on(canvas)
        .caption("latency by percentile", TITLE)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..NINES_MAX, (least * 0.8..most * 1.25).log_scale())?;
    chart
        .configure_mesh()
        .x_labels(6)
        .x_label_formatter(&|nines| percent(*nines))
        .y_label_formatter(&|ms| format!("{ms} ms"))
        .label_style(FONT)
        .x_desc("percentile")
        .draw()?;
    for (index, line) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?
            .label(line.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(FONT)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

/// `0` is all, `1` is 90 %, `2.5` is not labelled.
fn percent(nines: f64) -> String {
    match nines.round() {
        whole if (nines - whole).abs() > 1e-6 => String::new(),
        whole if whole <= 2.0 => format!("{:.0} %", 100.0 * (1.0 - 10f64.powf(-whole))),
        whole => format!("{:.*} %", whole as usize - 2, 100.0 * (1.0 - 10f64.powf(-whole))),
    }
}

/// Open loops over their rates, or closed ones over their connections: what there is more of. A line a file.
fn draw_throughput(canvas: &Canvas<'_>, reports: &[(String, Report)]) -> Drawn {
    let runs = || reports.iter().flat_map(|(_, report)| &report.runs);
    let open = runs().filter(|outcome| outcome.load.kind == Loop::Open).count();
    let (kind, asked) =
        if open * 2 > runs().count() { (Loop::Open, "requests/s asked") } else { (Loop::Closed, "connections") };
    let point = |outcome: &Outcome| {
        let lanes = f64::from(outcome.target.connections) * f64::from(outcome.target.streams);
        (outcome.load.rate.unwrap_or(lanes), outcome.throughput_per_s)
    };
    let mut lines = Vec::new();
    for (name, report) in reports {
        let mut points: Vec<_> = report.runs.iter().filter(|outcome| outcome.load.kind == kind).map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        lines.push(Line { name: name.clone(), points });
    }
    let most =
        |of: fn(&(f64, f64)) -> f64| lines.iter().flat_map(|line| &line.points).map(of).fold(1.0, f64::max) * 1.05;
    let mut chart = ChartBuilder::on(canvas)
        .caption("answered with 2xx by load", TITLE)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..most(|point| point.0), 0.0..most(|point| point.1))?;
    chart
        .configure_mesh()
        .label_style(FONT)
        .x_desc(asked)
        .x_label_formatter(&|load| load.to_string())
        .y_label_formatter(&|rate| format!("{rate}/s"))
        .draw()?;
    for (index, line) in lines.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)).point_size(3))?
            .label(line.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .label_font(FONT)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_labelled_by_their_nines() {
        let labels = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 2.5].map(percent);
        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", ""]);
        assert!((nines(0.999) - 3.0).abs() < 1e-9);
        assert!(nines(1.0) > NINES_MAX);
    }

    #[test]
    fn what_is_no_report_is_said() {
        let path = std::env::temp_dir().join(format!("loadtest-plot-{}.json", std::process::id()));
        std::fs::write(&path, "{\"schema\": \"other\"}").unwrap();
        let error = plot(std::slice::from_ref(&path), Path::new("unused.svg")).unwrap_err().to_string();
        assert!(error.contains("expected a report of `loadtest run -o json`"), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(plot(&[path], Path::new("unused.svg")), Err(PlotError::Unreadable(..))));
    }
}
