"""The verdict on a published log in Chinese; see `nin_gluon.experiments.verdict`."""

from typing import Dict, List

from nin_gluon.experiments.verdict import FEWEST, LEVEL, Verdict

__all__ = ["ChineseVerdict"]

HOW_RARE: Dict[str, str] = {
    "a rare low": "一次少见的坏签", "a low": "一次偏低的签", "a common": "一次寻常的签",
    "a high": "一次偏高的签"}

ROWS = {"published runs": "公开发布的运行", "our seeds": "本项目的种子"}


class ChineseVerdict:
    """The words of a `Verdict` in Chinese; the figures are the same."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict

    def answer(self) -> str:
        """The answer in one sentence."""
        verdict, runs = self.verdict, len(self.verdict.runs)
        if verdict.p < LEVEL:
            return f"不能：与同一配方的另外 {runs} 次运行相比，书上的日志过于反常，不像是其中之一。"
        return (f"能。就另外 {runs} 次运行来看，这个配方好比抽签，书上的日志是其中"
                f"{HOW_RARE[verdict.how_rare()]}。")

    def sentences(self) -> List[str]:
        """What the answer rests on, a sentence each."""
        verdict = self.verdict
        value = f"{verdict.published[verdict.last]:.{verdict.edition.decimals['test_acc']}f}"
        count, total, low, high = verdict.odds()["whole"]
        runs = 1 + len(verdict.runs)
        return [
            f"书上的日志最终测试精度为 {value}；其他人公开的 {len(verdict.others)} 次运行中有 "
            f"{verdict.as_low(verdict.others)} 次、本项目的 {len(verdict.seeds)} 个种子中有 "
            f"{verdict.as_low(verdict.seeds)} 个不高于它。",
            f"就全部 {len(verdict.published)} 个数值而言，{runs} 次运行（含书上这一次）中有 "
            f"{verdict.as_far} 次同样远离中间（秩检验，p = {verdict.p:.2f}）。",
            self.what_would_change_it(),
            f"抽签的胜算：全部 {total} 次运行中，{count} 次在 {verdict.edition.recipe.epochs} "
            f"个周期后高于 0.8（95% 置信区间：{low:.0%} 至 {high:.0%}）。"]

    def what_would_change_it(self) -> str:
        """How far p is from the level, in runs."""
        as_far, allowed = self.verdict.as_far, self.verdict.allowed
        if as_far <= allowed:
            return f"若再有 {allowed + 1 - as_far} 次运行同样反常，p 就不小于 {LEVEL}。"
        if not allowed:
            return (f"只有 {1 + len(self.verdict.runs)} 次运行时，p 不可能小于 {LEVEL}；至少需要 "
                    f"{FEWEST} 次。")
        return f"若同样反常的运行不超过 {allowed} 次（含书上这一次），p 就小于 {LEVEL}。"

    def odds_rows(self) -> List[List[str]]:
        """The table of the odds with Chinese names."""
        return [[ROWS[name], runs, *(cell.replace(" to ", " 至 ") for cell in cells)]
                for name, runs, *cells in self.verdict.odds_rows()]
