"""Mail leaves through a real SMTP server, or says plainly that it did not."""

from __future__ import annotations

import email
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from infra.local.ports import LOOPBACK, free_port
from shared.errors import UnavailableError
from shared.mail import Mail, SmtpMail
from shared.mail.address import normalise_email

MAIL = Mail("lan@bao.vn", "Mã đăng nhập", "Mã của bạn: 123 456\nhttps://bao.vn/?a=1&b=2")


class Mailbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.messages: list[email.message.EmailMessage] = []

    async def handle_DATA(self, _server, _session, envelope) -> str:
        self.messages.append(email.message_from_bytes(envelope.content, policy=default))
        return "250 OK"


def check(_server, _session, _envelope, _mechanism, sent) -> AuthResult:
    return AuthResult(success=sent == LoginPassword(b"bao", b"right"))


@pytest.fixture
def server():
    mailbox = Mailbox()
    controller = Controller(
        mailbox,
        hostname=LOOPBACK,
        port=free_port(),
        authenticator=check,
        auth_require_tls=False,
    )
    controller.start()
    yield controller, mailbox
    controller.stop()


def sender(port: int, **changes) -> SmtpMail:
    return SmtpMail(
        LOOPBACK,
        port,
        **{"sender": "Báo <tin@bao.vn>", "username": "bao", "password": "right", "tls": "none"}
        | changes,
    )


async def test_a_message_arrives_whole_with_its_vietnamese(server):
    controller, mailbox = server
    await sender(controller.port).send(MAIL)
    [message] = mailbox.messages
    assert (message["To"], message["Subject"]) == (MAIL.recipient, MAIL.subject)
    assert message.get_content().split() == MAIL.body.split()
    assert message["Message-ID"] and message["Date"]


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"tls": "starttls"}, {"tls": "tls"}])
async def test_a_refusal_or_a_server_without_tls_is_unavailable_and_sends_nothing(server, changes):
    controller, mailbox = server
    with pytest.raises(UnavailableError):
        await sender(controller.port, **changes).send(MAIL)
    assert mailbox.messages == []


async def test_no_server_is_unavailable():
    with pytest.raises(UnavailableError):
        await sender(free_port()).send(MAIL)


async def test_a_line_end_in_a_header_never_leaves(server):
    controller, mailbox = server
    with pytest.raises(UnavailableError):
        await sender(controller.port).send(Mail("lan@bao.vn", "a\r\nBcc: all@x.vn", "b"))
    assert mailbox.messages == []


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        (" Lan.Anh@Bao-Hung-Yen.VN ", "lan.anh@bao-hung-yen.vn"),
        ("a@b.co", "a@b.co"),
        ("a@b", None),
        ("no-at.example", None),
        ("two@@example.vn", None),
        ("a b@example.vn", None),
        ("a@-x.vn", None),
        ("nul\x00@example.vn", None),
        ("lan\u202e@example.vn", None),
        ("x@" + "a" * 250 + ".vn", None),
        ("", None),
    ],
)
def test_an_address_is_trimmed_lowered_and_checked(typed, address):
    assert normalise_email(typed) == address
