"""What templates of messages refuse."""

from mall.errors.families import Refused


class TemplatePublished(Refused):
    code = "template_published"
    zh, en = (
        "该文案第 {version} 版已发布，不能修改，请新建草稿",
        "Version {version} of this template is published; draft a new one instead.",
    )


class TemplateUnready(Refused):
    code = "template_unready"
    zh, en = (
        "文案不能发布：{wrong}",
        "The template can't be published: {wrong_en}.",
    )
