"""What readers are told about a number that is refused, and why."""

from __future__ import annotations

from collections.abc import Mapping

from shared.texts.number import NoMobile

NO_NUMBER: Mapping[NoMobile, str] = {
    NoMobile.LANDLINE: "Mobile number: this is a landline or a service number, which no text reaches. A Vietnamese mobile number is "
    "needed, for example 0912 345 678.",
    NoMobile.FOREIGN: "Mobile number: texts go to Vietnamese numbers only, for example 0912 345 678. With another one, use your e-mail "
    "address.",
    NoMobile.OLD: "Mobile number: numbers of eleven digits became ones of ten in 2018 (0168 is now 038). Enter it as it is now, for "
    "example 0382 345 678.",
    NoMobile.NONE: "Mobile number: this is no Vietnamese mobile number. It has ten digits, for example 0912 345 678.",
}
