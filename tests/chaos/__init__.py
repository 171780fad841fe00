"""Does seeder keep its promises when everything around it breaks? ``make chaos`` tries it; see
docs/reliability.md."""
