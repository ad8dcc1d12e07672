use super::*;

fn line_chart(labels: &[&str], lines: &[Line<'_>], width: u32) -> String {
    let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
    lines_of(&labels, lines, width)
}

fn lines_of(labels: &[String], lines: &[Line<'_>], width: u32) -> String {
    super::lines(&LineChart { id: "c", title: "Actions", description: "by day", labels, lines, width })
}

fn bar_chart(bars: &[(&str, u64)]) -> String {
    let bars: Vec<Bar<'_>> = bars.iter().map(|&(label, value)| Bar { label, value }).collect();
    super::bars(&BarChart { id: "c", title: "Top", description: "the most", bars: &bars, width: 400 })
}

/// Every number of an attribute.
fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
    let start = format!(" {attribute}=\"");
    svg.split(&start).skip(1).map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
}

/// Each opened element is closed in turn.
fn is_well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    open.is_empty()
}

#[test]
fn ticks_are_round_whole_numbers_that_reach_the_largest_value() {
    let cases: [(u64, &[u128]); 9] = [
        (0, &[0, 1]),
        (1, &[0, 1]),
        (3, &[0, 1, 2, 3]),
        (5, &[0, 1, 2, 3, 4, 5]),
        (6, &[0, 2, 4, 6]),
        (23, &[0, 5, 10, 15, 20, 25]),
        (47, &[0, 10, 20, 30, 40, 50]),
        (51, &[0, 20, 40, 60]),
        (1_001, &[0, 500, 1_000, 1_500]),
    ];
    for (most, wanted) in cases {
        assert_eq!(ticks(most), wanted, "{most}");
    }
    let huge = ticks(u64::MAX);
    assert!(huge.len() <= 6 && *huge.last().unwrap() >= u128::from(u64::MAX), "{huge:?}");
}

#[test]
fn numbers_are_short_on_an_axis_and_grouped_elsewhere() {
    for (number, text) in
        [(0, "0"), (999, "999"), (9_500, "9,500"), (10_000, "10K"), (12_500, "12.5K"), (2_000_000, "2M"), (1_500_000_000, "1.5B")]
    {
        assert_eq!(compact(number), text);
    }
    assert_eq!((grouped(0).as_str(), grouped(1_234_567).as_str(), grouped(123).as_str()), ("0", "1,234,567", "123"));
}

