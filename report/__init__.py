"""The report on a table: what the measurements say in sentences, and a page that shows them."""
