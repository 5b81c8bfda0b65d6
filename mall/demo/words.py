"""What the demo shop writes to its members: title and body, in Chinese and in English."""

WORDS: dict[str, tuple[str, str, str, str]] = {
    "welcome": (
        "欢迎加入",
        "{nickname}，你好！你已成为{tier_name}，每日签到、消费都能攒积分。",
        "Welcome",
        "Hello {nickname}, you are a {tier_name} now. Sign in daily and earn points on every purchase.",
    ),
    "thanks": (
        "谢谢光临",
        "本次在{store_name}消费{amount_yuan}元，获得{points}积分，现有{balance}积分。",
        "Thank you",
        "¥{amount_yuan} at {store_name} earned you {points} points. You have {balance} now.",
    ),
    "birthday": (
        "生日快乐",
        "{nickname}，生日快乐！{gift_name}已放入你的卡包。",
        "Happy birthday",
        "Happy birthday, {nickname}! Your gift is waiting: {gift_name}.",
    ),
    "tier_up": (
        "恭喜升级",
        "{nickname}，你已从{tier_before_name}升为{tier_name}，新权益即刻可用。",
        "Congratulations",
        "{nickname}, you rose from {tier_before_name} to {tier_name}. New benefits are yours at once.",
    ),
    "points_expiring": (
        "积分即将到期",
        "你有{points}积分将于{expires_on}到期，去积分商城看看吧。",
        "Points end soon",
        "{points} of your points end on {expires_on}. See what they buy in the mall.",
    ),
}
