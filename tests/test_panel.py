"""The panel of a steered team and the card of a question, without a browser."""

import asyncio
from typing import Any

from helpers.budget import Budget
from helpers.replies.scripted import Blocks
from helpers.run import Run
from helpers.views import Panel, card, table
from helpers.views.card import Card
from helpers.views.requests import call_text, calls
from helpers.views.team import Tally, rows

from .support import run, settle, tool
from .test_steering import NAMES, asks, called, case_of, quiet, recorded, started, team


def rude(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
    words = {"text": "<script>alert('Hi & bye')</script>"}
    return [words, {"sleep": {"seconds": 1}}] if turn < 3 else f"{agent} <b>is</b> done."


async def stop(one: Run) -> None:
    """Stop a run, and let its panel draw the end."""
    await one.stop()
    await settle(5)


def click(panel: Panel, name: str) -> None:
    panel.buttons[name].click()


def enabled(panel: Panel) -> set[str]:
    return {name for name, button in panel.buttons.items() if not button.disabled}


def shown(panel: Panel) -> str:
    return str(panel.state.value + panel.cards.value)


def test_the_text_of_a_panel_is_the_whole_table_of_its_moment() -> None:
    async def main() -> None:
        one = quiet(Budget(0.5))
        case = case_of(one)
        await one.start(recorded(case, "06_cust_12345"))
        await one.until(asks)
        text = Panel(one)._repr_mimebundle_()["text/plain"]
        assert text == table(one)
        assert "asks you (replies: authored, spent ~$0.01" in text
        assert " of $0.5000)" in text
        assert "Pay cust_12345 $49.99 of txn_8f3k2j1 back to Visa 4242?" in text
        assert max(map(len, text.splitlines())) <= 95
        for name in ("orchestrator", "researcher1", "drafter1", "compliance_reviewer1"):
            assert f"\n{name} " in text
        await stop(one)

    run(main())


def test_words_of_agents_are_shown_as_text_and_never_as_markup() -> None:
    async def main() -> None:
        one = Run()
        await one.start(team(rude))
        await one.until(called("helper2", "sleep"))
        panel = Panel(one)
        assert "&lt;script&gt;" in shown(panel)
        panel.of.value = "helper1"
        panel.call.value = next(k for label, k in calls(one, "helper1") if label.startswith("turn"))
        await stop(one)
        assert "<script>" not in shown(panel) + panel.text.value

    run(main())


def test_buttons_step_resume_pause_and_stop_and_only_what_makes_sense_can_be_pressed() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(recorded(case_of(one), "06_cust_12345"))
        panel = Panel(one)
        assert enabled(panel) == {"Step", "Resume", "Stop"}
        click(panel, "Step")
        await one.until(lambda event: event.kind == "model_reply")
        panel.draw()
        assert "1 turn," in shown(panel)
        click(panel, "Resume")
        await settle(3)
        assert enabled(panel) == {"Step", "Pause", "Stop"}
        await one.until(asks)
        one.resume()
        panel.draw()
        assert enabled(panel) == {"Pause", "Stop"}
        assert panel.asked.children[0].question is one.questions[0]
        click(panel, "Stop")
        await settle(50)
        assert one.over
        assert enabled(panel) == set()
        assert "stopped;" in shown(panel)
        assert panel.asked.children == ()

    run(main())


def test_an_answer_of_the_panel_reaches_who_asked() -> None:
    async def main() -> None:
        one = quiet()
        case = case_of(one)
        await one.start(recorded(case, "06_cust_12345"))
        await one.until(asks)
        ask = Panel(one).asked.children[0]
        ask.reason.value = "two charges"
        ask.children[1].children[1].click()
        await settle(3)
        await one.result()
        await settle(5)
        assert len(case.refunds()) == 1
        answers = [e.data for e in one.hub.log.events if e.kind == "answer"]
        assert answers == [{"choice": "Approve", "text": "two charges"}]

    run(main())


def test_a_click_answers_the_question_that_was_shown_and_no_other() -> None:
    async def main() -> None:
        one = quiet()

        async def may_i(_: Any) -> str:
            return (await one.ask("May I?")).choice

        def script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
            wait: Blocks = [{"wait_for_message": {}}]
            return wait if agent == "lead" or turn > 1 else [{"ask_human": {}}]

        await one.start(team(script, tool("ask_human", may_i)))
        await one.until(asks)
        one.resume()
        await settle(100)
        ask, first = Panel(one).asked.children[0], one.questions[0]
        first.answer("Deny")
        ask.say("Approve", "")
        await settle(20)
        assert len(one.questions) == 1
        assert not one.questions[0].reply.done()
        await stop(one)

    run(main())


def test_an_agent_that_ends_leaves_nobody_chosen_in_its_place() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team())
        panel = Panel(one)
        assert panel.who.value is None
        panel.who.value = "helper2"
        await one.kill("helper2")
        panel.draw()
        assert (panel.who.value, list(panel.who.options)) == (None, ["lead", "helper1"])
        await stop(one)

    run(main())


