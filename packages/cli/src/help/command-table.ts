import type { Argument, Command, Option } from 'commander';

/** What a word of the command line may be. */
export type WordKind = readonly string[] | 'profile' | 'profile-file' | 'file' | 'folder' | 'text';

/** An option of a command. */
export interface TableOption {
  /** `--format`. */
  readonly long: string;
  readonly description: string;
  /** As help writes its value: `<format>`; `undefined` for an option without one. */
  readonly value: string | undefined;
  readonly kind: WordKind;
}

/** A command with its words and options: what help, completion and the manual page are made from. */
export interface TableCommand {
  readonly name: string;
  readonly description: string;
  /** As help writes them: `[profile...]`, `<kind> <name>`. */
  readonly usage: string;
  readonly words: readonly {
    readonly name: string;
    readonly description: string;
    readonly kind: WordKind;
    /** Whether it may be repeated. */
    readonly isList: boolean;
  }[];
  readonly options: readonly TableOption[];
}

/** The commands of the program in the order of its help, without those and the options that help does not show. */
export function commandTable(program: Command): readonly TableCommand[] {
  const help = program.createHelp();
  return help
    .visibleCommands(program)
    .filter((command) => command.name() !== 'help')
    .map((command) => ({
      name: command.name(),
      description: command.description(),
      usage: command.registeredArguments.map(usageOf).join(' '),
      words: command.registeredArguments.map((argument) => ({
        name: argument.name(),
        description: argument.description,
        kind: argument.argChoices ?? kindOf(argument.name(), argument.description),
        isList: argument.variadic,
      })),
      options: optionsOf(help.visibleOptions(command)),
    }));
}

/** The options of the program itself. */
export function programOptions(program: Command): readonly TableOption[] {
  return optionsOf(program.createHelp().visibleOptions(program));
}

function optionsOf(options: readonly Option[]): TableOption[] {
  return options.map(({ long, flags, description, argChoices }) => {
    const value = /<[^>]+>|\[[^\]]+\]/.exec(flags)?.[0];
    const kind = argChoices ?? (value === undefined ? 'text' : kindOf(value.slice(1, -1)));
    return { long: long ?? flags, description, value, kind };
  });
}

/** The names of arguments say what they are, and the description of a profile whether it may have a shipped name. */
function kindOf(name: string, description = ''): WordKind {
  if (name === 'profile' || name === 'what') return description.includes('shipped') ? 'profile' : 'profile-file';
  return name === 'file' || name === 'folder' ? name : 'text';
}

function usageOf(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? '...' : ''}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}
