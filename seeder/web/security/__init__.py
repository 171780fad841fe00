"""Who may read and write: tokens, cookies, limits on guessing, the headers of every answer."""