def test_telling_finishing_and_killing_are_for_the_living_agent_that_is_chosen() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team())
        panel = Panel(one)
        assert list(panel.who.options) == list(NAMES)
        speak = panel.children[4].children
        panel.who.value = "helper1"
        for verb, words in ((2, "Hello."), (3, "enough")):
            panel.words.value = words
            speak[verb].click()
            await settle(3)
            assert panel.fate.value == "to helper1: delivered"
            assert panel.words.value == ""
        assert set(one.finishing) == {"helper1"}
        panel.who.value = "helper2"
        speak[4].click()
        await one.until(lambda event: event.kind == "agent_ended")
        await one.rest()
        panel.draw()
        assert list(panel.who.options) == ["lead", "helper1"]
        assert next(m.content for m, _ in one.letters()) == "Hello."
        await stop(one)

    run(main())


def test_a_request_is_shown_as_it_was_sent_though_its_conversation_has_grown() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(recorded(case_of(one), "07_cust_12345.denied"))
        await one.until(started("drafter1"))
        one.tell("drafter1", "Keep it under 40 words.")
        await one.step()
        await one.step()
        found = dict(calls(one, "drafter1"))
        first, second = (call_text(one, found[f"turn {n}: the request"]) for n in (1, 2))
        assert "assistant" not in first
        assert "Keep it under 40 words." not in first
        assert "calls Read({'path': 'templates/duplicate_refund.md'})" in second
        assert "Keep it under 40 words." in second
        letter = next(key for label, key in found.items() if "human → drafter1" in label)
        assert call_text(one, letter) == "human → drafter1\n\nKeep it under 40 words."
        read = next(key for label, key in found.items() if label.endswith(": Read"))
        assert call_text(one, read).startswith("Read({'path': 'templates/duplicate_refund.md'})")
        await stop(one)

    run(main())


def test_what_was_spent_is_added_up_as_the_log_grows_and_only_once() -> None:
    async def main() -> None:
        one, tally = quiet(), Tally()
        await one.start(recorded(case_of(one), "06_cust_12345"))
        for _ in range(3):
            await one.step()
            assert rows(one, tally) == rows(one)
        await stop(one)

    run(main())


def test_what_has_ended_a_run_is_said_in_the_panel() -> None:
    async def work(run: Run) -> None:
        run.connect(one.hub.clock)
        raise LookupError("no such customer")

    async def main() -> None:
        try:
            await one.start(work)
        except LookupError:
            assert "failed: no such customer" in table(one)
            assert "failed: no such customer;" in Panel(one).state.value

    one = quiet()
    run(main())


def test_a_card_gives_a_future_of_what_is_clicked_and_takes_one_click() -> None:
    async def main() -> None:
        said: list[tuple[str, str]] = []
        one = Card("Pay <b>$1</b>?", ("Yes", "No"), lambda *words: said.append(words), "why not")
        assert "Pay &lt;b&gt;$1&lt;/b&gt;?" in one.children[0].value
        _, yes, no = one.children[1].children
        yes.click()
        await settle(3)
        assert (said, yes.disabled, no.disabled) == ([("Yes", "why not")], True, True)
        answer = card("Pay?", reason="call first")
        assert isinstance(answer, asyncio.Future)
        assert not answer.done()

    run(main())


def test_an_idle_panel_is_not_drawn_again() -> None:
    async def main() -> None:
        one = quiet()
        await one.start(team(tool_script, tool("look", look)))
        panel = Panel(one)
        panel.cards.value = "as it was"
        panel.draw()
        assert panel.cards.value == "as it was"
        await one.step()
        panel.draw()
        assert panel.cards.value != "as it was"
        await one.stop()

    async def look(_: Any) -> str:
        return "nothing"

    def tool_script(agent: str, turn: int, body: dict[str, Any]) -> str | Blocks:
        return [{"look": {}}] if turn == 1 else "Done."

    run(main())
