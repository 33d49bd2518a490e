"""Settings of every process that sends mail."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.settings import ServiceSettings


class MailSettings(ServiceSettings):
    """How mail leaves."""

    mail_transport: Literal["outbox", "smtp"] = Field(
        default="outbox", description="outbox shows mail on /dev/mail (never in production)."
    )
    mail_from: str = Field(default="Báo <no-reply@localhost>", description="Sender of mail.")
    smtp_host: str = Field(default="", description="SMTP server.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Port of the SMTP server.")
    smtp_username: str = Field(default="", description="SMTP user; empty sends without sign-in.")
    smtp_password: str = Field(default="", description="SMTP password.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the SMTP connection is protected."
    )

    def model_post_init(self, context: object) -> None:
        super().model_post_init(context)
        if self.environment == "production" and (
            self.mail_transport != "smtp" or not self.smtp_host
        ):
            raise ValueError(
                "production needs MAIL_TRANSPORT=smtp and SMTP_HOST: never the mail outbox page"
            )