#[test]
fn a_line_is_drawn_within_its_frame_from_the_base_line_to_the_top_tick() {
    let svg = line_chart(&["1 Jan", "2 Jan", "3 Jan"], &[Line { name: "actions", values: &[0, 5, 10] }], 720);
    assert!(is_well_formed(&svg), "{svg}");
    let (x, y) = (numbers(&svg, "cx"), numbers(&svg, "cy"));
    assert!(x[0] < x[1] && x[1] < x[2] && x[2] < 720.0, "{x:?}");
    assert!(((x[1] - x[0]) - (x[2] - x[1])).abs() < 0.2, "{x:?}");
    // The base line is at 232, the top tick is 10.
    assert_eq!((y[0], y[2]), (232.0, 12.0));
    assert!((y[1] - 122.0).abs() < 0.2, "{y:?}");
    assert!(svg.contains(">2 Jan: 5 (actions)</title>"), "{svg}");
    assert!(svg.contains(r#"role="img" aria-labelledby="c-t c-d""#) && svg.contains(r#"<desc id="c-d">by day</desc>"#));
}

#[test]
fn a_chart_of_nothing_is_a_frame_and_one_value_is_a_dot_in_the_middle() {
    let empty = line_chart(&[], &[Line { name: "a", values: &[] }], 360);
    assert!(is_well_formed(&empty) && !empty.contains("<polyline") && empty.contains(">1</text>"), "{empty}");
    let zeros = line_chart(&["a", "b"], &[Line { name: "a", values: &[0, 0] }], 360);
    assert_eq!(numbers(&zeros, "cy"), [232.0, 232.0]);
    let single = line_chart(&["a"], &[Line { name: "a", values: &[7] }], 360);
    assert!(is_well_formed(&single) && !single.contains("<polygon"), "{single}");
    let x = numbers(&single, "cx")[0];
    assert!(x > 150.0 && x < 220.0, "{x}");
    assert!(!single.contains("NaN") && !empty.contains("NaN"));
}

#[test]
fn as_many_labels_stand_below_the_axis_as_have_room() {
    let labels: Vec<String> = (0..262).map(|day| format!("{} Jan 24", day % 31)).collect();
    let values = vec![3; 262];
    for width in [320, 720] {
        let svg = lines_of(&labels, &[Line { name: "a", values: &values }], width);
        let texts = svg.matches("class=\"m\"").count();
        assert!((3..=12).contains(&texts), "{width}: {texts}");
        assert!(!svg.contains("<circle"), "dots would touch");
    }
    let short: Vec<String> = (1..=5).map(|day| format!("{day} Jan")).collect();
    let svg = lines_of(&short, &[Line { name: "a", values: &[1; 5] }], 720);
    assert_eq!(svg.matches("class=\"m\"").count(), 5);
}

#[test]
fn huge_values_stay_within_the_frame() {
    let svg = line_chart(&["a", "b"], &[Line { name: "a", values: &[u64::MAX, 1] }], 360);
    assert!(numbers(&svg, "cy").iter().all(|&y| (12.0..=232.0).contains(&y)), "{svg}");
    let svg = bar_chart(&[("a", u64::MAX), ("b", 1), ("c", 0)]);
    let widths = numbers(&svg, "width");
    assert!(widths[1] < 400.0 && (widths[2] - 1.5).abs() < 0.01 && widths[3].abs() < 0.01, "{widths:?}");
}

#[test]
fn several_lines_have_a_key_and_the_first_lies_on_top() {
    let svg = line_chart(&["a", "b"], &[Line { name: "made", values: &[1, 2] }, Line { name: "seen", values: &[2, 1] }], 720);
    assert!(svg.contains(">made</text>") && svg.contains(">seen</text>"), "{svg}");
    assert!(svg.rfind("class=\"l0\"").unwrap() > svg.rfind("class=\"l1\"").unwrap());
    assert!(!line_chart(&["a"], &[Line { name: "made", values: &[1] }], 720).contains(">made</text>"));
}

#[test]
fn bars_are_in_proportion_and_their_long_labels_are_cut() {
    let long = "A label that nobody can read because it does not end";
    let svg = bar_chart(&[(long, 100), ("b", 50)]);
    assert!(is_well_formed(&svg), "{svg}");
    let widths = numbers(&svg, "width");
    assert!((widths[1] / widths[2] - 2.0).abs() < 0.01, "{widths:?}");
    assert!(svg.contains('…') && svg.contains(&format!("<title>{long}: 100</title>")), "{svg}");
    let wide = bar_chart(&[("名名名名名名名名名名名名名名名名名名名名名名名名名名", 1)]);
    assert!(wide.contains('…'));
    assert!(is_well_formed(&bar_chart(&[])));
}

#[test]
fn every_text_is_escaped() {
    let evil = "<script>alert(\"1\")</script>&'\u{0}\n";
    let escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;  ";
    let labels = [evil.to_owned()];
    let line = [Line { name: evil, values: &[1] }, Line { name: "b", values: &[1] }];
    let chart = LineChart { id: "c", title: evil, description: evil, labels: &labels, lines: &line, width: 720 };
    let bar = BarChart { id: "c", title: evil, description: evil, bars: &[Bar { label: evil, value: 1 }], width: 720 };
    for svg in [lines(&chart), bars(&bar)] {
        assert!(is_well_formed(&svg) && !svg.contains("<script") && svg.contains(escaped), "{svg}");
    }
}

proptest::proptest! {
    #[test]
    fn whatever_the_values_the_drawing_is_whole(values in proptest::collection::vec(proptest::num::u64::ANY, 0..80), label in "\\PC{0,40}") {
        let labels: Vec<String> = values.iter().map(|_| label.clone()).collect();
        let svg = lines_of(&labels, &[Line { name: &label, values: &values }], 360);
        proptest::prop_assert!(is_well_formed(&svg) && !svg.contains("NaN") && !svg.contains("inf"), "{}", svg);
        let named: Vec<Bar<'_>> = values.iter().map(|&value| Bar { label: &label, value }).collect();
        let svg = bars(&BarChart { id: "c", title: "t", description: "d", bars: &named, width: 360 });
        proptest::prop_assert!(is_well_formed(&svg) && numbers(&svg, "width").iter().all(|width| (0.0..=360.0).contains(width)));
    }
}
