"""`hiersynth study`: make, read, check, close and evaluate a blinded reader study."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from HierSynthLib.commands.options import Debug, Json
from HierSynthLib.commands.results import print_result, require_free
from HierSynthLib.commands.terminal import Display
from HierSynthLib.errors import HierSynthError, InputError

if TYPE_CHECKING:
    from HierSynthLib.reader_study.form import Item
    from HierSynthLib.reader_study.record.session import ReadingSession

study = typer.Typer(no_args_is_help=True, help="Blinded reader studies: make, read, check, close and evaluate them.")

Folder = Annotated[Path, typer.Argument(metavar="STUDY", help="Folder of the study.")]
Reader = Annotated[str, typer.Option(metavar="CODE", help="Code of the reader, such as R1.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; it is logged.")]
KeyFile = Annotated[Path, typer.Option("--key", metavar="FILE", help="Key of the study.")]
AcceptDamaged = Annotated[
    str, typer.Option(metavar="REASON", help="Go on although the record is not whole; the report says so.")
]


@study.command("create")
def create_command(
    cases: Annotated[list[Path], typer.Argument(metavar="CASE…", help="Case folders, or folders of case folders.")],
    protocol: Annotated[Path, typer.Option(metavar="FILE", help="Protocol, YAML or JSON.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the study.")],
    form: Annotated[Path | None, typer.Option(metavar="FILE", help="Form, YAML or JSON. [the default form]")] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="New file of the key. [DIR-key.json beside it]")
    ] = None,
    truth: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="Truth: columns case,grade …")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make the folder of a study from cases, a protocol and a form; the key is written beside it."""
    from HierSynthLib.reader_study.from_files import StudyFiles, create_from_files

    require_free(out)
    files = StudyFiles(cases, protocol, out, form, key, truth)
    with Display("study") as display:
        made, number = create_from_files(files, display)
    numbers = {reader: len(made.slots(reader)) for reader in made.readers}
    print_result(
        {"study": str(out), "key": str(files.key_file), "cases": number, "presentations": numbers},
        [
            f"study  {out}",
            f"key    {files.key_file}",
            f"{number} cases (training included), {len(numbers)} readers, {max(numbers.values())} presentations each.",
            "Give readers the study, never the key: it says which map is which.",
        ],
        json=json,
    )


