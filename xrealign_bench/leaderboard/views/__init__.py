"""What boards and pages show, as tables of cells, the same for every renderer."""
