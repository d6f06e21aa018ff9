"""The join: packets seen at several places become the journey of one query."""
