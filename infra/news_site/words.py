"""What the newspaper's frame says in English. Its articles, and what they are called, are in Vietnamese."""

from __future__ import annotations

from collections.abc import Callable

ENGLISH = {
    "Tới nội dung chính": "Skip to content",
    "Gói đọc báo": "Plans",
    "Đăng nhập": "Sign in",
    "Tài khoản": "Account",
    "Tiếng nói của quê hương phù sa và nhãn lồng": "The voice of a land of river silt and longan",
    "Chuyên mục": "Sections",
    "Trang nhất": "Front page",
    "Thời sự": "News",
    "Kinh tế": "Business",
    "Văn hóa": "Culture",
    "Thể thao": "Sport",
    "Giáo dục": "Education",
    "Sức khỏe": "Health",
    "Trang báo mẫu của hệ thống doanh thu báo chí. Mọi nhân vật và số liệu trong các bài viết đều là hư cấu.": (
        "The sample newspaper of the press revenue system. All persons and figures in its articles are invented."
    ),
    "Đáng chú ý": "Highlights",
    "Đáng đọc": "Worth reading",
    "{n} phút đọc": "{n} minutes",
    "Minh họa: {name}": "Illustration: {name}",
    "Bài viết còn tiếp. Đang kiểm tra quyền đọc của bạn…": "There is more of this article. Looking whether you may read it…",
    "Nếu bài viết không hiện ra, hãy tải lại trang, tắt phần mềm chặn quảng cáo cho trang này, hoặc": (
        "If it does not appear, load the page again, switch off your ad blocker for it, or"
    ),
    "xem các gói đọc báo": "see the plans",
    "Bài viết này cần JavaScript để kiểm tra quyền đọc. Hãy bật JavaScript, hoặc": (
        "This article needs JavaScript to see whether you may read it. Switch it on, or"
    ),
    "Đọc tiếp": "Read on",
    "Trả phí": "For subscribers",
    "Miễn phí": "Free",
    "Không tìm thấy trang": "Page not found",
    "Không tìm thấy trang này": "There is no such page",
    "Có thể bài viết đã chuyển sang địa chỉ khác. Mời bạn đọc các bài mới nhất.": (
        "The article may have moved. Here are the newest ones."
    ),
}


def words(language: str) -> Callable[..., str]:
    """The templates' ``say``. Raises KeyError for what has no English: a test shows every page in both."""

    def say(vietnamese: str, **values: object) -> str:
        said = ENGLISH[vietnamese] if language == "en" else vietnamese
        return said.format(**values)

    return say
