"""Hard pairs: wishes from people against wishes from shops, Chinese and English, written for this project.

A wish is the text that must never be blocked, and a wish that carries an offer is an advertisement like any other. The
corpora hold plenty of the one and little of the other, so both are made here from sentences of our own: each
sentence once for every occasion. They are measured with, and no model learns from them.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from smsc_filter.samples import Sample

WISHES: Final = "wishes"
"""Name of their source."""


class Sentences(NamedTuple):
    """What one side of the pairs says; ``{}`` is the occasion."""

    lang: str
    label: str
    category: str
    said: tuple[str, ...]


OCCASIONS: Final = {
    "zh": (
        "新年", "春节", "元宵节", "端午节", "中秋节", "国庆节", "圣诞节", "生日", "母亲节", "元旦", "情人节", "教师节"
    ),
    "en": (
        "New Year", "Christmas", "Easter", "birthday", "Mother's Day", "Diwali", "Valentine's Day", "Thanksgiving",
        "Eid", "anniversary",
    ),
}  # fmt: skip

PAIRS: Final = (
    Sentences(
        "zh", "other", "greeting",
        (
            "提前祝你{}快乐，顺便问一下，上次说的饭什么时候吃",
            "爷爷奶奶，{}快乐！孙子给你们打电话没人接，是不是去打牌了",
            "{}快乐！新的日子里升职加薪，钱包鼓鼓，越来越年轻",
            "老板{}快乐，祝您店里客人不断，我明天准时上班",
            "{}快乐，愿你所有的期待都有回音，所有的努力都不打折",
            "亲，{}快乐呀，欠你的奶茶周末补上，买大杯的",
            "送你一份大礼包：健康一斤，快乐两斤，平安三斤，不收钱，{}快乐",
            "李老师{}快乐，孩子让我代问您好，祝您全家幸福",
            "{}将至，遥祝战友们身体康健，万事胜意，有机会再聚",
            "姐，{}快乐！给你转了点钱，去买件新衣服穿",
            "今天是{}，一个人在外地，有点想家，祝大家都好",
            "{}快乐！昨天抽奖抽到一个电饭锅，送你吧",
        ),
    ),
    Sentences(
        "zh", "commercial", "commercial",
        (
            "【蜜桃美妆】{}快乐，会员专享全场满200减80，线上下单包邮，回复TD退订",
            "{}到，好礼到！华灯影城双人票49元，另赠爆米花，祝您观影愉快",
            "恭祝新老客户{}快乐！本店家电直降，空调1999元起，送货上门，电话010-00000000",
            "【雾凇宽带】祝您{}快乐，百兆宽带办一年送三个月，预约上门免安装费，退订回N",
            "{}快乐！银杏牙科回馈老客户，洗牙39元，种牙优惠两千，名额三十个",
            "尊敬的业主，{}快乐！全屋定制套餐29800元，砸金蛋赢大奖，欢迎到店品鉴",
            "祝您{}快乐，理财产品年化5.2%，起购一万，新客加息，详询客户经理13600000000",
            "亲，{}快乐哦！宝贝童装清仓3折起，进店就送小玩偶，地址步行街8号",
            "{}特惠：三亚五日游2680元，含机票酒店，祝您旅途愉快，报名热线4000000000",
            "【极光手机】{}快乐，旧机换新最高补贴800，分期免息，点example.com/h领券",
        ),
    ),
    Sentences(
        "en", "other", "greeting",
        (
            "Have a wonderful {}, say hi to the kids from me",
            "Happy {} old friend, another year and you still owe me 20 quid haha",
            "Happy {} from all of us here, the shop is shut so finally some rest",
            "Merry wishes on {} to my favourite neighbour, thank you for feeding the cat",
            "Happy {} dear, I won a prize in the office raffle, guess who gets the chocolates",
            "Hope your {} is full of laughter. Call me when you are free, any time",
            "happy {} bro!! party at mine at 8, text me if u need a lift",
            "Wishing you a peaceful {}. We miss you here at work, get well soon",
        ),
    ),
    Sentences(
        "en", "commercial", "commercial",
        (
            "Happy {} from Tin Robot! Toys from 5, spend 30 and we gift wrap free. Shop example.com/t STOP to opt out",
            "Make {} special: spa day for two now 79, was 140. Limited places, call Willow Rooms 555-0102",
            "Season's best for {}! Extra 15% off sale items with code MERRY, online and in store until Monday",
            "Happy {} valued member, collect your voucher worth 10 when you spend 50 at Orchard Foods this weekend",
            "Happy {}! Cash prizes every hour, text PLAY to 80000 now, 1.50 per msg, 18+",
            "Happy {}! New phones from 15 a month and a free case. Visit your nearest Polar Mobile. Optout text NO",
        ),
    ),
)  # fmt: skip


def wishes() -> Iterator[Sample]:
    """The pairs: every sentence for every occasion."""
    for sentences in PAIRS:
        for sentence, occasion in product(sentences.said, OCCASIONS[sentences.lang]):
            text = sentence.replace("{}", occasion)
            yield Sample(text, sentences.label, sentences.category, sentences.lang, WISHES)
