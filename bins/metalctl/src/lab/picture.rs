//! The LAN as a picture.

use super::plan;

/// Draws the switch and what is plugged into it.
pub(crate) fn draw(nodes: &[String]) -> String {
    let node = |(index, name): (usize, &String)| (clip(name), plan::node_address(index).to_string());
    let mut boxes: Vec<(String, String)> = nodes.iter().enumerate().map(node).collect();
    if boxes.len() > MOST {
        boxes.splice(MOST - 2..boxes.len() - 1, [("...".to_owned(), String::new())]);
    }
    boxes.push(("client".to_owned(), plan::CLIENT.to_string()));
    let centre = |index: usize| index * CELL + CELL / 2;
    let (first, last) = (centre(0), centre(boxes.len() - 1));
    let wire = format!("{}┌{:─^width$}┐", " ".repeat(first), " switch ", width = last - first - 1);
    let mut drops = vec![' '; last + 1];
    (0..boxes.len()).for_each(|index| drops[centre(index)] = '│');
    let row = |texts: Vec<&str>| texts.iter().map(|text| format!("{text:^CELL$}")).collect::<String>();
    let lines = [
        wire,
        drops.into_iter().collect(),
        row(boxes.iter().map(|(name, _)| name.as_str()).collect()),
        row(boxes.iter().map(|(_, address)| address.as_str()).collect()),
    ];
    lines.map(|line| line.trim_end().to_owned()).join("\n")
}

/// A name that fits into its box.
fn clip(name: &str) -> String {
    name.chars().take(CELL - 1).collect()
}

/// The width of a box.
const CELL: usize = 17;
/// So many nodes are drawn; of more, the first ones and the last.
const MOST: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(nodes: usize) -> String {
        super::draw(&(0..nodes).map(plan::node_name).collect::<Vec<_>>())
    }

    #[test]
    fn it_shows_every_box_on_one_wire() {
        let expected = [
            "        ┌──────────── switch ─────────────┐",
            "        │                │                │",
            "      node1            node2           client",
            "  192.168.42.11    192.168.42.12   192.168.42.100",
        ];
        assert_eq!(draw(2).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn many_nodes_are_abridged() {
        let picture = draw(50);
        assert!(
            picture.contains("node3") && picture.contains("...") && picture.contains("node50"),
            "{picture}"
        );
        assert!(!picture.contains("node4 "), "{picture}");
    }
}
