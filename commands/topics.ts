import { SETTINGS } from '../src/config/settings.ts';

const MEANING: ReadonlyArray<readonly [number, string]> = [
	[0, 'it was done; an empty list is done as well'],
	[1, 'a bug, or something nobody foresaw'],
	[2, 'the command line, the configuration or a value is wrong'],
	[4, 'no token, a wrong one, or one that may not do this'],
	[5, 'what was named does not exist'],
	[6, 'it does not fit the state of things, such as a switch that is already open'],
	[7, 'the daemon or its database cannot be reached, or took too long'],
	[8, 'what --wait waited for was still going on when the time was up'],
	[9, 'what was followed or checked ended badly: failed, expired, cancelled, damaged'],
	[10, 'the schema of the database is newer or older than this spotctl'],
	[11, 'the output could not be written: the disk is full or failed'],
	[130, 'interrupted, or not confirmed'],
];

const exitCodes = (): string => {
	const lines = MEANING.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`);
	return `The exit code of every command:\n\n${lines.join('\n')}\n\nSee also: spotctl help output\n`;
};

const environment = (): string => {
	const lines = SETTINGS.map((setting) => `  ${setting.env[0] ?? ''}\n      ${setting.description}`);
	return `Variables that spotctl reads. Flags are stronger, configuration files weaker; what is in force, and why: spotctl config show --origin

${lines.join('\n')}
  SPOTCTL_CONFIG
      one configuration file to read instead of looking for them
  NO_COLOR, TERM=dumb
      no colour
  XDG_STATE_HOME, XDG_CONFIG_HOME
      where the state folder and the user's configuration are

A token is best kept in a file that only you can read: SPOTCTL_TOKEN_FILE. On the daemon's own machine none is needed: commands find its
address and its admin token in its state folder.
`;
};

const output = (): string => `Data goes to stdout, everything else to stderr.

  -o table   the default: aligned, with times like "5m ago" on a terminal; tab-separated without a heading, with ISO times, when piped
  -o wide    the same with every column
  -o json    exactly what the operation answers; lists as one array
  -o jsonl   one line of JSON for each row, as they come
  -o yaml    the same as json, in YAML
  -o csv     RFC 4180 with a heading and every column; text a spreadsheet would take for a formula gets an apostrophe before it

Lists show the first 1000 rows and say on stderr when there are more: --limit NUMBER, or --all for every row.
--quiet drops the remarks on stderr and prints ids alone, one a line; of a new token, the token. With -o it only drops the remarks.
Colour is used on a terminal unless NO_COLOR is set, TERM is dumb or --no-color is given; --color insists on it.
--debug prints every request and answer to stderr, tokens hidden, and where an error arose.

Examples:
  $ spotctl instances list -o json | jq -r '.[] | select(.currentMode == "spot") | .id'
  $ spotctl agents list -q --status offline
  $ spotctl commands list --all -o csv > commands.csv
`;

/** The text of a help topic. */
export const topicText = (topic: string): string => {
	if (topic === 'environment') return environment();
	return topic === 'exit-codes' ? exitCodes() : output();
};
