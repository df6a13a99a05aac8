import { codedErrorOf, type CodedError } from '@virtio-platform/core';
import { checkPlugins, closest, type Profile, type ResolutionOptions } from '@virtio-platform/profile';
import {
  explainAddress,
  explainProfile,
  featureNamesOf,
  featureStory,
  type AddressExplanation,
  type FeatureStory,
} from '@virtio-platform/runner';
import { eachRun } from '../checked-runs.ts';
import { inThisThread, onEmbeddedMachine } from '../embedded-machine.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import { explainedTerm, unknown, type ExplainedTerm } from '../explanation/explained-term.ts';
import { printAddress } from '../explanation/print-address.ts';
import { printCode } from '../explanation/print-code.ts';
import { printExplanation, type CommandExplanation } from '../explanation/print-explanation.ts';
import { printFeatureStory } from '../explanation/print-feature-story.ts';
import { printProfileKey } from '../explanation/print-profile-key.ts';
import { quoteExplanation, quoteFeatureStory } from '../explanation/quote-explanation.ts';
import { printError } from '../print-error.ts';
import { ProfileWords, type TextInput } from '../run/profile-sources.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The options of `explain`. */
export interface ExplainOptions {
  readonly json?: boolean;
  /** Every rule, also those that only looked. */
  readonly all?: boolean;
  /** The story of one feature in place of the whole explanation. */
  readonly feature?: string;
  /** Where one address leads, in place of the explanation. */
  readonly address?: bigint;
  /** Plain text for a mail. */
  readonly quote?: boolean;
}

const KNOWN_FEATURES = '`explain PROFILE --all` shows what the device offers; a bit without a name is BIT_40';

/** What `explain` says of one run of a profile. */
type RunAnswer =
  | { readonly kind: 'profile'; readonly explanation: CommandExplanation }
  | { readonly kind: 'feature'; readonly story: FeatureStory }
  | { readonly kind: 'address'; readonly walk: AddressExplanation };

/**
 * `explain <what...>`: negotiates each run of a profile on the embedded machine and says how it came out, or says what
 * a code or a key of a profile means. Starts nothing. A refusal is an answer, not an error; a run whose plugins are
 * wrong is left out, with its error. `version` is that of the tool, `input` the text of the profile `-`.
 */
export async function explainCommand(
  terminal: Terminal,
  words: readonly string[],
  options: ExplainOptions,
  plugins: ResolutionOptions,
  { version, input }: { readonly version: string; readonly input: TextInput | undefined },
): Promise<ExitStatus> {
  let status: ExitStatus = ExitStatus.AsExpected;
  const failed = (error: CodedError): void => {
    status = worstStatus(status, printError(terminal, error, options.json === true));
  };
  const data: unknown[] = [];
  let printed = 0;
  const answer = (value: readonly unknown[], print: () => void): void => {
    data.push(...value);
    if (options.json === true) return;
    if (printed++ > 0) terminal.print('');
    print();
  };
  const named = new ProfileWords(terminal.cwd, input);
  const load = { ...plugins, baseDirectory: terminal.cwd };
  for (const word of words) {
    let term: ExplainedTerm | undefined;
    try {
      term = await explainedTerm(word, terminal.cwd);
    } catch (error) {
      failed(codedErrorOf(error));
      continue;
    }
    if (term?.kind === 'code') {
      const { code } = term;
      answer([code], () => printCode(terminal, code));
    } else if (term?.kind === 'key') {
      for (const key of term.keys) answer([key], () => printProfileKey(terminal, printableData(key)));
    } else {
      for (const source of await named.of(word)) {
        const { results, errors } = await eachRun(source, load, (profile) => answerOf(profile, options, plugins));
        errors.forEach(failed);
        for (const result of results)
          answer([dataOf(result)], () => printAnswer(terminal, printableData(result), options, version));
      }
    }
  }
  if (options.json === true && data.length > 0) terminal.printJson(data);
  return status;
}

async function answerOf(profile: Profile, options: ExplainOptions, plugins: ResolutionOptions): Promise<RunAnswer> {
  const { platform, machine } = await checkPlugins(profile, plugins);
  const embedded = await onEmbeddedMachine(profile, { platform, machine });
  const { feature, address } = options;
  if (address !== undefined) return { kind: 'address', walk: await explainAddress(inThisThread(embedded), address) };
  const explained = await explainProfile(embedded);
  if (feature !== undefined) {
    const story = featureStory(profile, explained, feature);
    if (story !== undefined) return { kind: 'feature', story };
    const meant = closest(feature, featureNamesOf(profile));
    throw unknown(`a ${profile.device.type.name} device has no feature ${feature}`, meant, KNOWN_FEATURES);
  }
  const explanation = { ...explained, machine: machine.plugin.name, negotiatedOn: explained.machine };
  return { kind: 'profile', explanation };
}

function dataOf(result: RunAnswer): unknown {
  if (result.kind === 'profile') return result.explanation;
  return result.kind === 'feature' ? result.story : result.walk;
}

function printAnswer(terminal: Terminal, result: RunAnswer, options: ExplainOptions, version: string): void {
  const { all = false, quote = false } = options;
  if (result.kind === 'address') printAddress(terminal, result.walk);
  else if (result.kind === 'feature') {
    if (quote) terminal.print(quoteFeatureStory(result.story, version));
    else printFeatureStory(terminal, result.story);
  } else if (quote) terminal.print(quoteExplanation(result.explanation, version));
  else printExplanation(terminal, result.explanation, all);
}
