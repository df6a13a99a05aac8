import { resolve } from 'node:path';
import { codedErrorOf, printable } from '@virtio-platform/core';
import { blamePlugin, runHook, type ResolutionOptions } from '@virtio-platform/profile';
import { serveDevice, type ServeEvent, type StrictMode } from '@virtio-platform/serve';
import { checkRuns, distinctErrors } from '../checked-runs.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import type { Interruption } from '../interruption.ts';
import { isolate } from '../isolate.ts';
import { printError } from '../print-error.ts';
import { oneProfilePath } from '../run/profile-sources.ts';
import { ServePage } from '../serve/serve-page.ts';
import { ServeRecording } from '../serve/serve-recording.ts';
import { serveEventJson, ServePrinter } from '../serve/serve-printer.ts';
import type { Terminal } from '../terminal.ts';

/** The options of `serve`. */
export interface ServeCommandOptions {
  /** The path of the socket, as the user gave it. */
  readonly socket: string;
  /** Whether mistakes of the driver are looked for, and whether the first one ends the device. */
  readonly strict: StrictMode | undefined;
  /** Microseconds for which rings are looked at before a notification is waited for. */
  readonly poll: number;
  /** The files of a trace and of a page of HTML, as the user gave them. */
  readonly trace: string | undefined;
  readonly report: string | undefined;
  /** Whether the command ends with the first front-end. */
  readonly once: boolean;
  readonly json: boolean;
  /** `path=value`, laid over the profile. */
  readonly set: readonly string[];
  readonly plugins: ResolutionOptions;
  readonly interruption: Interruption;
}

/**
 * `serve <profile>`: the device of a profile as a vhost-user back-end, until a signal comes. Only the device and the
 * layout of its queues count: platform and machine are the front-end's.
 */
export async function serveCommand(
  terminal: Terminal,
  file: string,
  { socket, strict, poll, trace, report, once, json, set, plugins, interruption }: ServeCommandOptions,
): Promise<ExitStatus> {
  const checked = await checkRuns(oneProfilePath(file, terminal.cwd), { ...plugins, set });
  const errors = distinctErrors(checked.slice(0, 1));
  if (errors.length > 0) return errors.map((error) => printError(terminal, error, json)).reduce(worstStatus);
  const profile = checked[0]?.profile;
  if (profile === undefined) return ExitStatus.Usage;
  if (checked.length > 1)
    terminal.printError(`the profile makes ${checked.length} runs; this is the device of the first, ${profile.name}`);
  const { use, type, settings, offers, misbehaves } = profile.device;
  if (type.check !== undefined)
    await runHook('device', use, 'check', () => type.check!(settings), plugins.pluginTimeoutMs);
  const printer = new ServePrinter(terminal, type, profile.name);
  const end = new AbortController();
  interruption.await();
  const { cwd } = terminal;
  let page: ServePage | undefined;
  let recording: ServeRecording | undefined;
  try {
    if (report !== undefined) page = new ServePage({ file: report, cwd, profile, command: commandOf(file, socket) });
    const isRecorded = page !== undefined || trace !== undefined || strict !== undefined;
    if (isRecorded) recording = new ServeRecording(type, { trace, cwd, ...(page && { page: page.recorder }) });
  } catch (error) {
    return printError(terminal, codedErrorOf(error), json);
  }
  let before: ServeEvent['kind'] | undefined;
  const onEvent = (event: ServeEvent): void => {
    // What a finding ends was told of with it.
    const isWrong =
      event.kind === 'finding' || (event.kind === 'problem' && event.by === 'device' && before !== 'finding');
    before = event.kind;
    const queue = event.kind === 'finding' ? event.finding.queue : undefined;
    const events = isWrong ? (recording?.last(queue) ?? []) : [];
    recording?.note(event);
    page?.note(event);
    if (json) terminal.printJsonLine(serveEventJson(event, type, events));
    else printer.print(event, events);
    if (once && event.kind === 'disconnected') end.abort();
  };
  const { value, error } = await isolate(
    () =>
      serveDevice({
        type,
        settings,
        offers,
        layout: profile.queue.layout,
        socket: resolve(terminal.cwd, socket),
        strict,
        misbehaves,
        pollMicros: poll,
        recording: recording?.device,
        onEvent,
        signal: AbortSignal.any([interruption.signal, end.signal]),
      }),
    (thrown) => blamePlugin(thrown, profile, plugins),
  );
  try {
    const summary = recording?.end(profile.name);
    if (summary !== undefined && !json) terminal.print(printable(summary));
    page?.end();
  } catch (thrown) {
    return printError(terminal, codedErrorOf(thrown), json);
  }
  if (error !== undefined) return printError(terminal, error, json);
  return value?.failedBy === undefined && value?.hasDied !== true ? ExitStatus.AsExpected : ExitStatus.Differed;
}

function commandOf(file: string, socket: string): string {
  return `virtio-platform serve ${file} --socket ${socket}`;
}
