//! The list of tickets as a table, for people.
//!
//! It is made from the text that every daemon sends, the reference's as well. What is not understood
//! is printed as it came.

use std::fmt::Write;

/// One line of `list`.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    ticket: &'a str,
    leader: &'a str,
    expires: &'a str,
    note: &'a str,
}

/// The text of `list` as a table; unchanged where there is no ticket in it.
pub(super) fn tickets(text: &str) -> String {
    let rows: Vec<Row<'_>> = text.lines().filter_map(row).collect();
    if rows.is_empty() {
        return text.to_owned();
    }
    let wide = |title: &str, cell: fn(&Row<'_>) -> usize| rows.iter().map(cell).max().unwrap_or(0).max(title.len());
    let ticket = wide("TICKET", |row| row.ticket.len());
    let leader = wide("HELD BY", |row| row.leader.len());
    let expires = wide("UNTIL", |row| row.expires.len());
    let mut table = String::new();
    let mut line = |cells: [&str; 4]| {
        let [a, b, c, d] = cells;
        let text = format!("{a:<ticket$}  {b:<leader$}  {c:<expires$}  {d}");
        let _ = writeln!(table, "{}", text.trim_end());
    };
    line(["TICKET", "HELD BY", "UNTIL", ""]);
    for row in &rows {
        line([row.ticket, row.leader, row.expires, row.note]);
    }
    for other in text.lines().filter(|line| row(line).is_none()) {
        let _ = writeln!(table, "{other}");
    }
    table
}

fn row(line: &str) -> Option<Row<'_>> {
    let (ticket, rest) = line.strip_prefix("ticket: ")?.split_once(", leader: ")?;
    let (rest, mut note) = match rest.split_once(" [") {
        Some((rest, note)) => (rest, note.strip_suffix(']')?),
        None => (rest, ""),
    };
    let mut fields = rest.split(", ");
    let (leader, mut expires) = (fields.next()?, "");
    for field in fields {
        match field.strip_prefix("expires: ") {
            Some(end) => expires = end,
            // Our daemon's word that the store does not take a revoke: it matters more than what follows it.
            None => note = field,
        }
    }
    let (expires, pending) = match expires.split_once(" (") {
        Some((expires, pending)) => (expires, pending.strip_suffix(')')?),
        None => (expires, ""),
    };
    if note.is_empty() {
        note = pending;
    }
    let leader = if leader.eq_ignore_ascii_case("none") { "-" } else { leader };
    Some(Row { ticket, leader, expires: if expires.is_empty() { "-" } else { expires }, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_becomes_a_row_and_the_rest_stays() {
        let text = "ticket: T, leader: NONE\n\
                    ticket: longer-name, leader: 10.77.0.1, expires: 2026-11-23 05:33:28 (commit pending until 2026-11-23 05:35:00)\n\
                    ticket: M, leader: 10.77.0.1, expires: INF [manual mode]\n\
                    ticket: N, leader: none [manual mode]\n\
                    ticket: O, leader: none, REVOKE OVERDUE since 2026-11-23 05:33:00\n\
                    \nWARNING: The ticket M is granted to multiple sites: A, B. Revoke the ticket from the faulty sites.\n";
        let expected = "\
TICKET       HELD BY    UNTIL
T            -          -
longer-name  10.77.0.1  2026-11-23 05:33:28  commit pending until 2026-11-23 05:35:00
M            10.77.0.1  INF                  manual mode
N            -          -                    manual mode
O            -          -                    REVOKE OVERDUE since 2026-11-23 05:33:00

WARNING: The ticket M is granted to multiple sites: A, B. Revoke the ticket from the faulty sites.
";
        assert_eq!(tickets(text), expected);
    }

    #[test]
    fn text_without_tickets_is_left_alone() {
        assert_eq!(tickets("something else\n"), "something else\n");
        assert_eq!(tickets(""), "");
    }
}
