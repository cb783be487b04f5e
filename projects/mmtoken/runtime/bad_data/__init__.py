"""Images, masks, labels and boxes that are bad: named, counted, limited."""
