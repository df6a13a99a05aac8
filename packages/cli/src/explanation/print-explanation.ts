import type { Explanation } from '@virtio-platform/runner';
import type { Terminal } from '../terminal.ts';

/** What `explain` prints: `machine` is the one of the profile, which is not started. */
export interface CommandExplanation extends Explanation {
  /** The machine whose device was negotiated with. */
  readonly negotiatedOn: string;
}

/** Columns of the names in front of the facts. */
const NAMES = 12;

/**
 * Prints an explanation for a person, the answer first: the path or the refusal, what chose it, and what became of the
 * features. With `showAll` every rule follows in order, also those that only looked, and each feature with its rule.
 */
export function printExplanation(terminal: Terminal, explanation: CommandExplanation, showAll: boolean): void {
  const { bold, dim } = terminal.colors;
  const { profile, platform, machine, interface: deviceInterface, privilege, negotiatedOn } = explanation;
  terminal.printSentence(
    0,
    `${bold(profile)}  ${platform} on ${machine}, ${deviceInterface} interface, driver privilege ${privilege}`,
  );
  if (explanation.refusal === null) printChoice(terminal, explanation);
  else printRefusal(terminal, explanation.refusal);
  printFeatures(terminal, explanation, showAll);
  if (negotiatedOn !== machine) {
    const offers = 'which offers what device.offers lists, or all it has';
    terminal.printSentence(0, dim(`${machine} is not started: negotiated on the ${negotiatedOn} machine, ${offers}`));
  }
  if (!showAll) return;
  terminal.print('');
  for (const rule of explanation.rules) printRule(terminal, rule);
}

/** Prints a fact behind its name; further lines of it begin below its first. */
export function printFact(terminal: Terminal, name: string, text: string): void {
  terminal.printHanging(`  ${name.padEnd(NAMES - 2)}`, text);
}

function printChoice(terminal: Terminal, { path, addressMeaning, choice, rules }: CommandExplanation): void {
  const { bold, dim } = terminal.colors;
  terminal.printHanging('', `path ${bold(path ?? 'none')}: ${addressMeaning ?? ''}`);
  if (choice === null) return;
  const { rule, source, option } = choice;
  const says = rules.find((one) => one.rule === rule)?.decided[0]?.reason ?? choice.reason;
  printFact(terminal, 'rule', `${rule}: ${says}`);
  printFact(terminal, '', dim(source));
  if (option !== null) printFact(terminal, 'option', option);
}

function printFeatures(terminal: Terminal, { features, offered, refusal }: CommandExplanation, showAll: boolean): void {
  const { green, yellow, dim } = terminal.colors;
  if (showAll) {
    printFact(terminal, 'offered', offered.join(', ') || 'nothing');
    for (const { feature, outcome, rule, reason } of features) {
      const mark = outcome === 'accepted' ? green('accepted') : yellow('declined');
      terminal.printHanging('  ', `${mark}  ${feature}: ${reason} ${dim(`(${rule})`)}`);
    }
    return;
  }
  const accepted = features.filter(({ outcome }) => outcome === 'accepted').map(({ feature }) => feature);
  if (refusal === null) printFact(terminal, 'accepted', accepted.join(', ') || 'nothing');
  else printFact(terminal, 'offered', offered.join(', ') || 'nothing');
  for (const { feature, outcome, rule, reason } of features)
    if (outcome === 'declined') printFact(terminal, 'declined', `${yellow(feature)}: ${reason} ${dim(`(${rule})`)}`);
}

/** A rule that only looked takes one line; one that decided, a line for each decision. */
function printRule(terminal: Terminal, { rule, source, says, references }: CommandExplanation['rules'][number]): void {
  const { bold, dim, green, red, yellow } = terminal.colors;
  if (!says.some((said) => DECISION.test(said))) {
    terminal.printHanging('', `${rule}: ${dim(`${says.join('; ') || 'nothing to decide'} — ${source}`)}`);
    return;
  }
  terminal.printHanging('', `${bold(rule)}  ${dim(source)}`);
  for (const said of says) {
    const [verb] = DECISION.exec(said) ?? [];
    if (verb === undefined) terminal.printHanging('  ', dim(said));
    else if (verb === 'refuses:') terminal.printHanging('  ', red(said));
    else terminal.printHanging('  ', `${(verb === 'declined' ? yellow : green)(verb)}${said.slice(verb.length)}`);
  }
  for (const { link } of references) terminal.print(dim(`  ${link}`));
}

const DECISION = /^(?:refuses:|accepted|declined|path)(?=$| )/;

function printRefusal(terminal: Terminal, refusal: NonNullable<CommandExplanation['refusal']>): void {
  const { bold, dim, red } = terminal.colors;
  const { code, rule, reason, source, change, option } = refusal;
  terminal.printHanging('', `${red(bold(`refused ${code}`))} by ${rule}: ${reason}`);
  terminal.printHanging('  ', dim(source));
  if (option !== null) printFact(terminal, 'option', option);
  const changes = Object.entries(change);
  if (changes.length === 0) return;
  terminal.print('  what would have to change, any one of');
  for (const [where, what] of changes) terminal.printHanging(`    ${where.padEnd(NAMES - 2)}`, String(what));
}
