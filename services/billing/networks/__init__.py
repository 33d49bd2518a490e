"""Networks of a group: address ranges of a company or a school that staff have approved. Who comes from one may take a seat."""
