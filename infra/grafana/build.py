"""Dashboards as code: ``python -m infra.grafana.build`` writes ``dashboards/*.json``; a test fails when they drift.

Two datasources: Prometheus for tiles and trends, PostgreSQL (a read-only role on the ``reporting`` views) for statements and
drill-down. Titles are Vietnamese, amounts whole đồng, times Asia/Ho_Chi_Minh.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

# The SDK marks the classic dashboard model as old; it is the one every Grafana in use reads from files.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import (
        barchart,
        dashboard,
        prometheus,
        stat,
        table,
        timeseries,
    )
    from grafana_foundation_sdk.cog import builder as cog
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.variants import Dataquery
    from grafana_foundation_sdk.models.common import DataSourceRef
    from grafana_foundation_sdk.models.dashboard import (
        GridPos,
        Threshold,
        ThresholdsMode,
        VariableOption,
        VariableRefresh,
    )

FOLDER = Path(__file__).parent / "dashboards"
PROMETHEUS = DataSourceRef(type_val="prometheus", uid="press-prometheus")
POSTGRES = DataSourceRef(type_val="grafana-postgresql-datasource", uid="press-reporting")
DONG = "suffix: ₫"
RATIO = "percentunit"
OF = 'agency="$agency",definition="$definition"'
STATE = "('$definition' = 'all' OR NOT state_funded)"
THIS_YEAR = """day >= date_trunc('year', now() AT TIME ZONE a.time_zone)::date
  AND day <= (now() AT TIME ZONE a.time_zone)::date"""


class SqlQuery(Dataquery):
    """A query of Grafana's PostgreSQL datasource (the SDK has no type for it)."""

    def __init__(self, sql: str) -> None:
        self.sql = sql

    def to_json(self) -> dict[str, object]:
        return {
            "refId": "A",
            "datasource": {"type": POSTGRES.type_val, "uid": POSTGRES.uid},
            "editorMode": "code",
            "format": "table",
            "rawQuery": True,
            "rawSql": self.sql,
        }


class Sql(cog.Builder[Dataquery]):
    """Its builder."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def build(self) -> Dataquery:
        return SqlQuery(self._sql)


def promql(expression: str, *, legend: str = "", instant: bool = True) -> Any:
    query = prometheus.Dataquery().expr(expression).ref_id("A").datasource(PROMETHEUS)
    if legend:
        query = query.legend_format(legend)
    return query.instant() if instant else query.range()


def tile(title: str, expression: str, unit: str, x: int, y: int, width: int = 6) -> Any:
    panel = stat.Panel().title(title).datasource(PROMETHEUS).unit(unit)
    panel = panel.decimals(1 if unit == RATIO else 0)
    return panel.grid_pos(GridPos(h=4, w=width, x=x, y=y)).with_target(promql(expression))


def growth_tile() -> Any:
    steps = [Threshold(None, "red"), Threshold(0, "orange"), Threshold(0.2, "green")]
    return tile(
        "Tăng so với cùng kỳ (chỉ tiêu +20 %)",
        f"press:revenue_growth_ratio{{{OF}}}",
        RATIO,
        0,
        0,
    ).thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))


NEEDED_PER_DAY = (
    f"press:revenue_missing_vnd{{{OF}}} / on (agency) group_left () clamp_min(floor((max by (agency) "
    '(press_fiscal_year_end_timestamp_seconds{agency="$agency"}) - time()) / 86400), 1)'
)
MOVEMENTS = (
    'sum by (movement) (max without (instance, job) (press_mrr_movement_mtd_vnd{agency="$agency"}))'
)
BY_MONTH = f"""SELECT to_char(m.month, 'FM00') AS "Tháng",
  coalesce((SELECT sum(amount) FROM reporting.baseline b
            WHERE b.agency = a.agency AND b.currency = 'VND' AND b.month = m.month AND {STATE}), 0)::bigint AS "Năm gốc",
  coalesce((SELECT sum(amount) FROM reporting.revenue_daily d
            WHERE d.agency = a.agency AND d.currency = 'VND' AND extract(month FROM d.day) = m.month
              AND {THIS_YEAR} AND {STATE}), 0)::bigint AS "Doanh thu"
FROM reporting.agency a CROSS JOIN generate_series(1, 12) AS m (month)
WHERE a.agency = '$agency' ORDER BY m.month"""  # noqa: S608 - constants of this file
BY_SERIES = f"""SELECT d.segment AS "Loại hình", d.stream AS "Nguồn thu", sum(d.amount)::bigint AS "Doanh thu từ đầu năm"
FROM reporting.revenue_daily d JOIN reporting.agency a USING (agency)
WHERE d.agency = '$agency' AND d.currency = 'VND' AND {THIS_YEAR} AND {STATE}
GROUP BY 1, 2 ORDER BY 3 DESC"""  # noqa: S608
DRILL_DOWN = """SELECT e.recognised_on AS "Ngày", e.segment AS "Loại hình", e.stream AS "Nguồn thu", e.amount AS "Số tiền",
  e.document AS "Chứng từ", e.law_source AS "Nguồn theo luật", e.source_reference AS "Mã tham chiếu", e.recorded_for AS "Ghi cho"
