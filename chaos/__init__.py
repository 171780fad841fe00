"""Does seeder keep its promises when everything around it breaks? ``python -m chaos`` tries it; see
docs/reliability.md."""
