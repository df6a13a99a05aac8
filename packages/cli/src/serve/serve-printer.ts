import { printable, type DeviceTypePlugin } from '@virtio-platform/core';
import type { FeatureSet } from '@virtio-platform/core/features';
import { shortFeatureName } from '@virtio-platform/profile';
import type {
  CountedFinding,
  DriverFinding,
  FindingPlace,
  ServeEvent,
  SessionStatistics,
} from '@virtio-platform/serve';
import type { Terminal } from '../terminal.ts';
import { misbehaviorText } from './misbehavior-text.ts';
import type { ToldEvent } from './serve-recording.ts';

/** What people read of a device that is served: a line for each thing that happens. */
export class ServePrinter {
  readonly #terminal: Terminal;
  readonly #type: Pick<DeviceTypePlugin, 'name' | 'features'>;
  readonly #profile: string;

  /** `profile` is the name of the run whose device is served. */
  constructor(terminal: Terminal, type: Pick<DeviceTypePlugin, 'name' | 'features'>, profile: string) {
    this.#terminal = terminal;
    this.#type = type;
    this.#profile = profile;
  }

  /** Prints what happened, and with what is wrong the events before it. */
  print(event: ServeEvent, events: readonly ToldEvent[] = []): void {
    const { bold, dim, yellow } = this.#terminal.colors;
    switch (event.kind) {
      case 'listening': {
        const what = `${this.#type.name} of ${printable(this.#profile)}`;
        this.#terminal.print(`${bold('serving')} ${what} at ${printable(event.path)}`);
        return this.#hang('  offers ', this.#names(event.offers));
      }
      case 'connected':
        return this.#terminal.print(bold('connected'));
      case 'negotiated': {
        const addresses = event.translates ? 'I/O virtual addresses' : 'guest-physical addresses';
        return this.#hang('  accepted ', `${this.#names(event.accepted)}; ${addresses}`);
      }
      case 'queue-started': {
        const at = event.position === 0 || event.position === 0x8000 ? '' : `, goes on at ${event.position & 0x7fff}`;
        return this.#terminal.print(`  queue ${event.queue}: ${event.layout}, ${event.size} entries${at}`);
      }
      case 'recovered': {
        const what = `${count(event.buffers, 'buffer')} that were in work before the last end`;
        return this.#terminal.print(`  queue ${event.queue} takes ${what} again`);
      }
      case 'queue-stopped': {
        const kept = event.kept === 0 ? '' : `, ${event.kept} of them not returned`;
        return this.#terminal.print(dim(`  queue ${event.queue} stopped: ${count(event.buffers, 'buffer')}${kept}`));
      }
      case 'reset':
        return this.#terminal.print('  reset');
      case 'misbehaved':
        return this.#hang(`  ${dim('on purpose')} `, misbehaviorText(event));
      case 'finding':
        this.#printFinding(event.finding);
        return this.#printEvents(events);
      case 'findings':
        return this.#printFindings(event.findings);
      case 'problem':
        this.#hang(`  ${yellow(`the ${event.by}`)} `, printable(event.text));
        return this.#printEvents(events);
      case 'disconnected':
        return this.#hang(`${bold('disconnected')} `, statisticsText(event.statistics));
    }
  }

  #printFinding({ code, level, clause, what, hint, ...place }: DriverFinding): void {
    const { bold, dim, red, yellow } = this.#terminal.colors;
    const color = level === 'error' ? red : yellow;
    this.#hang(`  ${color(bold(code))} `, printable(what));
    this.#hang('    ', [...placeOf(place), `virtio 1.4 §${clause.replaceAll(', ', ', §')}`].join(', '));
    this.#hang(`    ${dim('do')} `, hint);
  }

  #printEvents(events: readonly ToldEvent[]): void {
    const { dim } = this.#terminal.colors;
    for (const { before, text } of events)
      this.#hang(`    ${dim(`${(before === 0 ? 0 : -before).toFixed(3).padStart(10)} ms`)}  `, dim(printable(text)));
  }

  #printFindings(findings: readonly CountedFinding[]): void {
    const { bold, green } = this.#terminal.colors;
    if (findings.length === 0) return this.#terminal.print(green('the driver broke no rule'));
    const advice = findings.filter(({ level }) => level === 'advice').length;
    const errors = findings.length - advice;
    const parts = [
      ...(errors > 0 ? [count(errors, 'mistake')] : []),
      ...(advice > 0 ? [`${advice} advised against`] : []),
    ];
    this.#terminal.print(bold(`what the driver did: ${parts.join(', ')}`));
    for (const { code, count: times, queue } of findings) {
      const where = queue === undefined ? '' : `, queue ${queue}`;
      this.#terminal.print(`  ${code}${where}: ${count(times, 'time')}`);
    }
    this.#terminal.printSentence(0, `virtio-platform explain ${findings[0]!.code} says more.`);
  }

  #names(features: FeatureSet): string {
    const names = features.names(this.#type.features).map((name) => shortFeatureName(name));
    return names.length === 0 ? 'no features' : names.join(', ');
  }

  #hang(prefix: string, text: string): void {
    this.#terminal.printHanging(prefix, text);
  }
}

/** An event as JSON has it: features by name, and with what is wrong the events before it. */
export function serveEventJson(
  event: ServeEvent,
  type: Pick<DeviceTypePlugin, 'features'>,
  events: readonly ToldEvent[] = [],
): unknown {
  const names = (features: FeatureSet): string[] => features.names(type.features).map((name) => shortFeatureName(name));
  if (event.kind === 'listening') return { ...event, offers: names(event.offers) };
  if (event.kind === 'negotiated') return { ...event, accepted: names(event.accepted) };
  return events.length === 0 ? event : { ...event, events };
}

/** Where a finding is, below its queue, which `what` names. */
function placeOf({ buffer, descriptor, isInTable = false }: FindingPlace): string[] {
  return [
    ...(buffer === undefined ? [] : [`buffer ${buffer}`]),
    ...(descriptor === undefined ? [] : [isInTable ? `entry ${descriptor} of its table` : `descriptor ${descriptor}`]),
  ];
}

function statisticsText({ buffers, kicks, calls, misses, faults }: SessionStatistics): string {
  const parts = [
    count(buffers, 'buffer'),
    `${count(kicks, 'notification')} of the driver`,
    `${calls.toLocaleString('en')} for it`,
    ...(misses > 0 ? [count(misses, 'translation')] : []),
    ...(faults > 0 ? [`${count(faults, 'access', 'accesses')} refused`] : []),
  ];
  return parts.join(', ');
}

function count(number: number, one: string, more = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : more}`;
}
