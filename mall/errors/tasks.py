"""What is refused of tasks and reviews. Each says the rule, the numbers and the next step."""

from mall.errors.families import Refused


class TaskUnfinished(Refused):
    code = "task_unfinished"
    zh = "任务还未完成：{progress}/{target}，还差 {short_by}，完成后再来领取"
    en = "Not finished yet: {progress} of {target}, {short_by} to go; come back when it is done."


class TaskClaimed(Refused):
    code = "task_claimed"
    zh = "本期奖励已于 {claimed_at} 领取，每期一次"
    en = "Claimed at {claimed_at} already; a task pays once in each of its periods."


class TaskMissed(Refused):
    code = "task_missed"
    zh = "这一期已于 {ended_at} 结束，奖励只能在当期领取，请参加下一期或其他任务"
    en = "This period ended at {ended_at}; a task pays in its own period only. Try the next one."


class TaskGiftGone(Refused):
    code = "task_gift_gone"
    zh = "奖励礼品暂时发完，完成记录已保留，请稍后再来领取"
    en = "The gift of this task is out of stock; your progress is kept, please claim it later."


class StepChanged(Refused):
    code = "task_step_changed"
    zh = "步骤 {step} 以前计的是 {counts}，进度不能混用，请为新步骤另取编号"
    en = "Step {step} used to count {counts}; give what counts something else a code of its own."


class PeriodFixed(Refused):
    code = "task_period_fixed"
    zh = "任务 {task} 的周期是 {period}，发布后不能更改，请新建任务"
    en = "Task {task} is {period} for good; another period is another task."


class TaskNotInForce(Refused):
    code = "task_not_in_force"
    zh = "任务 {task} 未在进行中，无需结束"
    en = "Task {task} is not running, so there is nothing to end."


class LineUnknown(Refused):
    code = "review_line_unknown"
    zh = "小票只有 {lines} 行商品，请选择其中一行评价"
    en = "The receipt has {lines} lines; please review one of them."


class ReviewTooShort(Refused):
    code = "review_too_short"
    zh = "评价至少 {min_chars} 个字，还差 {short_by} 个字"
    en = "A review has {min_chars} characters or more; {short_by} are missing."


class ReviewKnown(Refused):
    code = "review_known"
    zh = "这一行商品已评价过，每行一次"
    en = "This line has been reviewed already; each line once."


class ReviewDecided(Refused):
    code = "review_decided"
    zh, en = "该评价已审核", "This review has been decided already."
