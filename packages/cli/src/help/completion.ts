import type { TableCommand, TableOption, WordKind } from './command-table.ts';

/** The shells that a completion can be written for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
/** One of {@link SHELLS}. */
export type Shell = (typeof SHELLS)[number];

/** The table that a completion is made from. */
export interface CompletionTable {
  readonly commands: readonly TableCommand[];
  /** Of the program itself. */
  readonly options: readonly TableOption[];
  /** Names that stand for profiles beside files: those of the shipped ones. */
  readonly profiles: readonly string[];
}

const PROGRAM = 'virtio-platform';

/** The completion of the command for a shell: a script that asks nothing of the command while it completes. */
export function completionScript(shell: Shell, table: CompletionTable): string {
  if (shell === 'bash') return bashScript(table);
  return shell === 'zsh' ? zshScript(table) : fishScript(table);
}

function bashScript({ commands, options, profiles }: CompletionTable): string {
  const names = commands.map(({ name }) => name);
  const values = commands.flatMap(({ name, options: own }) =>
    own
      .filter(({ value }) => value !== undefined)
      .map((option) => `    ${name}:${option.long}) ${bashWords(option.kind)} ;;`),
  );
  const longs = commands.map(({ name, options: own }) => `    ${name}) options='${longNames(own)} --help' ;;`);
  const words = commands.map(({ name, words: own }) => `    ${name}) ${bashWords(own[0]?.kind ?? 'text')} ;;`);
  return `# bash completion of ${PROGRAM}: source it, or save it as ${PROGRAM} in a folder of bash-completion.
_virtio_platform() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} name= options= i
  COMPREPLY=()
  # An option and its value with = between them are three words.
  if [[ $cur == = ]]; then cur=; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
    ${names.join(' | ')}) name=\${COMP_WORDS[i]}; break ;;
    esac
  done
  if [[ -z $name ]]; then
    COMPREPLY=($(compgen -W '${[...names, 'help'].join(' ')} ${longNames(options)}' -- "$cur"))
    return
  fi
  case $name:$prev in
${values.join('\n')}
    *)
      case $name in
${indent(longs, 4)}
      esac
      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$cur")); return; fi
      case $name in
${indent(words, 4)}
      esac
      ;;
  esac
}
_virtio_platform_files() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -d -- "$2"; compgen -f -X "!*.@($1)" -- "$2"))
}
_virtio_platform_profiles() {
  _virtio_platform_files 'yaml|yml|json' "$1"
  COMPREPLY+=($(compgen -W '${profiles.join(' ')}' -- "$1"))
}
shopt -s extglob
complete -F _virtio_platform ${PROGRAM}`;
}

function bashWords(kind: WordKind): string {
  if (typeof kind !== 'string') return `COMPREPLY=($(compgen -W '${kind.join(' ')}' -- "$cur"))`;
  if (kind === 'profile') return '_virtio_platform_profiles "$cur"';
  if (kind === 'profile-file') return `_virtio_platform_files 'yaml|yml|json' "$cur"`;
  if (kind === 'file') return `_virtio_platform_files '*' "$cur"`;
  return kind === 'folder' ? `compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur"))` : ':';
}

function zshScript({ commands, options, profiles }: CompletionTable): string {
  const described = commands.map(({ name, description }) => `    ${zshQuote(`${name}:${description}`)}`);
  const cases = commands.map(({ name, words, options: own }) => {
    const specs = [
      ...own.map(zshOption),
      `'(- *)--help[shows the help of the command]'`,
      ...words.map(({ name: word, kind, isList }) => zshQuote(`${isList ? '*' : ''}:${word}:${zshWords(kind)}`)),
    ];
    return `    ${name})\n      _arguments ${specs.join(' \\\n        ')}\n      ;;`;
  });
  return `#compdef ${PROGRAM}
# zsh completion of ${PROGRAM}: save it as _${PROGRAM} in a folder of $fpath.
_virtio_platform_profiles() {
  _alternative 'files:file:_files -g "*.(yaml|yml|json)(-.)"' ${zshQuote(`profiles:shipped profile:(${profiles.join(' ')})`)}
}
_virtio_platform() {
  local -a commands
  commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    if [[ $words[2] == -* ]]; then
      _arguments ${options.map(zshOption).join(' ')}
    else
      _describe -t commands 'command' commands
    fi
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${cases.join('\n')}
  esac
}
compdef _virtio_platform ${PROGRAM} 2>/dev/null
# As a file of $fpath the whole script is the function.
if [[ \${funcstack[1]} == _${PROGRAM} ]]; then _virtio_platform "$@"; fi`;
}

function zshOption({ long, description, value, kind }: TableOption): string {
  const text = description.replace(/[[\]:]/g, (character) => `\\${character}`);
  const taken = value === undefined ? '' : `:${value.slice(1, -1)}:${zshWords(kind)}`;
  return zshQuote(`${long}${value === undefined ? '' : '='}[${text}]${taken}`);
}

function zshWords(kind: WordKind): string {
  if (typeof kind !== 'string') return `(${kind.join(' ')})`;
  if (kind === 'profile') return '_virtio_platform_profiles';
  if (kind === 'profile-file') return '_files -g "*.(yaml|yml|json)(-.)"';
  if (kind === 'file') return '_files';
  return kind === 'folder' ? '_files -/' : '';
}

function zshQuote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function fishScript({ commands, options, profiles }: CompletionTable): string {
  const complete = `complete -c ${PROGRAM}`;
  const lines = commands.flatMap(({ name, description, words, options: own }) => {
    const seen = `${complete} -n '__fish_seen_subcommand_from ${name}'`;
    const choices = words.flatMap(({ kind }) => (typeof kind === 'string' ? [] : kind));
    const takesNames = words.some(({ kind }) => kind === 'profile');
    const takesFiles = takesNames || words.some(({ kind }) => kind === 'profile-file');
    return [
      `${complete} -n __fish_use_subcommand -a ${name} -d ${fishQuote(description)}`,
      ...own.map((option) => `${seen} ${fishOption(option)}`),
      ...(choices.length > 0 ? [`${seen} -a ${fishQuote(choices.join(' '))}`] : []),
      ...(takesFiles ? [`${seen} -k -a '(__fish_complete_suffix .yaml)'`] : []),
      ...(takesNames ? [`${seen} -a ${fishQuote(profiles.join(' '))}`] : []),
    ];
  });
  return `# fish completion of ${PROGRAM}: save it as ${PROGRAM}.fish in ~/.config/fish/completions.
${complete} -f
${options.map((option) => `${complete} -n __fish_use_subcommand ${fishOption(option)}`).join('\n')}
${lines.join('\n')}`;
}

function fishOption({ long, description, value, kind }: TableOption): string {
  const taken = value === undefined ? '' : ` -r${fishWords(kind)}`;
  return `-l ${long.slice(2)}${taken} -d ${fishQuote(description)}`;
}

function fishWords(kind: WordKind): string {
  if (typeof kind !== 'string') return ` -f -a ${fishQuote(kind.join(' '))}`;
  return kind === 'text' ? ' -f' : ' -F';
}

function fishQuote(text: string): string {
  return `'${text.replace(/[\\']/g, (character) => `\\${character}`)}'`;
}

function longNames(options: readonly TableOption[]): string {
  return options.map(({ long }) => long).join(' ');
}

function indent(lines: readonly string[], columns: number): string {
  return lines.map((line) => ' '.repeat(columns) + line).join('\n');
}
