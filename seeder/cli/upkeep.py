"""``seeder sweep``, ``seeder prune`` and ``seeder audit``: carry out a background duty now."""

from seeder.app import app
from seeder.cli.printing import console, counted, print_json, text
from seeder.equipment import equipment
from seeder.errors import ManifestError, MatviewBusy
from seeder.maintenance.audit import Audit, audit, refresh_wrong, trust_again
from seeder.maintenance.duties import AUDIT
from seeder.maintenance.prune import prune
from seeder.maintenance.sweep import sweep_and_requeue
from seeder.matviews.freshness.audit import Audited, Case, Verdict
from seeder.matviews.freshness.why import told
from seeder.seedings.planning import Selection


def sweep_now(*, as_json: bool) -> int:
    equipment().databases.verify()
    done = sweep_and_requeue(app, equipment())
    if as_json:
        print_json(done)
    else:
        console().print(f"{done['requeued']} runs queued again, {done['ended']} given up.")
    return 0


def prune_now(*, as_json: bool) -> int:
    equipment().databases.verify()
    done = prune(equipment())
    if as_json:
        print_json(done)
        return 0
    days = equipment().settings.history_days
    console().print(f"{done['deleted']} runs older than {days} days deleted.")
    for copy in done["copies"]:
        console().print(f"Dropped {copy}, which a run had left that died.")
    return 0


STYLES = {Verdict.EQUAL: "green", Verdict.BEHIND: "yellow", Verdict.WRONG: "red", Verdict.UNKNOWN: "yellow"}


def audit_now(agency: str | None, table: str | None, sample: int | None, *, as_json: bool) -> int:
    ready = equipment()
    ready.databases.verify()
    selection = Selection(agency_slug=agency, table_name=table)
    out = console()

    def tell(one: Audited) -> None:
        if not as_json:
            out.print(_verdict(one))

    most = sample or ready.settings.audit or AUDIT.batch
    try:
        done = audit(ready, selection, most, tell)
    except ManifestError as error:
        out = console(stderr=as_json)
        out.print(f"{text(table)} could not be compared: {text(str(error))}")
        return 1
    seeding = refresh_wrong(app, ready, done)
    if as_json:
        print_json(
            {
                "audited": [_as_json(one) for one in done.audited],
                "not_skipped": [_named(one) for one in done.distrusted],
                "seeding_id": seeding and seeding.seeding_id,
            }
        )
    else:
        _summary(done)
        if seeding:
            out.print(f"What is wrong is refreshed now, and what reads it: seeding {seeding.seeding_id}.")
    return 1 if {one.verdict for one in done.audited} & {Verdict.WRONG, Verdict.UNKNOWN} else 0


def trust_now(table: str, *, as_json: bool) -> int:
    equipment().databases.verify()
    try:
        lifted = trust_again(equipment(), table)
    except MatviewBusy as busy:
        console(stderr=True).print(
            f"{text(table)} is being refreshed by {text(str(busy.facts['holder']))}, so nothing was noted. "
            "Try again after it."
        )
        return 1
    except ManifestError as error:
        console(stderr=True).print(f"{text(table)}: {text(str(error))}")
        return 1
    if as_json:
        print_json({"table_name": table, "lifted": lifted})
    elif lifted:
        console().print(f"{text(table)} is skipped again when it is unchanged, from its next refresh on.")
    else:
        console().print(f"No audit has found {text(table)} wrong since its SQL changed; nothing to do.")
    return 0


def _verdict(one: Audited) -> str:
    name = f"{text(one.case.manifest.table_name)} (agency {text(one.case.manifest.agency_slug)})"
    style, found = STYLES[one.verdict], one.difference
    words = {
        Verdict.EQUAL: "holds what its query gives",
        Verdict.BEHIND: f"{found}; it would be refreshed: {text(one.reason)}",
        Verdict.WRONG: f"called unchanged, and it was not: {found}. It isn't skipped any more; "
        "`seeder audit --trust` ends that",
        Verdict.UNKNOWN: f"could not be compared: {text(one.reason)}",
    }[one.verdict]
    return f"[{style}]{one.verdict}[/] {name}: {words}"


def _summary(done: Audit) -> None:
    out = console()
    for one in done.distrusted:
        out.print(f"{text(one.manifest.table_name)} isn't skipped: {text(told(one.decision.why))}")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in done.counts.items() if count)
    out.print(f"{counted(len(done.audited), 'report')} compared{': ' if counts else ''}{counts}.")
    if not done.audited:
        out.print("None is called unchanged now: nothing would be skipped (docs/night.md).")


def _named(one: Case) -> dict[str, object]:
    manifest = one.manifest
    return {
        "table_name": manifest.table_name,
        "agency_slug": manifest.agency_slug,
        "manifest": manifest.identity,
        "why": told(one.decision.why),
    }


def _as_json(one: Audited) -> dict[str, object]:
    return {
        **_named(one.case),
        "verdict": one.verdict,
        "missing": one.difference.missing,
        "extra": one.difference.extra,
        "reason": one.reason,
    }
