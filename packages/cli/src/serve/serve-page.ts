import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { CodedError, messageOf } from '@virtio-platform/core';
import type { Profile } from '@virtio-platform/profile';
import { readRecording, recordedEvents, reportPage, ReportRecorder } from '@virtio-platform/report';
import { failedReport, TOOL_VERSION, type RunReport } from '@virtio-platform/runner';
import { shortFeatureName } from '@virtio-platform/profile';
import type { ServeEvent } from '@virtio-platform/serve';

/** What the page is made with. */
export interface ServePageOptions {
  /** The page, relative to `cwd`. */
  readonly file: string;
  readonly cwd: string;
  readonly profile: Profile;
  /** The command line that serves the device again. */
  readonly command: string;
}

/** The page of `serve --report`: the device as one run, whose driver is the front-end's. Written once, at the end. */
export class ServePage {
  readonly recorder: ReportRecorder = new ReportRecorder(recordedEvents(1));
  readonly #options: ServePageOptions;
  readonly #path: string;
  readonly #startedAt = new Date();
  #offered: readonly string[] = [];
  #accepted: readonly string[] = [];
  #queue: RunReport['queue'] = null;
  #buffers = 0;
  readonly #problems: string[] = [];

  /** Throws {@link CodedError} `ERR_REPORT_FILE` where the page cannot be there. */
  constructor(options: ServePageOptions) {
    this.#options = options;
    this.#path = resolve(options.cwd, options.file);
    this.#write('');
  }

  /** Something happened. */
  note(event: ServeEvent): void {
    const { features } = this.#options.profile.device.type;
    if (event.kind === 'listening') this.#offered = event.offers.names(features).map(shortFeatureName);
    else if (event.kind === 'negotiated') this.#accepted = event.accepted.names(features).map(shortFeatureName);
    else if (event.kind === 'queue-started') this.#queue ??= { layout: event.layout, size: event.size };
    else if (event.kind === 'disconnected') this.#buffers += event.statistics.buffers;
    else if (event.kind === 'problem') this.#problems.push(`the ${event.by} ${event.text}`);
    else if (event.kind === 'finding') this.#problems.push(`${event.finding.code}: ${event.finding.what}`);
  }

  /** Writes the page. Throws {@link CodedError} `ERR_REPORT_FILE`. */
  end(): void {
    const { profile, file, command } = this.#options;
    // What a report has of a run that did not begin: all of it is empty.
    const empty = failedReport(profile, new CodedError('ERR_DEVICE_LOST', 'served'));
    const report: RunReport = {
      ...empty,
      startedAt: this.#startedAt.toISOString(),
      platform: 'a driver that is not ours',
      machine: 'vhost-user',
      outcome: 'completed',
      failure: null,
      features: { offered: this.#offered, accepted: this.#accepted, declined: [] },
      queue: this.#queue,
      workload: { ...empty.workload, requests: this.#buffers },
      differences: this.#problems,
      durationMs: Date.now() - this.#startedAt.getTime(),
    };
    const run = {
      report,
      file: profile.file,
      summary: profile.summary,
      seed: undefined,
      command,
      recording: readRecording(this.recorder, this.#queue?.layout),
    };
    const startedAt = this.#startedAt;
    this.#write(reportPage({ runs: [run], profiles: new Map(), command, toolVersion: TOOL_VERSION, startedAt }), file);
  }

  #write(text: string, file: string = this.#options.file): void {
    try {
      writeFileSync(this.#path, text);
    } catch (cause) {
      const message = `cannot write the report ${file}: ${messageOf(cause)}`;
      throw new CodedError('ERR_REPORT_FILE', message, { hint: 'choose a file that can be written' });
    }
  }
}