FROM reporting.revenue_entry e
WHERE e.agency = '$agency' AND e.currency = 'VND' AND e.recognised_on BETWEEN $__timeFrom()::date AND $__timeTo()::date
ORDER BY e.recognised_on DESC, e.source_reference LIMIT 1000"""
AGENCIES = "SELECT agency AS __value, name AS __text FROM reporting.agency ORDER BY name"


def empty_dashboard() -> Any:
    """Title, time range and the two choices a reader has."""
    return (
        dashboard.Dashboard("Tài chính – một cơ quan báo chí")
        .uid("press-finance-agency")
        .tags(["press-revenue"])
        .timezone("Asia/Ho_Chi_Minh")
        .refresh("1m")
        .time("now/y", "now")
        .readonly()
        .with_variable(
            dashboard.QueryVariable("agency")
            .label("Cơ quan báo chí")
            .datasource(POSTGRES)
            .query(AGENCIES)
            .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        )
        .with_variable(
            dashboard.CustomVariable("definition")
            .label("Cách tính doanh thu")
            .values("Toàn bộ : all, Không gồm ngân sách nhà nước : own")
            .current(VariableOption(text="Toàn bộ", value="all"))
        )
    )


def with_tiles(board: Any) -> Any:
    return (
        board.with_panel(growth_tile())
        .with_panel(tile("Doanh thu từ đầu năm", f"press:revenue_ytd_vnd{{{OF}}}", DONG, 6, 0))
        .with_panel(
            tile("Năm gốc, cùng kỳ", f"press:revenue_baseline_ytd_vnd{{{OF}}}", DONG, 12, 0)
        )
        .with_panel(tile("Dự báo cả năm", f"press:revenue_projected_vnd{{{OF}}}", DONG, 18, 0))
        .with_panel(
            tile(
                "Tăng 28 ngày gần nhất",
                f"press:revenue_growth_trailing_28d_ratio{{{OF}}}",
                RATIO,
                0,
                4,
            )
        )
        .with_panel(
            tile("Còn thiếu so với chỉ tiêu", f"press:revenue_missing_vnd{{{OF}}}", DONG, 6, 4)
        )
        .with_panel(tile("Cần đạt mỗi ngày", NEEDED_PER_DAY, DONG, 12, 4))
        .with_panel(
            tile(
                "Dự báo so với chỉ tiêu",
                f"press:revenue_projected_per_target_ratio{{{OF}}}",
                RATIO,
                18,
                4,
            )
        )
        .with_panel(
            tile("Doanh thu định kỳ hằng tháng", 'press:mrr_vnd{agency="$agency"}', DONG, 0, 8, 12)
        )
        .with_panel(
            tile(
                "Doanh thu chưa thực hiện",
                'press:deferred_revenue_vnd{agency="$agency"}',
                DONG,
                12,
                8,
                12,
            )
        )
    )


def with_charts(board: Any) -> Any:
    return (
        board.with_panel(
            barchart.Panel()
            .title("Doanh thu theo tháng so với năm gốc")
            .datasource(POSTGRES)
            .unit(DONG)
            .x_field("Tháng")
            .grid_pos(GridPos(h=10, w=24, x=0, y=12))
            .with_target(Sql(BY_MONTH))
        )
        .with_panel(
            timeseries.Panel()
            .title("Mức tăng theo thời gian")
            .datasource(PROMETHEUS)
            .unit(RATIO)
            .grid_pos(GridPos(h=8, w=12, x=0, y=22))
            .with_target(
                promql(
                    f"press:revenue_growth_ratio{{{OF}}}", legend="{{definition}}", instant=False
                )
            )
        )
        .with_panel(
            barchart.Panel()
            .title("Biến động doanh thu định kỳ trong tháng")
            .datasource(PROMETHEUS)
            .unit(DONG)
            .grid_pos(GridPos(h=8, w=12, x=12, y=22))
            .with_target(promql(MOVEMENTS, legend="{{movement}}"))
        )
    )


def with_tables(board: Any) -> Any:
    return board.with_panel(
        table.Panel()
        .title("Theo loại hình và nguồn thu")
        .datasource(POSTGRES)
        .grid_pos(GridPos(h=9, w=24, x=0, y=30))
        .with_target(Sql(BY_SERIES))
    ).with_panel(
        table.Panel()
        .title("Bút toán và chứng từ")
        .datasource(POSTGRES)
        .grid_pos(GridPos(h=12, w=24, x=0, y=39))
        .with_target(Sql(DRILL_DOWN))
    )


def with_readers(board: Any) -> Any:
    """What billing says of paying readers."""
    for number, (title, metric, unit) in enumerate(
        (
            ("Bạn đọc: doanh thu định kỳ", "press_billing_mrr_vnd", DONG),
            ("Trong đó sắp hết, không gia hạn", "press_billing_mrr_ending_vnd", DONG),
            ("Bạn đọc đang trả tiền", "press_billing_active_paid_readers", "short"),
        )
    ):
        expression = f'max by (agency) ({metric}{{agency="$agency"}})'
        board = board.with_panel(tile(title, expression, unit, 8 * number, 51, 8))
    return board


def finance_dashboard() -> dict[str, Any]:
    """*Finance – one agency*."""
    board = with_readers(with_tables(with_charts(with_tiles(empty_dashboard()))))
    built: dict[str, Any] = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    for number, panel in enumerate(built["panels"], start=1):
        panel["id"] = number
    return built


DASHBOARDS = {"finance-agency.json": finance_dashboard}


def text_of(name: str) -> str:
    """A dashboard's file as it must be."""
    return json.dumps(DASHBOARDS[name](), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / name).write_text(text_of(name), encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
