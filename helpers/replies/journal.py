"""NAME.part: a recording that grows by one step at a time, and from which a run goes on."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

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
    put,
    save,
)

DONE = "# done\n"  # follows each whole step


def is_cancelled(step: Step) -> bool:
    cancelled = isinstance(step, Exchange) and not step.over
    return cancelled or (isinstance(step, Answered) and step.ended == "cancelled")


def text_of_part(recording: Recording, steps: list[Step]) -> str:
    """Return the text of a part: the header and the steps, each whole one with its mark."""
    header = {name: getattr(recording, name) for name in ("source", "about", "model")}
    parts = [dump(header) + "steps:\n", *(dump([plain(step)]) for step in steps)]
    return DONE.join([*parts, ""])


def lock(file: BinaryIO, name: str) -> None:
    """Keep a file from others until it is closed. RecordingError: another run has it."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordingError(f"another run is writing {name}: wait for its end") from None
    except (ImportError, AttributeError, OSError):
        return  # Windows, a browser tab and some network drives have no such locks


class Journal:
    """NAME.part: a recording that grows by one step at a time, whenever the process may die."""

    def __init__(self, folder: Path, name: str, source: str, about: str, model: str) -> None:
        """Begin it, or go on with it, and keep it from others.

        RecordingError: NAME.yaml was written by hand, the part is odd, or another run has it.
        """
        self.target, self.part = folder / f"{name}.yaml", folder / f"{name}.part"
        if self.target.exists() and load(self.target).source == "authored":
            raise RecordingError(
                f"{self.target.name} was written by hand, and a recording would replace it: "
                "set COOKBOOK_RECORDINGS to a folder of your own"
            )
        folder.mkdir(parents=True, exist_ok=True)
        self._file = self.part.open("a+b", buffering=0)
        try:
            lock(self._file, self.part.name)
            self.recording = self._go_on(Recording(self.part, source, about, model, []))
        except RecordingError:
            self.close()
            raise

    def _go_on(self, empty: Recording) -> Recording:
        """Cut off half a step, and the calls that the end itself cancelled: they come again."""
        mark = ("\n" + DONE).encode()
        self._file.seek(0)
        pieces = [piece + mark for piece in self._file.read().split(mark)[:-1]]
        if not pieces:
            pieces = [text_of_part(empty, []).encode()]
            self._file.truncate(0)
            self._file.write(pieces[0])
        text = b"".join(pieces).decode(errors="replace")
        recording = parsed(
            self.part, text if pieces[1:] else text.replace("\nsteps:", "\nsteps: []")
        )
        while recording.steps and is_cancelled(recording.steps[-1]):
            recording.steps.pop()
        self._file.truncate(sum(map(len, pieces[: 1 + len(recording.steps)])))
        return recording

    def close(self) -> None:
        """Let others write the part; what is in it stays."""
        self._file.close()

    def add(self, step: Step) -> None:
        self._file.write((dump([plain(step)]) + DONE).encode())

    def finish(self, steps: list[Step], models: set[str], badly: bool) -> Path:
        """Put the recording in place, once it reads back as it was written. RecordingError: not."""
        self.close()
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
    kept = [*recording.steps[: step - 1], *changed]
    about = f"{recording.about}; forked from step {step} of {path.name}"
    put(part, text_of_part(replace(recording, about=about), kept))
