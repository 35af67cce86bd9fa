"""Run a prepared job: job, pool, ledger, listener and output put together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

from batchtwin import safe_open
from batchtwin.engine.backends.base import Backend, Pool, PoolError
from batchtwin.engine.cause import first_cause, why_missing
from batchtwin.engine.context import job_context
from batchtwin.engine.job import Job, Rules, Status, Submit, next_step
from batchtwin.engine.ledger import Entry, Ledger
from batchtwin.engine.listener import Listener, redacted
from batchtwin.engine.logs import Logs
from batchtwin.engine.output.build_manifest import write_manifest
from batchtwin.engine.output.failures import write_failures
from batchtwin.engine.output.folder import failpoint
from batchtwin.engine.output.result import JobResult
from batchtwin.engine.output.upload import publish, publish_report, result_location
from batchtwin.engine.prepare import Prepared
from batchtwin.engine.progress import Progress
from batchtwin.engine.report.facts import end_of, note_about, prepare_report
from batchtwin.engine.tracking.deliver import OnLogged, at_end
from batchtwin.engine.tracking.follow import Follower
from batchtwin.engine.tracking.logged import LogReader
from batchtwin.errors import OutputError
from batchtwin.inputs.changes import InputChange, InputMonitor
from batchtwin.inputs.location import redact
from batchtwin.interrupts import Interrupts, Signals, of_a_command
from batchtwin.redaction import hide, learn
from batchtwin_node.codec import value_object
from batchtwin_node.protocol import Failure, Outcome, Ready

TICK_SECONDS = 0.2


class WholeFilesError(Exception):
    """Files that were to be scored in parts cannot be; the text says why. What was committed cannot be used."""


@value_object
class RunContext:
    """What a job runs with. `on_logged` gets what the script logged with MLflow."""

    prepared: Prepared
    ledger: Ledger
    progress: Progress
    backend: Backend
    on_logged: OnLogged = at_end
    interrupts: Interrupts = of_a_command


class Run:
    """One run of a job, with what it needs open. An earlier run may have ended a part of `job`."""

    def __init__(self, context: RunContext, job: Job, signals: Signals, follower: Follower) -> None:
        self._context = context
        self._follower = follower
        self._prepared = prepared = context.prepared
        self._ledger = ledger = context.ledger
        self._job = job
        self._signals = signals
        self._began = time.monotonic()
        self._warm_up = Thread(target=prepare_report, daemon=True)
        self._number = int(ledger.fact("runs") or 0) + 1
        # Strict: each run fails by the changes that it sees itself, even if an earlier one saw them too.
        self._watch = InputMonitor(prepared.hashes, () if prepared.request.strict_inputs else ledger.changes())

    def __call__(self) -> JobResult:
        """Run to the end, and write the results.

        Raises:
            OutputError: the output folder cannot be made.
            WholeFilesError: it has to begin again, without parts of files.
        """
        prepared, job = self._prepared, self._job
        self._warm_up.start()  # the controller is idle while workers start
        self._ledger.state("runs", str(self._number))
        learn(prepared.deployment.settings.environment_variables)
        note_about(self._ledger, prepared)
        prepared.output.make()
        self._follower.begin(prepared.output, self._number)
        with closing(Logs(prepared.output.logs)) as logs:
            listener = Listener(prepared.plan, logs, self._context.progress)
            scheduled = f"Scheduled {len(job.items)} mini batches with {sum(job.items)} items"
            logs.progress(f"Scheduling finished. {scheduled} in {time.monotonic() - self._began:.3f} seconds.")
            listener.happened_before(self._ledger.failures())
            listener.measure(job)
            listener.prepared(prepared)
            context = job_context(prepared, self._number, self._ledger.fact("key") or prepared.plan.fingerprint)
            pool = self._context.backend.pool(context, logs, listener.note)
            caught = self._signals.collect()
            with closing(self._context.progress), closing(pool):
                try:
                    self._drive(pool, listener, caught)
                except KeyboardInterrupt:
                    job.cancel()
                except OutputError as error:
                    job.fail(str(error))
                except PoolError as error:
                    job.fail(f"{error}; {self._prepared.output.advice}")
                except OSError as error:
                    job.fail(self._refused(error))
            for folder in (prepared.output.scratch, prepared.output.models):
                safe_open.remove(folder, prepared.output.root, ignore_errors=True)
            if job.fatal is not None and job.fatal.kind == "not_in_parts":
                raise WholeFilesError(job.fatal.message)
            self._signals.close()
            return self._finish(listener, logs)

    def _drive(self, pool: Pool, listener: Listener, caught: list[int]) -> None:
        """Pass events to the job, commit them, and submit the job's tries to the pool, until the job has ended."""
        mini_batches = self._prepared.plan.mini_batches
        if caught:  # as an earlier run ended
            self._job.cancel()
        # The largest first: the last one then ends early.
        self._apply(pool, sorted(self._job.start(), key=lambda command: -mini_batches[command.mini_batch].weight))
        while self._job.status is Status.RUNNING:
            events = redacted(pool.events(TICK_SECONDS))
            for ready in (event for event in events if isinstance(event, Ready)):
                self._job.on(ready)
            happened = [event for event in events if not isinstance(event, Ready)]
            if happened:
                failpoint("events taken")
                entries = list(self._take_all(happened, pool, listener))
                failpoint("before commit")
                self._ledger.add(entries)
                failpoint("committed")
            if caught:
                self._job.cancel()
            listener.tick(self._job)

    def _take_all(self, events: Sequence[Outcome | Failure], pool: Pool, listener: Listener) -> Iterator[Entry]:
        """Take events up to the end of the job: later ones are in no count, log or ledger."""
        for event in events:
            if self._job.status is not Status.RUNNING:
                return
            yield from self._take(event, pool, listener)

    def _take(self, event: Outcome | Failure, pool: Pool, listener: Listener) -> list[Entry]:
        listener.happened(event)
        if isinstance(event, Outcome) and self._has_changed(event, listener):
            return []  # not committed: a resumed job runs the mini-batch again, with the input as it was
        before = self._job.processed
        self._apply(pool, self._job.on(event))
        ended = self._job.processed > before
        if isinstance(event, Failure) and (ended or event is self._job.fatal) and self._has_changed(event, listener):
            ended = False
        return [Entry(event, ended)]

    def _has_changed(self, event: Outcome | Failure, listener: Listener) -> bool:
        """Look at the inputs of a mini-batch again; return whether a change fails the job."""
        if event.mini_batch is None or self._prepared.inputs.is_remote:
            return False
        files = self._prepared.plan.mini_batches[event.mini_batch].files
        return self._tell_changes(self._watch.look(files, event.started), listener)

    def _tell_changes(self, changes: list[InputChange], listener: Listener) -> bool:
        """Warn of inputs that have changed, and record them; return whether that fails the job."""
        if not changes:
            return False
        self._ledger.add_changes(changes)
        for change in changes:
            listener.changed(change)
        if not self._prepared.request.strict_inputs:
            return False
        if self._job.status is not Status.FAILED:
            text = f"{redact(changes[0].text)}; --strict-inputs: put it back as it was and resume, or score again"
            self._job.fail(text)
        return True

    def _apply(self, pool: Pool, commands: list[Submit]) -> None:
        for command in commands:
            pool.submit(self._prepared.plan.mini_batches[command.mini_batch], command.attempt)

    def _finish(self, listener: Listener, logs: Logs) -> JobResult:
        job, prepared, output = self._job, self._prepared, self._prepared.output
        if job.status is Status.COMPLETED and prepared.inputs.is_remote:
            self._look_at_store(listener)
        listener.row_counts(job)
        any_failed = self._complete(logs)
        in_full, cause, recalled = self._causes(listener)
        if not self._follower.is_there:
            self._tell_logged(listener, logs)
        with suppress(OSError):  # the console has it too
            listener.measure(job)
            logs.result(job, in_full)
        changed = [redact(change.text) for change in self._watch.lasting(prepared.inputs.files)]
        step = next_step(job, output.root, script=prepared.script is not None, changed=changed)
        advice = "" if output.advice in cause else step
        with self._context.interrupts(), suppress(OSError):  # no signal ends a job that has ended
            self._warm_up.join()
            from batchtwin.engine.report.write import report_at_end

            if problem := report_at_end(output, self._ledger, end_of(self._number, job, cause, advice)):
                logs.progress(problem)
            if job.status is Status.COMPLETED and (problem := publish_report(prepared)):
                listener.note(problem)
            if self._follower.is_there:
                listener.note(self._follower.end())
        place = output.failures if any_failed else logs.root
        written: Path | str = result_location(prepared) if job.status is Status.COMPLETED else place
        return replace(JobResult.of(prepared, job, cause, written, advice), recalled_cause=recalled)

    def _tell_logged(self, listener: Listener, logs: Logs) -> None:
        logged = LogReader(logs.root, self._number)
        if note := self._context.on_logged(logged, self._job.status, self._prepared.output.root.name):
            listener.note(note)

    def _causes(self, listener: Listener) -> list[str]:
        """Return the cause of the failure: in full, in a few lines, and for a reader of the first failure."""
        job, prepared = self._job, self._prepared
        explain, full = self._context.backend.explain, first_cause(job, listener.full_text)
        # The first failure was told without what the backend adds to it.
        last = listener.reminder if explain(full) == full else listener.brief
        causes = [hide(explain(first_cause(job, format_))) for format_ in (listener.full_text, listener.brief, last)]
        rest = ""
        if reason := why_missing(prepared.resolved, self._ledger.fact("environment") or "", causes[0]):
            rest += f"\n{reason}"
        if job.fatal is not None and job.fatal.kind == "write":
            rest += f"; {prepared.output.advice}"
        return [cause + rest for cause in causes]

    def _look_at_store(self, listener: Listener) -> None:
        """Look at the inputs of a store once, by one listing, when all are scored."""
        from batchtwin.inputs.remote import changed_files

        try:
            self._tell_changes(self._watch.add(changed_files(self._prepared.inputs)), listener)
        except (OutputError, OSError) as error:
            self._job.fail(str(error))

    def _complete(self, logs: Logs) -> bool:
        """Write failures, output and manifest, in this order; return whether anything failed."""
        job, prepared = self._job, self._prepared
        any_failed = False
        try:
            with suppress(OSError):  # warnings are no reason to fail
                logs.flush()
            any_failed = write_failures(prepared.output.failures, job, prepared.plan)
            if job.status is Status.COMPLETED:
                assembled = prepared.output.assemble(job.outcomes[number] for number in sorted(job.outcomes))
                logs.progress(f"All {len(job.items)} mini batches have been processed.")
                # Before the manifest: a job that is killed after it does not come back here. Logs may fail.
                with suppress(OSError):
                    logs.result(job, "")
                failpoint("before manifest")
                try:
                    write_manifest(prepared, job, assembled, self._ledger)
                except OSError:
                    prepared.output.withdraw()
                    raise
                failpoint("manifest written")
                if prepared.request.publish:
                    publish(prepared, job, self._ledger)
                prepared.output.tidy()
        except OutputError as error:
            job.fail(str(error))
        except OSError as error:
            job.fail(self._refused(error))
        return any_failed

    def _refused(self, error: OSError) -> str:
        """Fail because of a full disk or the like: what is committed stays."""
        return f"{error.filename or self._prepared.output.root}: {error.strerror}; {self._prepared.output.advice}"


def run_job(context: RunContext, job: Job) -> JobResult:
    """Run a job to its end; where files cannot be scored in parts, from its beginning with whole files.

    Raises:
        OutputError: the output folder or the ledger cannot be written.
    """
    follower = Follower(is_wanted=context.on_logged is at_end)
    with closing(Signals(context.interrupts)) as signals, closing(follower):
        try:
            return Run(context, job, signals, follower)()
        except WholeFilesError as error:
            context.progress.note(f"Warning: --split-rows: {error}; whole files are scored")
        whole = context.prepared.whole()
        context.ledger.replan(whole.plan.mini_batches, whole.hashes)
        return Run(replace(context, prepared=whole), job_of(whole), signals, follower)()


def job_of(prepared: Prepared) -> Job:
    """Return the job, none of whose mini-batches has run, with the deployment's rules on tries, failures and output."""
    settings = prepared.deployment.settings
    rules = Rules(
        tries=settings.retry_settings.tries,
        error_threshold=settings.error_threshold,
        append_row=settings.output_action == "append_row",
        workers=prepared.workers,
        driver=prepared.script is None,
    )
    return Job([len(mini_batch.files) for mini_batch in prepared.plan.mini_batches], rules)
