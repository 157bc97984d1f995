"""Evidence in other formats: JUnit XML, Markdown, JSON lines, pytest-html."""
