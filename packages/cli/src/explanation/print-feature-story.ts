import type { FeatureStory } from '@virtio-platform/runner';
import type { Terminal } from '../terminal.ts';
import { printFact } from './print-explanation.ts';

/** Prints what became of one feature under one profile, the outcome first, and every decision of it in order. */
export function printFeatureStory(terminal: Terminal, story: FeatureStory): void {
  const { bold, dim, green, yellow } = terminal.colors;
  const { profile, feature, bit, outcome, option, offered, requires, source, absentOn, steps, refusal } = story;
  const paint = outcome === 'accepted' ? green : yellow;
  terminal.printHanging('', `${bold(profile)}  ${feature} (bit ${bit}): ${paint(outcome)}`);
  if (!offered) printFact(terminal, 'why', 'the device does not offer it, so there is nothing to accept');
  if (refusal !== null) {
    printFact(terminal, 'why', `the device is refused ${refusal.code} by ${refusal.rule}: ${refusal.reason}`);
    printFact(terminal, '', dim(refusal.source));
  }
  for (const { rule, outcome: decided, reason, source: from, references } of steps) {
    printFact(terminal, decided, `${rule}: ${reason}`);
    printFact(terminal, '', dim(from));
    for (const { link } of references) printFact(terminal, '', dim(link));
  }
  if (option !== null) printFact(terminal, 'option', option);
  if (requires.length > 0) printFact(terminal, 'requires', requires.join(', '));
  for (const [transport, why] of Object.entries(absentOn)) printFact(terminal, 'not on', `${transport}: ${why}`);
  printFact(terminal, 'is in', source);
}
