"""The pages: a folder each, and `shared`, what more than one of them uses. They only draw."""
