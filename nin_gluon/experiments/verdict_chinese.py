"""The verdict on a published log in Chinese; see `nin_gluon.experiments.verdict`."""

from typing import Dict, List, Sequence

from nin_gluon.experiments.atlas.groups import Group
from nin_gluon.experiments.atlas.published_logs import RECIPES
from nin_gluon.experiments.verdict import FEWEST, LEVEL, WHOLE, Values, Verdict, fewest_above

__all__ = ["ChineseVerdict", "chinese_row"]

HOW_RARE: Dict[str, str] = {
    "a rare low": "一支少见的坏签", "a low": "一支偏低的签", "a common": "一支寻常的签",
    "a high": "一支偏高的签", "a rare high": "一支少见的好签"}

ROWS = {"published runs": "公开发布的运行", "our runs": "本项目的运行"}


class ChineseVerdict:
    """The words of a `Verdict` in Chinese; the figures are the same."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def answer(self) -> str:
        """The answer in one sentence."""
        verdict = self.verdict
        end = (f"另外 {len(verdict.runs)} 次运行中有 {verdict.as_extreme(verdict.runs)} 次的结果"
               f"与它{self.so_far()}")
        if verdict.belongs is False:
            return f"不能：书上的日志过于反常，不像是这个配方的一次运行；{end}。"
        draw = f"这个配方好比抽签，书上的日志是{HOW_RARE[verdict.how_rare()]}；{end}"
        if verdict.belongs:
            return f"就这些运行来看，能：{draw}。"
        if verdict.ours:
            return f"或许能：{draw}；整份日志是否吻合，尚无定论。"
        return f"还没有试过，本项目还没有这个配方的运行。就公开的运行来看，{draw}。"

    def so_far(self) -> str:
        return "一样高或更高" if self.verdict.is_high else "一样低或更低"

    def sentences(self) -> List[str]:
        """What the answer rests on, a sentence each."""
        verdict = self.verdict
        value = f"{verdict.published[verdict.last]:.{verdict.edition.decimals['test_acc']}f}"
        count, total, low, high = verdict.odds()["whole"]
        ours = (f"，本项目的 {len(verdict.ours)} 次运行中"
                f"{how_many(verdict.as_extreme(verdict.ours))}" if verdict.ours else "")
        tests = []
        for name, runs in verdict.compared.items():
            far = verdict.as_far(runs)
            least = "" if far else f"{1 + len(runs)} 次运行得不到更小的 p。"
            tests.append(
                f"{1 + len(runs)} 次{'' if name == 'all' else '公开的'}运行中，看日志的 "
                f"{len(verdict.published)} 个数值平均离中间有多远，除书上这一次外，"
                f"{how_many(far)}同样远或更远（秩检验，p = {verdict.p(runs):.3f}）。{least}"
                + self.what_would_change_it(runs))
        unlike = verdict.unlike()
        if unlike:
            difference, p = unlike
            tests.append(
                "后一次检验把本项目的运行当作同类，但在第一个周期里它们并不同类：平均损失"
                f"{'低' if difference < 0 else '高'} {abs(difference):.2f}（置换检验，"
                f"p = {p:.4f}）。不算第一个周期，"
                f"p = {verdict.p(verdict.runs, verdict.later()):.3f}。"
                + (f"这样两次检验的 p 就都小于 {LEVEL}。" if verdict.later_decides() else ""))
        return [
            f"书上的日志最终测试准确率为 {value}；其他人公开的 {len(verdict.others)} 次运行中有 "
            f"{verdict.as_extreme(verdict.others)} 次{ours}与它{self.so_far()}。", *tests,
            f"抽签的胜算：全部 {total} 次运行中，{count} 次在 {verdict.edition.recipe.epochs} "
            f"个周期后高于 0.8（95% 置信区间：{low:.0%} 至 {high:.0%}）。"]

    def what_would_change_it(self, runs: Sequence[Values]) -> str:
        """How far p is from the level, in runs."""
        more = fewest_above(1 + len(runs)) - self.verdict.as_far(runs)
        if more > 0:
            return f"若其中再多 {more} 次同样远，p 就不小于 {LEVEL}。"
        if 1 + len(runs) < FEWEST:
            return f"运行这么少，p 不可能小于 {LEVEL}；至少需要 {FEWEST} 次。"
        return f"若其中少 {1 - more} 次同样远，p 就小于 {LEVEL}。"

    def explanation(self) -> List[str]:
        """What a reader of the odds has to know, a paragraph each; code in backticks."""
        found = [
            "为什么像抽签：每个类别的得分是一张特征图的平均值，特征图出自 ReLU。如果它对所有图像"
            "都是零，梯度也是零，这个类别自己就学不回来了。死掉 k 个类别的网络，准确率不可能超过 "
            "1 - k/10，也就是图中的虚线。第一个类别死了不算在内："
            "得分全为零的图像会被判为这一类。哪些类别会死，取决于初始权重、图像的顺序、丢弃法的掩码和舍入。准确率低并不证明有类别死了："
            "活着的类别也可能一件都认不出来。" + self.counted_words(),
            "其他的公开运行取自网上的笔记本，框架和配方相同，有些是书自己构建时的输出。重复的只算"
            "一次" + ("，中途断掉的以断掉时为准" if self.verdict.broken_off else "")
            + "；`python -m nin_gluon.atlas` 列出全部。它们不是随机样本，所以 p 和区间只供参考。",
            "秩检验按各次运行的数值平均离中间有多远来排序。它是双侧的：最好的运行与最差的同样远。"
            "如果书上的日志与其他运行同类，那么不论运行多少次，它排在每个位置的概率都相等。"
            + self.rule()]
        if self.verdict.ours and self.verdict.same_weights:
            found.append(
                "我们的运行与它们并不同类。书中代码不设随机种子，用 MXNet 运行时初始权重都"
                "一样；我们的每个种子各有自己的权重。公开的运行都在 GPU 上、用 float32；"
                "用 MXNet 1.2.1 时，图像的缩放方式也不同（双三次插值）。我们的运行："
                + "，".join(f"{runs} 次 {in_chinese_kind(kind)}"
                            for kind, runs in self.verdict.kinds.items())
                + "。同一个种子用两种方式训练，就算两次运行。")
        return found

    def rule(self) -> str:
        """What makes the answer a yes or a no, and what another test would say."""
        verdict = self.verdict
        ends = " 和 ".join(f"{verdict.p(runs, [verdict.last]):.2f}"
                          for runs in verdict.compared.values())
        chosen = f"选定这种检验时，书上的日志已为人所知。只看最后的测试准确率，p 为 {ends}。"
        if not verdict.ours:
            return chosen
        return (f"两次检验的 p 都不小于 {LEVEL}，答案就是“能”；都小于它，就是“不能”；否则，或者"
                f"公开的运行不到 {FEWEST} 次，就是“或许能”。{chosen}")

    def counted_words(self) -> str:
        """How many classes live in those of our runs that ended low; '' if none was counted."""
        low = self.verdict.low_and_living()
        if not low:
            return ""
        living = f"{low[0]} 至 {low[-1]}" if low[0] < low[-1] else f"{low[0]}"
        return (f"我们有 {len(self.verdict.living)} 次运行统计了活着的类别，其中 {len(low)} 次最终"
                f"不超过 {WHOLE}，活着的类别有 {living} 个。"
                + ("只凭死掉的类别解释不了这些结果。" if low[0] >= 9 else ""))

    def odds_rows(self) -> List[List[str]]:
        """The table of the odds with Chinese names."""
        return [[ROWS[name], runs, *in_chinese(cells)]
                for name, runs, *cells in self.verdict.odds_rows()]


def in_chinese_kind(kind: str) -> str:
    """'in float32 on cpu with PyTorch' in Chinese."""
    words = kind.split()  # in DTYPE on DEVICE ...
    return (f"{words[1]}（{words[3]}{'，双三次插值' * ('bicubic' in words)}"
            f"{'，PyTorch' * ('PyTorch' in words)}）")


def chinese_row(group: Group) -> List[str]:
    """The runs of one framework, recipe and number of epochs, and how they ended."""
    other = "" if group.recipe == "sgd-0.1" else f"，{RECIPES[group.recipe]}".replace(
        ", global max pooling", "，全局最大池化")
    return [f"{group.name}，{group.epochs} 个周期{other}", str(len(group.runs)),
            *in_chinese(group.cells())]


def in_chinese(cells: Sequence[str]) -> List[str]:
    """'13 (37% to 74%)' in Chinese."""
    return [cell.replace(" to ", " 至 ").replace(" (", "（").replace(")", "）") for cell in cells]


def how_many(runs: int) -> str:
    """'没有一次', '有 2 次'."""
    return f"有 {runs} 次" if runs else "没有一次"
