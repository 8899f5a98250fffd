"""What can go wrong with the catalogue."""

from undercroft import Conflict, Invalid, NotFound


class AuthorNotFound(NotFound):
    title = "No such author"


class MovieNotFound(NotFound):
    title = "No such movie"


class SeriesNotFound(NotFound):
    title = "No such series"


class UnknownAuthor(Invalid):
    title = "The author does not exist"
    detail = "`author_id` names nobody in the catalogue."


class AuthorHasWorks(Conflict):
    title = "The author has works"
    detail = "Delete the author's movies and series first, or give them to another author."
