"""What spreadsheets and CRMs call the columns of a list of consents and the states in it, in English and Chinese.

Names are written without case, width, blanks and marks (``plain``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final

_COLUMNS: Final = {
    "recipient": """
        phone phonenumber phoneno mobile mobilenumber mobileno mobilephone msisdn number cell cellphone
        telephone tel subscriber 手机号 手机号码 手机 电话 电话号码 联系电话 号码 用户号码 用户手机 客户手机
        客户手机号 会员手机 会员手机号 移动电话 接收号码 接收方号码 手機 手機號 手機號碼 電話 電話號碼
    """,
    "owner": """
        company brand provider sp merchant 所有者 企业 企业名称 公司 公司名称 商户 商户名称 主体 单位 单位名称
        所属企业
    """,
    "state": """
        status consent consentstate consentstatus consented optinstatus optin subscription subscriptionstatus
        subscribed smsstatus smsconsent smsconsentstatus smsoptin permission 状态 同意 同意状态 是否同意
        订阅状态 是否订阅 授权状态 是否授权 短信状态 狀態
    """,
    "event_time": """
        time date datetime timestamp eventdate consenttime consentdate consentedat optintime optindate optinat
        optedinat subscribedat statustime statusdate changedat updatedat updated lastchanged 时间 日期 同意时间
        同意日期 订阅时间 授权时间 状态时间 发生时间 操作时间 变更时间 更新时间 時間
    """,
    "expires_time": """
        expires expiry expiration expirydate expirationdate expiresat validuntil validto enddate 到期时间
        到期日期 失效时间 有效期 有效期至 截止时间
    """,
    "topic": """
        subject category 主题 类别 类型
    """,
    "source": """
        channel consentsource optinsource 来源 渠道 采集渠道 来源渠道
    """,
    "reference": """
        ref proof 凭证 凭证号 凭证编号 编号 参考号
    """,
    "text_version": """
        version wording 文案版本 版本 条款版本
    """,
    "evidence_sha256": """
        evidence sha256 证据 证据哈希 证据摘要
    """,
}
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {field: tuple(names.split()) for field, names in _COLUMNS.items()}
"""Field -> other names of its column."""

_STATES: Final = {
    "granted": """
        grant subscribed subscribe subscriber optin optedin active agreed consented accepted allowed confirmed
        given onay 同意 已同意 订阅 已订阅 授权 已授权 接受 已接受 允许
    """,
    "withdrawn": """
        unsubscribed unsubscribe optout optedout stop stopped revoked cancelled canceled withdraw inactive 退订
        已退订 撤回 已撤回 取消 已取消 取消订阅 已取消订阅 撤销 已撤销
    """,
    "refused": """
        refuse denied declined rejected blocked donotcontact donottext dnc blacklisted ret notconsented 拒绝
        已拒绝 拒收 不同意 未同意 黑名单
    """,
}

STATES: Final[Mapping[str, str]] = {name: kind for kind, names in _STATES.items() for name in (kind, *names.split())}
"""What a state may be called -> what it means."""

YES: Final = frozenset({"yes", "y", "true", "1", "是", "对"})
NO: Final = frozenset({"no", "n", "false", "0", "否"})

ASKS_FOR_CONSENT: Final = frozenset({
    *("consent", "consented", "optin", "permission", "smsconsent", "smsoptin", "subscribed"),
    *("同意", "是否同意", "是否授权", "是否订阅"),
})  # fmt: skip
"""Columns of which yes means granted and no refused; elsewhere ``--states`` says what they mean."""


def plain(name: str) -> str:
    """A name without case, width, blanks and marks."""
    if not name.isascii():
        name = unicodedata.normalize("NFKC", name)
    return "".join(character for character in name.casefold() if character.isalnum())
