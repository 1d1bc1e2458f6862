"""One row a person: their events as arrays with both clocks, and the model inputs that come out of them."""
