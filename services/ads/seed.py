"""Example data: what an agency might sell, who buys, what runs. Names of advertisers and all figures are invented."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from services.ads.availability.service import agency_today
from services.ads.bookings import repository as bookings_repository
from services.ads.bookings import service as bookings
from services.ads.bookings.rules import Action
from services.ads.bookings.service import LineSpec, Step
from services.ads.catalogue import service as catalogue
from services.ads.catalogue.rules import RateOn
from services.ads.creatives import service as creatives
from services.ads.creatives.service import CreativeText
from services.ads.settings import AdsSettings
from shared.agencies import Agency, at_website, get_agency, read_agencies, save_agencies
from shared.audit import Actor, acting
from shared.database import Database, Session
from shared.process import Process

AGENCIES = Path(__file__).parents[2] / "infra" / "demo" / "agencies.toml"
RATES_FROM = date(2026, 1, 1)
FLIGHT_DAYS = 14
HOUSE_DAYS = 366
_LIVE = ("Reserved", "PendingBooking", "Booked", "InFlight", "Paused")


@dataclass(frozen=True, slots=True)
class DemoLine:
    advertiser: str
    product: str
    quantity: int  # 0 for a house line
    words: CreativeText


@dataclass(frozen=True, slots=True)
class Demo:
    """An agency's example: placements (code, name, section, width, height, a day), products, lines."""

    placements: tuple[tuple[str, str, str, int, int, int], ...]
    products: tuple[tuple[str, str, int, tuple[str, ...]], ...]
    advertisers: tuple[str, ...]
    lines: tuple[DemoLine, ...]


HUNG_YEN = Demo(
    placements=(
        ("home-top", "Đầu trang chủ", "home", 728, 90, 20_000),
        ("article-inline", "Giữa bài viết", "article", 300, 250, 30_000),
        ("article-bottom", "Cuối bài viết", "article", 728, 90, 12_000),
        ("sidebar", "Cột bên", "home", 300, 600, 8_000),
    ),
    products=(
        (
            "run-of-site",
            "Toàn trang",
            45_000,
            ("home-top", "article-inline", "article-bottom", "sidebar"),
        ),
        ("home-premium", "Trang chủ nổi bật", 90_000, ("home-top", "sidebar")),
        ("article", "Trong bài viết", 60_000, ("article-inline", "article-bottom")),
    ),
    advertisers=("Nhãn lồng Hồng Nam", "Nhà may Phố Hiến", "Nội thất Sông Hồng"),
    lines=(
        DemoLine(
            "Nhãn lồng Hồng Nam",
            "run-of-site",
            280_000,
            CreativeText(
                "Nhãn lồng chính gốc Phố Hiến",
                "Hái sáng nay, giao tận nhà trong ngày. Đặt trước giảm 15 %.",
                "Đặt ngay",
                "https://example.com/nhan-long",
                "green",
            ),
        ),
        DemoLine(
            "Nhà may Phố Hiến",
            "article",
            140_000,
            CreativeText(
                "Áo dài cưới may đo",
                "Lụa tơ tằm, thử tại nhà, hẹn may trong 7 ngày.",
                "Xem mẫu",
                "https://example.com/ao-dai",
                "amber",
            ),
        ),
        DemoLine(
            "Báo Hưng Yên",
            "run-of-site",
            0,
            CreativeText(
                "Đọc báo không giới hạn",
                "Gói đọc báo điện tử: chuyện quê mình, mỗi sáng.",
                "Xem gói",
                "https://example.com/goi-doc-bao",
                "red",
            ),
        ),
    ),
)

SONG_HONG = Demo(
    placements=(("live-top", "Trên khung xem trực tuyến", "live", 728, 90, 6_000),),
    products=(("live", "Trang xem trực tuyến", 50_000, ("live-top",)),),
    advertisers=("Điện máy Đồng Bằng",),
    lines=(
        DemoLine(
            "Điện máy Đồng Bằng",
            "live",
            28_000,
            CreativeText(
                "Ti vi mới, xem trọn trận",
                "Trả góp 0 %, lắp đặt miễn phí trong tỉnh.",
                "Chọn ti vi",
                "https://example.com/ti-vi",
                "blue",
            ),
        ),
    ),
)
DEMOS = {"bao-hung-yen": HUNG_YEN, "dai-song-hong": SONG_HONG}


async def seed(process: Process[AdsSettings]) -> None:
    """Load the example agencies. Safe to repeat: only what is missing is added."""
    await seed_database(process.database, process.settings)


async def seed_database(database: Database, settings: AdsSettings) -> None:
    agencies = at_website(read_agencies(AGENCIES), settings.news_site_url)
    async with database.transaction() as session:
        await save_agencies(session, agencies, actor=Actor.system("seed"))
    for agency_id, demo in DEMOS.items():
        with acting(Actor.system("seed")):
            async with database.transaction() as session:
                await _catalogue(session, agency_id, demo)
                agency = await get_agency(session, agency_id)
                for line in demo.lines:
                    await _line(session, agency, line)


async def _catalogue(session: Session, agency: str, demo: Demo) -> None:
    present = {placement.code for placement in await catalogue.list_placements(session, agency)}
    for code, name, section, width, height, capacity in demo.placements:
        if code in present:
            continue  # figures that people have changed stay
        await catalogue.set_placement(
            session,
            agency,
            {
                "code": code,
                "name": name,
                "section": section,
                "width": width,
                "height": height,
                "daily_capacity": capacity,
            },
        )
    known = {product.code for product in await catalogue.list_products(session, agency)}
    for code, name, cpm, places in demo.products:
        if code not in known:
            await catalogue.set_product(session, agency, code, name, places)
            await catalogue.set_rate(session, agency, code, RateOn(RATES_FROM, cpm, 8))
    for advertiser in demo.advertisers:
        await catalogue.add_advertiser(session, agency, advertiser)


async def _line(session: Session, agency: Agency, demo: DemoLine) -> None:
    today = await agency_today(session, agency)
    running = await bookings_repository.line_views(session, agency.id, statuses=_LIVE)
    if any(v.advertiser == demo.advertiser and v.ends_on >= today for v in running):
        return
    advertiser = await catalogue.add_advertiser(session, agency.id, demo.advertiser)
    if demo.quantity == 0:
        line_id = await bookings.create_house_line(
            session,
            agency,
            advertiser_id=advertiser,
            product=demo.product,
            starts_on=today,
            ends_on=today + timedelta(days=HOUSE_DAYS - 1),
            actor="seed",
        )
    else:
        spec = LineSpec(demo.product, today, today + timedelta(days=FLIGHT_DAYS - 1), demo.quantity)
        _, lines = await bookings.create_order(
            session, agency, advertiser_id=advertiser, name="", specs=[spec], actor="seed"
        )
        line_id = lines[0]
        await bookings.act(session, agency, line_id, Step(Action.BOOK, "seed"))
    await creatives.add(session, agency.id, line_id, demo.words)
