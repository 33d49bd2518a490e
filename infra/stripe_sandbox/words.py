"""Words of the pages, Vietnamese first, and how sums are written."""

WORDS: dict[str, dict[str, str]] = {
    "vi": {
        "sandbox": "Môi trường thử – không trừ tiền thật",
        "pay_title": "Thanh toán",
        "total_today": "Thanh toán hôm nay",
        "back": "Quay lại",
        "email": "Thư điện tử",
        "card": "Thông tin thẻ",
        "number": "Số thẻ",
        "expiry": "Ngày hết hạn (tháng/năm)",
        "expiry_hint": "MM / NN",
        "cvc": "Mã bảo mật (CVC)",
        "name": "Tên trên thẻ",
        "name_either": "Tên trên thẻ hoặc tài khoản",
        "pay": "Thanh toán",
        "test_cards": "Thẻ thử dùng được ở đây",
        "test_hint": "Ngày hết hạn bất kỳ trong tương lai, mã CVC ba chữ số bất kỳ.",
        "other_language": "English",
        "quantity": "Số lượng",
        "problem": "Thanh toán thất bại",
        "check": "Hãy kiểm tra lại",
        "incorrect_number": "Số thẻ không hợp lệ.",
        "not_a_test_card": "Đây không phải thẻ thử. Đừng nhập thẻ thật vào môi trường thử.",
        "invalid_expiry": "Ngày hết hạn của thẻ không hợp lệ hoặc đã qua.",
        "invalid_cvc": "Mã bảo mật không hợp lệ.",
        "invalid_email": "Địa chỉ thư điện tử không hợp lệ.",
        "generic_decline": "Thẻ của bạn đã bị từ chối. Hãy thử một thẻ khác.",
        "insufficient_funds": "Thẻ của bạn không đủ số dư. Hãy thử một thẻ khác.",
        "expired_card": "Thẻ của bạn đã hết hạn. Hãy thử một thẻ khác.",
        "incorrect_cvc": "Mã bảo mật của thẻ không đúng. Hãy nhập lại.",
        "payment_intent_authentication_failure": (
            "Ngân hàng chưa xác thực được thẻ của bạn. Hãy thử lại hoặc dùng thẻ khác."
        ),
        "bank_title": "Xác thực 3-D Secure",
        "bank_text": "Ngân hàng phát hành thẻ muốn bạn xác nhận khoản thanh toán này.",
        "approve": "Xác nhận thanh toán",
        "refuse": "Từ chối",
        "done_title": "Đã thanh toán xong",
        "done_text": "Phiên thanh toán này đã hoàn tất.",
        "continue": "Tiếp tục",
        "expired_title": "Phiên thanh toán đã hết hạn",
        "expired_text": "Hãy quay lại trang trước và bắt đầu lại.",
        "missing_title": "Không tìm thấy phiên thanh toán",
        "missing_text": "Đường dẫn không đúng, hoặc phiên đã bị xóa.",
        "forbidden_title": "Yêu cầu bị từ chối",
        "forbidden_text": "Yêu cầu không đến từ trang này. Hãy tải lại trang rồi thử lại.",
        "success": "thành công",
        "declined": "bị từ chối",
        "insufficient funds": "không đủ số dư",
        "expired": "thẻ hết hạn",
        "wrong security code": "sai mã bảo mật",
        "3-D Secure": "xác thực 3-D Secure",
        "3-D Secure every time": "xác thực 3-D Secure ở mọi lần thanh toán",
        "fails on renewal": "thất bại khi gia hạn",
        "refund waits": "hoàn tiền phải chờ rồi mới xong",
        "refund fails": "hoàn tiền xong rồi bị trả lại",
        "disputed": "chủ thẻ khiếu nại ngay sau đó",
        "setup_title": "Lưu thẻ",
        "setup_text": "Hôm nay không trừ tiền. Thẻ được lưu cho các lần thanh toán sau.",
        "save_card": "Lưu thẻ",
        "agree_later": (
            "Khi thanh toán, bạn đồng ý để cách thanh toán này được dùng cho các lần gia hạn sau."
        ),
        "free": "Không phải trả tiền",
        "finish": "Hoàn tất",
        "method": "Cách thanh toán",
        "by_card": "Thẻ",
        "by_debit": "Ghi nợ tài khoản ngân hàng",
        "iban": "Số tài khoản (IBAN)",
        "debit_hint": "Ngân hàng trả lời sau: thanh toán ở trạng thái đang xử lý.",
        "debit succeeds": "ghi nợ: thành công sau ít phút",
        "debit fails": "ghi nợ: thất bại sau ít phút",
        "not_a_test_account": "Đây không phải tài khoản thử. Đừng nhập tài khoản thật vào đây.",
        "bank_text_setup": "Ngân hàng phát hành thẻ muốn bạn xác nhận việc lưu thẻ này.",
        "approve_setup": "Xác nhận lưu thẻ",
        "setup_intent_authentication_failure": (
            "Ngân hàng chưa xác thực được thẻ của bạn. Hãy thử lại hoặc dùng thẻ khác."
        ),
    },
    "en": {
        "sandbox": "Sandbox – no real money is taken",
        "pay_title": "Payment",
        "total_today": "Due today",
        "back": "Back",
        "email": "E-mail",
        "card": "Card details",
        "number": "Card number",
        "expiry": "Expiry (month/year)",
        "expiry_hint": "MM / YY",
        "cvc": "Security code (CVC)",
        "name": "Name on card",
        "name_either": "Name on card or account",
        "pay": "Pay",
        "test_cards": "Test cards that work here",
        "test_hint": "Any future expiry, any three-digit security code.",
        "other_language": "Tiếng Việt",
        "quantity": "Quantity",
        "problem": "The payment failed",
        "check": "Please check",
        "incorrect_number": "The card number is not valid.",
        "not_a_test_card": "This is not a test card. Never type a real card into a sandbox.",
        "invalid_expiry": "The card's expiry date is not valid or has passed.",
        "invalid_cvc": "The security code is not valid.",
        "invalid_email": "The e-mail address is not valid.",
        "generic_decline": "Your card was declined. Please try another card.",
        "insufficient_funds": "Your card has insufficient funds. Please try another card.",
        "expired_card": "Your card has expired. Please try another card.",
        "incorrect_cvc": "The security code is incorrect. Please type it again.",
        "payment_intent_authentication_failure": (
            "Your bank could not authenticate your card. Please try again or use another card."
        ),
        "bank_title": "3-D Secure authentication",
        "bank_text": "The bank that issued your card wants you to confirm this payment.",
        "approve": "Approve payment",
        "refuse": "Refuse",
        "done_title": "Paid",
        "done_text": "This checkout session is complete.",
        "continue": "Continue",
        "expired_title": "This checkout session has expired",
        "expired_text": "Please go back and start again.",
        "missing_title": "No such checkout session",
        "missing_text": "The address is wrong, or the session is gone.",
        "forbidden_title": "Request refused",
        "forbidden_text": "The request did not come from this page. Reload the page and try again.",
        "success": "success",
        "declined": "declined",
        "insufficient funds": "insufficient funds",
        "expired": "card expired",
        "wrong security code": "wrong security code",
        "3-D Secure": "3-D Secure",
        "3-D Secure every time": "3-D Secure at every payment",
        "fails on renewal": "fails on renewal",
        "refund waits": "a refund waits, then goes through",
        "refund fails": "a refund goes through, then comes back",
        "disputed": "disputed right afterwards",
        "setup_title": "Save a card",
        "setup_text": "Nothing is charged today. The card is saved for later payments.",
        "save_card": "Save card",
        "agree_later": (
            "By paying, you agree that this way of paying is charged for later renewals."
        ),
        "free": "Nothing to pay",
        "finish": "Complete order",
        "method": "How to pay",
        "by_card": "Card",
        "by_debit": "Bank account debit",
        "iban": "Account number (IBAN)",
        "debit_hint": "The bank answers later: the payment stays in process.",
        "debit succeeds": "debit: succeeds after some minutes",
        "debit fails": "debit: fails after some minutes",
        "not_a_test_account": "This is not a test account. Never type a real account here.",
        "bank_text_setup": "The bank that issued your card wants you to confirm that it is saved.",
        "approve_setup": "Approve saving the card",
        "setup_intent_authentication_failure": (
            "Your bank could not authenticate your card. Please try again or use another card."
        ),
    },
}


def language(asked: str | None, locale: str | None) -> str:
    """What the person asked for, else what the session says, else Vietnamese."""
    if asked in WORDS:
        return asked
    return "en" if (locale or "").startswith("en") else "vi"


def dong(amount: int) -> str:
    """``59000`` to ``59.000 ₫``."""
    return f"{amount:,}".replace(",", ".") + " ₫"


def money(amount: int, currency: str) -> str:
    """A sum in its currency: ``59.000 ₫``, ``US$590.00``."""
    if currency == "vnd":
        return dong(amount)
    sign = {"usd": "US$", "eur": "€"}.get(currency, f"{currency.upper()} ")
    whole, cents = divmod(abs(amount), 100)
    return f"{'-' if amount < 0 else ''}{sign}{whole:,}.{cents:02d}"
