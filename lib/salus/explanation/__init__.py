"""Why a person has the score they have: contributions on the logit, called associations, never causes."""
