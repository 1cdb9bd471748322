"""The pages: a folder each, and `shared` for what several of them use. They only draw."""
