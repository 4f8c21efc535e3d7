"""What every report is made of: tables, figures, one offline page, a folder that is never half written."""
