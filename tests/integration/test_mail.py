"""Mail leaves through a real SMTP server, or says plainly that it did not."""

from __future__ import annotations

import email
from email.header import decode_header, make_header
from email.policy import compat32, default

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from infra.local.ports import LOOPBACK, free_port
from shared.errors import UnavailableError
from shared.mail import Mail, MailRefusedError, SmtpMail
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


@pytest.mark.parametrize(
    "mail",
    [
        Mail("lan@bao.vn", "a\r\nBcc: all@x.vn", "b"),
        Mail("lan@bao.vn", "a\nBcc: all@x.vn", "b"),
        Mail("lan@bao.vn\r\nBcc: all@x.vn", "a", "b"),
        Mail("lan@bao.vn", "a", "b", sender_name="Báo\r\nBcc: all@x.vn"),
        Mail("lan@bao.vn", "a", "b", message_id="1@x>\r\nBcc: all@x.vn"),
    ],
)
async def test_a_line_end_in_a_header_never_leaves(server, mail):
    controller, mailbox = server
    with pytest.raises(MailRefusedError):
        await sender(controller.port).send(mail)
    assert mailbox.messages == []


def shown(message: email.message.EmailMessage, name: str) -> str:
    """A header as mail programs show it (RFC 2047): blanks between two encoded words are none."""
    return str(make_header(decode_header(dict(message.raw_items())[name])))


@pytest.mark.parametrize("length", range(1, 140, 3))
async def test_names_and_subjects_arrive_to_the_letter_in_lines_of_their_length(server, length):
    controller, mailbox = server
    text = ("Báo và Phát thanh, Truyền hình Hưng Yên chào mừng bạn " * 3)[:length].strip()
    await sender(controller.port).send(Mail("lan@bao.vn", text, "b", sender_name=text))
    [message] = mailbox.messages
    assert shown(message, "Subject") == text
    assert shown(message, "From") == f"{text} <tin@bao.vn>"
    raw = message.as_bytes(policy=compat32)
    assert max(map(len, raw.split(b"\n"))) <= 78


async def test_text_and_html_travel_as_alternatives_under_a_fixed_id(server):
    controller, mailbox = server
    mail = Mail("lan@bao.vn", "a", "Chào\n", html="<p>Chào</p>\n", message_id="letter.7")
    for _ in range(2):
        await sender(controller.port).send(mail)
    for message in mailbox.messages:
        assert message.get_content_type() == "multipart/alternative"
        parts = [(p.get_content_type(), p.get_content().strip()) for p in message.iter_parts()]
        assert parts == [("text/plain", "Chào"), ("text/html", "<p>Chào</p>")]
        assert message["Message-ID"] == "<letter.7@bao.vn>"
        assert message["Auto-Submitted"] == "auto-generated"


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
