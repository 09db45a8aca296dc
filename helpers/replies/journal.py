"""NAME.part: a recording that grows by one step at a time, and from which a run goes on."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from .plain_yaml import dump
from .recording import (
    Answered,
    Exchange,
    Recording,
    RecordingError,
    Step,
    load,
    parsed,
    plain,
    save,
)

DONE = "# done\n"  # follows each whole step


def is_cancelled(step: Step) -> bool:
    cancelled = isinstance(step, Exchange) and not step.over
    return cancelled or (isinstance(step, Answered) and step.ended == "cancelled")


def write_part(part: Path, recording: Recording) -> None:
    header = {name: getattr(recording, name) for name in ("source", "about", "model")}
    parts = [dump(header) + "steps:\n", *(dump([plain(step)]) for step in recording.steps)]
    part.write_text(DONE.join([*parts, ""]), encoding="utf-8", newline="\n")


class Journal:
    """NAME.part: a recording that grows by one step at a time, whenever the process may die."""

    def __init__(self, folder: Path, name: str, source: str, about: str, model: str) -> None:
        """Begin it, or go on with it. RecordingError: NAME.yaml was written by hand; it is odd."""
        self.target, self.part = folder / f"{name}.yaml", folder / f"{name}.part"
        if self.target.exists() and load(self.target).source == "authored":
            raise RecordingError(
                f"{self.target.name} was written by hand, and a recording would replace it: "
                "set COOKBOOK_RECORDINGS to a folder of your own"
            )
        folder.mkdir(parents=True, exist_ok=True)
        if not self.part.exists():
            write_part(self.part, Recording(self.part, source, about, model, []))
        text = self.part.read_bytes().decode(errors="replace")
        whole = text[: text.rfind("\n" + DONE) + 1]  # what follows is half a step
        empty = "\n- " not in whole
        self.recording = parsed(
            self.part, whole.replace("\nsteps:", "\nsteps: []") if empty else whole
        )
        self._drop_cancelled()
        self._file = os.open(self.part, os.O_WRONLY | os.O_APPEND)

    def _drop_cancelled(self) -> None:
        """Forget the calls that the end itself cancelled: they come again."""
        steps = self.recording.steps
        while steps and is_cancelled(steps[-1]):
            steps.pop()
        write_part(self.part, self.recording)

    def add(self, step: Step) -> None:
        os.write(self._file, (dump([plain(step)]) + DONE).encode())

    def close(self, steps: list[Step], models: set[str], badly: bool) -> Path:
        """Put the recording in place, once it reads back as it was written. RecordingError: not."""
        os.close(self._file)
        old, new = self.recording, self.part.with_suffix(".new")
        about = old.about + "".join(f"; answered by {model}" for model in sorted(models))
        save(Recording(new, old.source, about, old.model, steps))
        for number, (read, written) in enumerate(zip(load(new).steps, steps, strict=True), 1):
            if read != written:
                raise RecordingError(f"{new.name}: step {number} reads back as another: {read}")
        target = self.target.with_stem(f"{self.target.stem}-ended-badly") if badly else self.target
        os.replace(new, target)
        self.part.unlink()
        return target


def fork(path: Path, step: int, name: str, **change: Any) -> None:
    """Begin NAME.part with what a recording has before this step, and the step with this change.

    Steps count from 1; the change is of its fields: `answer=[False, "call first"]` of an answer
    from outside, `reply=[{"text": "No."}]` of an exchange. Without one, the run goes on from there.
    ValueError: there is no such step or field, or NAME.part is there already.
    """
    recording = load(path)
    if not 1 <= step <= len(recording.steps):
        raise ValueError(f"{path.name} has the steps 1 to {len(recording.steps)}, and no {step}")
    part = path.with_name(f"{name}.part")
    if part.exists():
        raise ValueError(f"{part.name} is there already: go on with it, or delete it")
    old: Any = recording.steps[step - 1]
    if odd := [field for field in change if not hasattr(old, field)]:
        raise ValueError(f"step {step} of {path.name} has no {odd[0]}: it is {plain(old)}")
    changed = [replace(old, **change)] if change else []
    about = f"{recording.about}; forked from step {step} of {path.name}"
    write_part(
        part, replace(recording, about=about, steps=[*recording.steps[: step - 1], *changed])
    )