@study.command("next")
def next_command(
    folder: Folder,
    reader: Reader,
    override_washout: Annotated[
        str, typer.Option(metavar="REASON", help="Begin before the washout is over; the reason is logged.")
    ] = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what the reader reads next: its images, what is asked, and what is answered already."""
    from HierSynthLib.reader_study.record.session import sign_in

    with sign_in(folder, reader, override=override_washout, attach=True) as session:
        session.show()
        _print_place(session, json=json)


@study.command("answer")
def answer_command(
    folder: Folder,
    reader: Reader,
    item: Annotated[list[str] | None, typer.Option(metavar="ID=VALUE", help="An answer; repeat it.")] = None,
    submit: Annotated[bool, typer.Option("--submit", help="Lock the answers and go to the next one.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Answer items of what the reader reads now; the end of a session prints the reader's receipt."""
    from HierSynthLib.reader_study.record.session import sign_in

    given = [_assignment(each) for each in item or []]
    with sign_in(folder, reader, attach=True) as session:
        for name, text in given:
            session.answer(name, _value(session.study.form.item(name), text))
        finished = submit and session.submit() is None
        _print_place(session, json=json, receipt=session.sign_out() if finished else "")


@study.command("amend")
def amend_command(
    folder: Folder,
    reader: Reader,
    item: Annotated[str, typer.Option(metavar="ID=VALUE", help="The new answer.")],
    reason: Reason,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Change an answer of what the reader submitted last, also at the end of a session; the old one stays."""
    from HierSynthLib.reader_study.administration import last_session
    from HierSynthLib.reader_study.record.session import sign_in

    name, text = _assignment(item)
    with sign_in(folder, reader, session=last_session(folder, reader), attach=True) as session:
        slot = session.back()
        session.amend(name, _value(session.study.form.item(name), text), reason)
        finished = session.progress.done == session.progress.total
        receipt = session.sign_out() if finished else ""
    lines = [f"Position {slot.position}: {name} amended.", *([f"receipt {receipt}"] if receipt else [])]
    print_result({"position": slot.position, "item": name, "receipt": receipt}, lines, json=json)


@study.command("skip")
def skip_command(folder: Folder, reader: Reader, reason: Reason, json: Json = False, debug: Debug = False) -> None:
    """Put off what the reader reads now, for instance because its image is missing."""
    from HierSynthLib.reader_study.record.session import sign_in

    with sign_in(folder, reader, attach=True) as session:
        session.skip(reason)
        _print_place(session, json=json)


@study.command("sign-out")
def sign_out_command(folder: Folder, reader: Reader, json: Json = False, debug: Debug = False) -> None:
    """End a sitting and print the receipt, by which changes can be proved later."""
    from HierSynthLib.reader_study.record.session import sign_in

    with sign_in(folder, reader, attach=True) as session:
        receipt = session.sign_out()
    print_result({"receipt": receipt}, [f"receipt {receipt}"], json=json)


@study.command("rehearse")
def rehearse_command(folder: Folder, json: Json = False, debug: Debug = False) -> None:
    """Have a program read everything, with answers by chance, to try a study out; only with simulated readers."""
    from HierSynthLib.reader_study.rehearsal import rehearse

    with Display("rehearsal") as display:
        receipts = rehearse(folder, display)
    print_result({"receipts": receipts}, [f"{reader}  receipt {text}" for reader, text in receipts.items()], json=json)


@study.command("status")
def status_command(folder: Folder, json: Json = False, debug: Debug = False) -> None:
    """Show how far each reader is; no answers."""
    from HierSynthLib.reader_study.administration import study_status

    status = study_status(folder)
    rows = [
        f"{each['reader']:<12}  {each['done']:>5} of {each['total']:<5}  "
        + (f"session {each['session']}" if each["session"] else "complete")
        + (f", {each['skipped']} put off" if each["skipped"] else "")
        for each in status["readers"]
    ]
    state = "closed" if status["closed"] else "open"
    print_result(status, [f"{status['title']} ({status['study']}): {state}", *rows], json=json)


@study.command("verify")
def verify_command(
    folder: Folder,
    receipt: Annotated[
        list[str] | None, typer.Option(metavar="N:HASH", help="Receipt of a reader; give all that were kept.")
    ] = None,
    images: Annotated[bool, typer.Option("--images/--no-images", help="Read every image, too.")] = True,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check that nothing in the record was changed, removed, inserted or moved."""
    from HierSynthLib.reader_study.verify import verify_record

    with Display("verify") as display:
        found = verify_record(folder, receipt or [], images=images, reporter=display)
    result = {
        "whole": found.whole,
        "problems": found.problems,
        "notes": found.notes,
        "events": found.events,
        "answers": found.answers,
        "receipt": found.receipt,
    }
    verdict = "The record is whole" if found.whole else "THE RECORD IS NOT WHOLE"
    print_result(
        result,
        [
            *found.problems,
            *found.notes,
            f"{verdict}: {found.events} events, {found.answers} answers.",
            f"receipt {found.receipt}",
        ],
        json=json,
    )
    if not found.whole:
        raise HierSynthError(f"{len(found.problems)} problems in the record of {folder}.", "Restore a copy.")


@study.command("merge")
def merge_command(
    folder: Folder,
    others: Annotated[list[Path], typer.Argument(metavar="OTHER…", help="Other copies of the same study.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the merged study.")],
    take: Annotated[
        list[str] | None, typer.Option(metavar="CODE=NUMBER", help="Where a reader differs: take from the Nth folder.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Put together what readers did on several machines; refused with a list where they contradict each other."""
    from HierSynthLib.reader_study.merge import merge_studies

    require_free(out)
    chosen = {reader: _number(text) for reader, text in map(_assignment, take or [])}
    report = merge_studies([folder, *others], out, chosen)
    lines = [f"{reader}: {events} events, {source}" for reader, (events, source) in report.items()]
    print_result(
        {"study": str(out), "readers": {r: e for r, (e, _) in report.items()}}, [f"study  {out}", *lines], json=json
    )


@study.command("close")
def close_command(
    folder: Folder,
    incomplete: Annotated[str, typer.Option(metavar="REASON", help="Close it although something is not read.")] = "",
    accept_damaged: AcceptDamaged = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Verify a study and end it: nothing can be added afterwards, and it can be unblinded."""
    from HierSynthLib.reader_study.administration import close_study

    with Display("close") as display:
        receipt = close_study(folder, incomplete=incomplete, accept_damaged=accept_damaged, reporter=display)
    state = f"{folder} is closed, although it is not whole." if accept_damaged else f"{folder} is whole and closed."
    print_result({"closed": True, "receipt": receipt}, [state, f"receipt {receipt}"], json=json)


@study.command("recover")
def recover_command(folder: Folder, reason: Reason, json: Json = False, debug: Debug = False) -> None:
    """Go on with a record whose end was lost with the power; the loss is noted in it."""
    from HierSynthLib.reader_study.administration import recover_record

    told = recover_record(folder, reason)
    print_result({"recovered": told}, [told], json=json)


@study.command("analyse")
def analyse_command(
    folder: Folder,
    key: KeyFile,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for report, table and figures.")],
    accept_damaged: AcceptDamaged = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Unblind a closed study and write the report."""
    from HierSynthLib.reader_study.analysis.run import analyse_study

    require_free(out)
    with Display("analysis") as display:
        result = analyse_study(folder, key, out, display, accept_damaged=accept_damaged)
    print_result(
        result,
        [*result["sentences"], "", f"report   {result['report']}", f"numbers  {result['json']}", *result["statements"]],
        json=json,
    )


@study.command("methods")
def methods_command(
    folder: Folder,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Key, for the arms and the number of cases.")] = None,
    debug: Debug = False,
) -> None:
    """Print a paragraph for the methods section of a paper."""
    from HierSynthLib.reader_study.methods import methods_of

    print(methods_of(folder, key))


@study.command("export")
def export_command(
    folder: Folder,
    key: KeyFile,
    out: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the files.")],
    formats: Annotated[
        str, typer.Option("--formats", metavar="long,imrmc,…", help="Which ones.")
    ] = "long,imrmc,mrmcaov,redcap",
    accept_damaged: AcceptDamaged = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Unblind a closed study and write its answers for other programs."""
    from HierSynthLib.reader_study.exports import export_study

    require_free(out)
    with Display("export") as display:
        chosen = [name.strip() for name in formats.split(",") if name.strip()]
        files = export_study(folder, key, out, chosen, display, accept_damaged=accept_damaged)
    print_result({"files": [str(path) for path in files]}, [str(path) for path in files], json=json)


def _print_place(session: ReadingSession, *, json: bool, receipt: str = "") -> None:
    """Print where the reader is; nothing in it tells an arm."""
    slot, progress = session.slot, session.progress
    place: dict[str, Any] = {"reader": session.reader, "progress": progress._asdict(), "finished": slot is None}
    head = f"{session.reader}, session {progress.session}: {progress.done} of {progress.total} done"
    if slot is None:
        print_result(place | {"receipt": receipt}, [head, "The session is finished.", f"receipt {receipt}"], json=json)
        return
    shown = session.study.files(slot.presentation)
    answers = session.answers()
    place |= {
        "position": slot.position,
        "mode": slot.presentation.mode,
        "training": slot.training,
        "maps": [str(path) for path in shown[: len(slot.presentation.images)]],
        "sources": dict(zip(slot.presentation.sources, map(str, shown[len(slot.presentation.images) :]), strict=True)),
        "labels": list(slot.presentation.labels),
        "items": [item.as_json() for item in session.items],
        "answers": answers,
    }
    print_result(place, [head, *_place_lines(place, session.items, answers)], json=json)


def _place_lines(place: Mapping[str, Any], items: tuple[Item, ...], answers: Mapping[str, Any]) -> list[str]:
    practice = ", for training" if place["training"] else ""
    names = ["left", "right"] if len(place["maps"]) == 2 else ["map"]
    files = [*zip(names, place["maps"], strict=True), *place["sources"].items()]
    return [
        f"position {place['position']}, {place['mode'].replace('_', ' ')}{practice}",
        *(f"  {name:<6} {path}" for name, path in files),
        *(_item_line(item, answers) for item in items),
    ]


def _item_line(item: Item, answers: Mapping[str, Any]) -> str:
    options = ", ".join(f"{option.value} {option.label}".strip() for option in item.options)
    state = json_format.dumps(answers[item.id], ensure_ascii=False) if item.id in answers else "open" * item.required
    return f"  {item.id}: {item.text}" + (f" [{options}]" if options else "") + (f" = {state}" if state else "")


def _assignment(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise InputError(f"{text!r} is not NAME=VALUE.", "Write for example --item quality=4.")
    return name.strip(), value


def _value(item: Item, text: str) -> Any:
    """The value that a text on the command line means for an item."""
    if item.kind in ("choice", "text"):
        return text
    try:
        return json_format.loads(text)
    except ValueError:
        return text


def _number(text: str) -> int:
    if not text.strip().isdigit():
        raise InputError(f"{text!r} is no number of a folder.", "Count the folders from 1, as they are given.")
    return int(text)
