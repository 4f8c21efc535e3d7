"""The experiment on fibrotic NASH: every model on every fold, tables and figures as the paper's."""
