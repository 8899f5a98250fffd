"""What can go wrong with sites."""

from undercroft import Conflict, Invalid, NotFound


class SiteNotFound(NotFound):
    title = "No such site"


class SiteNameTaken(Conflict):
    title = "The site's name is taken"
    detail = "Another site of the organization is called that."


class OrganizationNeeded(Invalid):
    title = "Which organization?"
    detail = "Name it in `organization_id`: you run none, or several."


class SiteUserNotFound(NotFound):
    title = "No such user of the site"


class ViolationNotFound(NotFound):
    title = "No such violation"


class ImageNotFound(NotFound):
    title = "The violation has no image"


class ImageMissing(Invalid):
    title = "There is no image in the request"
    detail = "Send the image itself as the body."
