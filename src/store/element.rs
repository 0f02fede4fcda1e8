//! One XML element without content, which is all that `crm_ticket -q` prints behind its headings.
//!
//! Anything else is an error: an answer that is not understood is not guessed at. (A whole XML library
//! would be a fifteenth of the daemon.) XML 1.0, productions 40 to 44, 66 and 68.

/// A name, and attributes in the order in which they stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element<'t> {
    pub name: &'t str,
    pub attributes: Vec<(&'t str, String)>,
}

impl<'t> Element<'t> {
    /// Reads the element that is all of `text` but blanks at its end.
    pub(super) fn parse(text: &'t str) -> Result<Element<'t>, &'static str> {
        let (name, mut rest) = take_name(text.strip_prefix('<').ok_or("expected <")?)?;
        let mut attributes: Vec<(&str, String)> = Vec::new();
        let end = loop {
            let next = rest.trim_start_matches(is_blank);
            if let Some(end) = next.strip_prefix("/>") {
                break end;
            }
            if let Some(content) = next.strip_prefix('>') {
                let end = content.strip_prefix("</").and_then(|end| end.strip_prefix(name));
                break end.and_then(|end| end.strip_prefix('>')).ok_or("expected an element without content")?;
            }
            if next.len() == rest.len() {
                return Err("expected a blank before an attribute");
            }
            let (attribute, value, behind) = take_attribute(next)?;
            if attributes.iter().any(|(known, _)| *known == attribute) {
                return Err("an attribute stands there twice");
            }
            attributes.push((attribute, value));
            rest = behind;
        };
        if end.trim_start_matches(is_blank).is_empty() {
            Ok(Element { name, attributes })
        } else {
            Err("expected nothing behind the element")
        }
    }

    /// An attribute's value.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

/// A name and what is behind it.
fn take_name(text: &str) -> Result<(&str, &str), &'static str> {
    // Beyond ASCII, XML takes nearly every character, and whoever wrote the element has checked them.
    let is_start = |c: char| c.is_ascii_alphabetic() || !c.is_ascii() || c == '_';
    let is_part = |c: char| is_start(c) || c.is_ascii_digit() || matches!(c, '-' | '.' | ':');
    let (name, rest) = text.split_at(text.find(|c: char| !is_part(c)).unwrap_or(text.len()));
    if name.starts_with(is_start) { Ok((name, rest)) } else { Err("expected a name") }
}

/// An attribute's name and value, and what is behind them.
fn take_attribute(text: &str) -> Result<(&str, String, &str), &'static str> {
    let (name, rest) = take_name(text)?;
    let rest = rest.trim_start_matches(is_blank).strip_prefix('=').ok_or("expected = behind an attribute's name")?;
    let rest = rest.trim_start_matches(is_blank);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or("expected a value in quotes")?;
    let (value, rest) = rest[1..].split_once(quote).ok_or("a value does not end")?;
    Ok((name, unescape(value)?, rest))
}

/// An attribute's value without references.
fn unescape(mut text: &str) -> Result<String, &'static str> {
    if text.contains('<') {
        return Err("< in a value");
    }
    let mut value = String::with_capacity(text.len());
    while let Some((plain, reference)) = text.split_once('&') {
        let (reference, rest) = reference.split_once(';').ok_or("a reference does not end")?;
        value.push_str(plain);
        value.push(match reference {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => numbered(reference).ok_or("an unknown reference")?,
        });
        text = rest;
    }
    value.push_str(text);
    Ok(value)
}

/// The character of `#65` or `#x41`.
fn numbered(reference: &str) -> Option<char> {
    let number = reference.strip_prefix('#')?;
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    // from_str_radix would take a sign.
    digits
        .chars()
        .all(|c| c.is_digit(radix))
        .then(|| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32))?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn attributes_are_read_whatever_quotes_blanks_and_references_they_have() {
        let element =
            Element::parse("<a b=\"1'2\"\n\tc = '\"&lt;&gt;&amp;&quot;&apos;' _d.e-f='&#65;&#x42;ä'  />\n").unwrap();
        assert_eq!(element.name, "a");
        assert_eq!(element.attribute("b"), Some("1'2"));
        assert_eq!(element.attribute("c"), Some("\"<>&\"'"));
        assert_eq!(element.attribute("_d.e-f"), Some("ABä"));
        assert_eq!(element.attribute("g"), None);
        assert_eq!(Element::parse("<a></a>"), Element::parse("<a/>"));
    }

    #[test]
    fn what_is_no_lone_element_is_refused() {
        for text in [
            "",
            "a",
            "<",
            "<>",
            "</a>",
            "< a/>",
            "<1/>",
            "<a",
            "<a/",
            "<a>",
            "<a>x</a>",
            "<a><b/></a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a b/>",
            "<a b=/>",
            "<a b=1/>",
            "<a b='1/>",
            "<a b='1\"/>",
            "<a b='1'c='2'/>",
            "<a b='1' b='2'/>",
            "<a b='&'/>",
            "<a b='&x;'/>",
            "<a b='&#;'/>",
            "<a b='&#+65;'/>",
            "<a b='&#x110000;'/>",
            "<a b='<'/>",
            "<a b='<&amp;'/>",
            "<!-- --><a/>",
            "<a 'b'/>",
        ] {
            assert!(Element::parse(text).is_err(), "{text}");
        }
    }
}
