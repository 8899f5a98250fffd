"""The mail that invites: queued by a job after the invitation has committed."""

from urllib.parse import urlencode

from undercroft.foundation.jobs import JobContext, subscribes
from undercroft.identity.organizations.events import MemberInvited
from undercroft.identity.organizations.invitations import describe_invitation
from undercroft.identity.parts import Identity
from undercroft.notifications import Channel, Kind, queue_message

PAGE = "accept-invitation"


@subscribes(MemberInvited, "identity.mail_invitation")
async def mail_invitation(context: JobContext, event: MemberInvited) -> None:
    """Queue the mail, unless the invitation was accepted or revoked meanwhile."""
    identity: Identity = context.services["identity"]
    async with context.unit_of_work() as session:
        mail = await describe_invitation(session, identity.keyring, event.invitation_id)
        if mail is None:
            return
        link = f"{identity.link_base}/{PAGE}?{urlencode({'token': mail.token})}"
        await queue_message(
            session,
            identity.post,
            Kind.INVITATION,
            channel=Channel.EMAIL,
            recipient=mail.email,
            language=mail.language,
            values={
                "inviter": mail.inviter or mail.organization,
                "organization": mail.organization,
                "link": link,
            },
            expires_at=mail.expires_at,
        )


SUBSCRIPTIONS = (mail_invitation,)
