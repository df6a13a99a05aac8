import { isFailure, type CaseResult, type ConformReport, type DeviceReport } from '@virtio-platform/conform';
import type { Terminal } from '../terminal.ts';

/** What of a result is printed. */
type PrintedCase = Omit<CaseResult, 'known'> & { readonly known?: string | null | undefined };

/** Width of the column of verdicts. */
const VERDICT = 4;
/** Skipped cases are told by their reasons; so many of these. */
const MOST_REASONS = 12;
/** Lines of what was seen. */
const MOST_LINES = 12;

/** Prints the verdicts of `conform` for people: each case as it ends, and the failures at the end. */
export class ConformPrinter {
  readonly #terminal: Terminal;
  readonly #repeat: string;
  readonly #isWhole: boolean;
  readonly #startedAt = performance.now();

  /** `repeat` is the command that the user gave, without a filter; `isWhole` where it has none. */
  constructor(terminal: Terminal, repeat: string, isWhole: boolean) {
    this.#terminal = terminal;
    this.#repeat = repeat;
    this.#isWhole = isWhole;
  }

  printDevice(device: DeviceReport, what: string): void {
    const { type, machine, backEnd, offered } = device;
    const { bold, dim } = this.#terminal.colors;
    const of = backEnd === null ? '' : ` (${backEnd})`;
    this.#terminal.printHanging('', `${bold(`${type} device`)} in ${machine}${of}: ${ringsText(device)}, ${what}`);
    for (const line of wrapped(`offers ${offered.join(', ')}`, 76)) this.#terminal.print(`  ${dim(line)}`);
  }

  /** One line; a failure is told in full at the end. A skipped case is counted there. */
  printCase({ id, verdict, durationMs, seen, known }: PrintedCase): void {
    if (verdict === 'skip') return;
    const { dim } = this.#terminal.colors;
    const time = durationMs >= 500 ? dim(` ${(durationMs / 1000).toFixed(1)} s`) : '';
    const mark = known === undefined || known === null ? '' : dim(' (known)');
    this.#terminal.print(`${this.#colored(verdict)} ${id}${time}${mark}`);
    if (verdict !== 'pass') for (const line of seenLines(seen, 72)) this.#terminal.print(`     ${line}`);
  }

  printSummary({ cases, coverage }: ConformReport): void {
    const { bold, dim } = this.#terminal.colors;
    const failed = cases.filter(isFailure);
    for (const failure of failed) this.#printFailure(failure);
    this.#printSkipped(cases);
    const must = coverage.filter(({ level }) => level === 'MUST');
    const tried = must.filter(({ state }) => state === 'tried');
    this.#terminal.print('');
    const unseen = must.filter(({ state }) => state !== 'tried');
    this.#terminal.print(`${tried.length} of ${must.length} sections with a MUST for devices were tried`);
    // Of a few cases it is clear that they do not try most sections.
    if (this.#isWhole) for (const { clause, state } of unseen) this.#terminal.print(dim(`  ${clause}: ${state}`));
    const count = (verdict: string): number => cases.filter((result) => result.verdict === verdict).length;
    const counts = (['pass', 'fail', 'hang', 'gone', 'skip'] as const)
      .filter((verdict) => count(verdict) > 0)
      .map((verdict) => `${count(verdict)} ${verdict}`);
    const seconds = ((performance.now() - this.#startedAt) / 1000).toFixed(1);
    this.#terminal.print(`${bold(counts.join(', '))} ${dim(`in ${seconds} s`)}`);
    const known = failed.filter((result) => result.known !== undefined && result.known !== null).length;
    if (known > 0) this.#terminal.print(dim(`${known} of ${failed.length} failures are known of this version`));
  }

  #printFailure({ id, clause, level, title, verdict, seen, severity, ring, known }: PrintedCase): void {
    const { bold, dim } = this.#terminal.colors;
    this.#terminal.print('');
    this.#terminal.print(`${this.#colored(verdict)} ${bold(id)}`);
    const line = (name: string, text: string): void => {
      for (const [i, part] of seenLines(text, 66).entries())
        this.#terminal.print(`  ${dim((i === 0 ? name : '').padEnd(9))} ${part}`);
    };
    line(level, `${title} (${clauseText(clause)})`);
    line('seen', seen);
    if (severity !== 'none') line('severity', severityText({ severity, clause }));
    if (known !== undefined && known !== null) line('known', known);
    for (const [i, part] of ring.entries()) line(i === 0 ? 'ring' : '', part);
    this.#terminal.print(`  ${dim('again'.padEnd(9))} ${commandFor(this.#repeat, id)}`);
  }

  /** Why cases were skipped, each reason once. */
  #printSkipped(cases: readonly PrintedCase[]): void {
    const reasons = new Map<string, number>();
    for (const { verdict, seen } of cases) if (verdict === 'skip') reasons.set(seen, (reasons.get(seen) ?? 0) + 1);
    if (reasons.size === 0) return;
    const { dim } = this.#terminal.colors;
    this.#terminal.print('');
    const sorted = [...reasons].toSorted(([, a], [, b]) => b - a);
    for (const [reason, count] of sorted.slice(0, MOST_REASONS)) this.#terminal.print(dim(`skip ${count}: ${reason}`));
    const more = sorted.length - MOST_REASONS;
    if (more > 0) this.#terminal.print(dim(`and ${more} more reasons; --json has each case`));
  }

  #colored(verdict: CaseResult['verdict']): string {
    const { green, red, dim } = this.#terminal.colors;
    const text = verdict.padEnd(VERDICT);
    if (verdict === 'pass') return green(text);
    return verdict === 'skip' ? dim(text) : red(text);
  }
}

/** The queues of a device in a few words. */
export function ringsText({ queues, maxQueueSize }: Pick<DeviceReport, 'queues' | 'maxQueueSize'>): string {
  return `${queues} ${queues === 1 ? 'queue' : 'queues'} of up to ${maxQueueSize} entries`;
}

/** `1 case`, `2 cases`. */
export function casesText(count: number): string {
  return `${count} ${count === 1 ? 'case' : 'cases'}`;
}

/** A clause as people read it: a section of virtio 1.4, or a heading of the vhost-user document. */
export function clauseText(clause: string): string {
  return clause.startsWith('vhost-user: ') ? clause : `virtio 1.4 §${clause}`;
}

/** What an attacker gains by a failure: a guest, or a front-end where the case is one of the protocol. */
export function severityText({ severity, clause }: Pick<CaseResult, 'severity' | 'clause'>): string {
  const who = clause.startsWith('vhost-user: ') ? 'a front-end' : 'a guest';
  if (severity === 'host-memory') return `${who} makes the device reach memory that it may not`;
  if (severity === 'crash') return `${who} ends the device`;
  return severity === 'wedged' ? 'the device serves no more requests' : '';
}

/** The command that runs one case: a filter before what follows `--`. */
export function commandFor(command: string, id: string): string {
  const at = command.indexOf(' -- ');
  if (at < 0) return `${command} --filter ${id}`;
  return `${command.slice(0, at)} --filter ${id}${command.slice(at)}`;
}

/** What was seen, for people: the lines that a program printed each for itself, and no more of them than help. */
export function seenLines(seen: string, width: number): readonly string[] {
  // A line break is shown as its escape by then.
  const lines = seen.split(/\\n|\n/).flatMap((line) => wrapped(line, width));
  if (lines.length <= MOST_LINES) return lines;
  return [...lines.slice(0, MOST_LINES), `and ${lines.length - MOST_LINES} more lines; --json has all of them`];
}

/** Breaks a text at blanks. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
