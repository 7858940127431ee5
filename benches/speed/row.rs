//! A row of the table.

/// What was measured, against what it is held, and whether that is reached.
pub(crate) struct Row {
    pub(crate) what: String,
    /// The floor or the peer of the same run, with its own figure; empty where there is none.
    pub(crate) floor: String,
    pub(crate) must: String,
    pub(crate) measured: String,
    pub(crate) reached: bool,
}

/// Begins the table: in Markdown, as it stands in the README.
pub(crate) fn print_head() {
    println!("| what | floor or peer | must reach | measured | reached |");
    println!("|---|---|---|---|---|");
}

impl Row {
    pub(crate) fn print(&self) {
        let Self { what, floor, must, measured, reached } = self;
        let reached = if *reached { "yes" } else { "**no**" };
        println!("| {what} | {floor} | {must} | {measured} | {reached} |");
    }
}
