import type { Explanation } from '@virtio-platform/runner';
import type { Terminal } from './terminal.ts';

/** What `explain` prints: `machine` is the one of the profile, which is not started. */
export interface CommandExplanation extends Explanation {
  /** The machine whose device was negotiated with. */
  readonly negotiatedOn: string;
}

/**
 * Prints an explanation for a person: rule by rule in order, then the features, then the path and what an address is on
 * it.
 */
export function printExplanation(terminal: Terminal, explanation: CommandExplanation): void {
  const { bold, green, yellow, dim } = terminal.colors;
  const { profile, platform, machine, interface: deviceInterface, privilege, offered } = explanation;
  terminal.print(
    `${bold(profile)}  ${platform} on ${machine}, ${deviceInterface} interface, driver privilege ${privilege}`,
  );
  if (explanation.negotiatedOn !== machine) {
    const offers = 'which offers what device.offers lists, or all it has';
    terminal.print(dim(`${machine} is not started: negotiated on the ${explanation.negotiatedOn} machine, ${offers}`));
  }
  terminal.print(dim(`the device offers ${offered.join(', ') || 'nothing'}\n`));
  for (const rule of explanation.rules) printRule(terminal, rule);
  if (explanation.refusal !== null) {
    printRefusal(terminal, explanation.refusal);
    return;
  }
  terminal.print('');
  const width = Math.max(0, ...explanation.features.map(({ feature }) => feature.length));
  for (const { feature, outcome, rule, reason } of explanation.features) {
    const mark = outcome === 'accepted' ? green('accepted') : yellow('declined');
    terminal.print(`${feature.padEnd(width)}  ${mark}  ${reason} ${dim(`(${rule})`)}`);
  }
  terminal.print(`\npath ${bold(explanation.path ?? 'none')}: ${explanation.addressMeaning ?? ''}`);
}

/** A rule that only looked takes one line; one that decided, a line for each decision. */
function printRule(terminal: Terminal, { rule, source, says }: Explanation['rules'][number]): void {
  const { bold, dim, green, red, yellow } = terminal.colors;
  if (!says.some((said) => DECISION.test(said))) {
    terminal.print(`${rule}: ${dim(`${says.join('; ') || 'nothing to decide'} — ${source}`)}`);
    return;
  }
  terminal.print(`${bold(rule)}  ${dim(source)}`);
  for (const said of says) {
    const [verb] = DECISION.exec(said) ?? [];
    if (verb === undefined) terminal.print(dim(`  ${said}`));
    else if (verb === 'refuses:') terminal.print(`  ${red(said)}`);
    else terminal.print(`  ${(verb === 'declined' ? yellow : green)(verb)}${said.slice(verb.length)}`);
  }
}

const DECISION = /^(?:refuses:|accepted|declined|path)(?=$| )/;

function printRefusal(terminal: Terminal, refusal: NonNullable<Explanation['refusal']>): void {
  const { bold, dim, red } = terminal.colors;
  const { code, rule, reason, source, change } = refusal;
  terminal.print(`\n${red(bold(`refused ${code}`))} by ${rule}: ${reason}\n  ${dim(source)}`);
  const changes = Object.entries(change);
  if (changes.length === 0) return;
  terminal.print('\nwhat would have to change, any one of');
  const width = Math.max(...changes.map(([where]) => where.length));
  for (const [where, what] of changes) terminal.print(`  ${bold(where.padEnd(width))}  ${String(what)}`);
}
