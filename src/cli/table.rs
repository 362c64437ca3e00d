//! Tables in text: columns that line up, and rows that fit a terminal.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::output::clean;

/// The least width that a column is cut to: all nine columns of events fit 80 places.
const NARROWEST: usize = 3;

/// Stands for the text that was cut off.
const ELLIPSIS: &str = "…";

/// Places between two columns.
const GAP: usize = 2;

/// A table: columns as wide as their widest cell, two spaces apart, without trailing spaces. Cells
/// are cleaned.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    written(&cleaned(rows))
}

/// As [`table`], with the cells of columns from `first` on cut so that rows fit a terminal of
/// `width` places. The widest columns are cut first.
pub(crate) fn fitted(rows: &[Vec<String>], first: usize, width: usize) -> String {
    let mut rows = cleaned(rows);
    let widths = narrowed(widths(&rows), first, width);
    for row in &mut rows {
        for (cell, width) in row.iter_mut().zip(&widths) {
            if cell.width() > *width {
                *cell = Cow::Owned(cut(cell, *width));
            }
        }
    }
    written(&rows)
}

fn cleaned(rows: &[Vec<String>]) -> Vec<Vec<Cow<'_, str>>> {
    rows.iter()
        .map(|row| row.iter().map(|cell| clean(cell)).collect())
        .collect()
}

fn written(rows: &[Vec<Cow<'_, str>>]) -> String {
    let widths = widths(rows);
    let lines = rows.iter().map(|row| {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let blanks = width.saturating_sub(cell.width()) + GAP;
            line.extend(std::iter::repeat_n(' ', blanks));
        }
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn widths(rows: &[Vec<Cow<'_, str>>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.width()).max().unwrap_or(0)
        })
        .collect()
}

/// Takes places from the widest columns until a row fits, or every one is at its least.
fn narrowed(mut widths: Vec<usize>, first: usize, width: usize) -> Vec<usize> {
    let gaps = widths.len().saturating_sub(1) * GAP;
    let mut surplus = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
    while surplus > 0 {
        let widest = widths.iter_mut().skip(first).max();
        let Some(widest) = widest.filter(|width| **width > NARROWEST) else {
            break;
        };
        *widest -= 1;
        surplus -= 1;
    }
    widths
}

/// The beginning of a text, in so many places, with an ellipsis. A mark that joins the last letter
/// stays with it.
fn cut(text: &str, width: usize) -> String {
    let room = width.saturating_sub(ELLIPSIS.width());
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        // Some letters are narrower together than alone, none is wider.
        if kept.width() > room {
            kept.truncate(kept.len() - letter.len_utf8());
            if letter.width() != Some(0) {
                break;
            }
        }
    }
    kept.truncate(kept.trim_end().len());
    kept + ELLIPSIS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rows(cells: &[&[&str]]) -> Vec<Vec<String>> {
        let row = |row: &&[&str]| row.iter().map(|&cell| cell.to_owned()).collect();
        cells.iter().map(row).collect()
    }

    #[test]
    fn columns_line_up_and_cells_are_cleaned() {
        let rows = rows(&[&["a", "bb"], &["ccc\n", ""]]);
        assert_eq!(table(&rows), "a         bb\nccc\\u{a}");
    }

    #[test]
    fn wide_letters_and_joined_marks_line_up() {
        let rows = rows(&[&["値段", "x"], &["e\u{301}te\u{301}", "x"], &["four", "x"]]);
        let expected = "値段  x\ne\u{301}te\u{301}   x\nfour  x";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn long_cells_are_cut_to_the_terminal() {
        let row: &[&str] = &["7", "INC-7: the web is slow today", "web-1.example.com"];
        let rows = rows(&[row]);
        for (case, width, expected) in [
            (
                "it fits",
                50,
                "7  INC-7: the web is slow today  web-1.example.com",
            ),
            (
                "the longest cell is cut",
                40,
                "7  INC-7: the web is…  web-1.example.com",
            ),
            (
                "the longest ones are level",
                30,
                "7  INC-7: the w…  web-1.examp…",
            ),
            ("no column is cut away", 5, "7  IN…  we…"),
        ] {
            assert_eq!(fitted(&rows, 1, width), expected, "{case}");
        }
        let first: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().take(2).cloned().collect())
            .collect();
        assert_eq!(fitted(&first, 2, 5), table(&first), "fixed columns stay");
    }

    #[test]
    fn a_cut_counts_places_and_not_letters() {
        for (text, width, expected) in [
            ("値段が高い", 6, "値段…"),
            ("値段が高い", 5, "値段…"),
            ("値段が高い", 4, "値…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("abc", 1, "…"),
        ] {
            assert_eq!(cut(text, width), expected, "{text} {width}");
        }
    }

    /// Rows of nine columns were 95 places wide and more.
    #[test]
    fn nine_columns_fit_eighty_places() {
        let heads = [
            "INDEX",
            "TIME",
            "EVENT",
            "WHO",
            "ROLE",
            "HOST",
            "REASON",
            "APPROVED BY",
            "WHAT",
        ];
        let row = [
            "1234567",
            "2026-11-30 20:03:05 UTC",
            "requested",
            "alice@example.com",
            "web-debug",
            "web-1.example.com",
            "INC-4711: the disk is full",
            "carol@example.com",
            "weblogs@web (request 7)",
        ];
        let text = fitted(&rows(&[&heads, &row]), 3, 80);
        for line in text.lines() {
            assert!(line.width() <= 80, "{text}");
        }
        assert!(
            text.contains("1234567  2026-11-30 20:03:05 UTC  requested  al"),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn any_table_fits_a_wide_enough_terminal(
            cells in prop::collection::vec(prop::collection::vec("\\PC{0,60}", 3), 1..6),
            width in 40_usize..200,
        ) {
            let text = fitted(&cells, 0, width);
            for line in text.lines() {
                prop_assert!(line.width() <= width, "{line:?}");
            }
        }
    }
}
