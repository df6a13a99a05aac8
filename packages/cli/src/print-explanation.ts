import type { Explanation } from '@virtio-platform/runner';
import type { Terminal } from './terminal.ts';

/** Prints an explanation for a person: rule by rule in order, then the features, then the path. */
export function printExplanation(terminal: Terminal, explanation: Explanation): void {
  const { bold, dim, green, red, yellow } = terminal.colors;
  const { profile, platform, machine, interface: deviceInterface, privilege } = explanation;
  terminal.print(
    `${bold(profile)}  ${platform} on ${machine}, ${deviceInterface} interface, driver privilege ${privilege}\n`,
  );
  for (const { rule, source, says } of explanation.rules) {
    terminal.print(`${bold(rule)}  ${dim(source)}`);
    for (const said of says) terminal.print(`  ${said.startsWith('refuses') ? red(said) : said}`);
    if (says.length === 0) terminal.print(dim('  nothing to decide'));
  }
  if (explanation.refusal !== null) {
    const { code, rule, reason, source } = explanation.refusal;
    terminal.print(`\n${red(bold(`refused ${code}`))} by ${rule}: ${reason}\n  ${dim(source)}`);
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
