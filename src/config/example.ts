import { stringify } from 'yaml';
import { SEED_DATABASE_NAMES, SEED_NAMES } from './seed.ts';
import { SECTIONS, SETTINGS, type Setting } from './settings.ts';

const HEAD = `## Configuration of spotctl, the daemon and the commands. Every setting is optional; what stands here is the default.
##
## Read from, the first that says something wins:
##   flags of the command
##   SPOTCTL_* variables, then the same in a .env of the working folder
##   variables of the server before this one (named "earlier"), then the same in .env
##   spotctl.config.yaml (.yml, .json) or .spotctlrc.yaml of the working folder
##   $XDG_CONFIG_HOME/spotctl/config.yaml or ~/.config/spotctl/config.yaml
##   /etc/spotctl/config.yaml
## SPOTCTL_CONFIG names one file to read instead of the last three.
##
## Durations are seconds, or text such as 500ms, 45s, 10m, 24h, 7d. Sizes are bytes, or text such as 512kb, 1mb.
## Keys may also be written in snake_case. Relative paths start at the folder of the file.
## See what is in force, and why: spotctl config show --origin
`;

const WIDTH = 116;

const wrap = (text: string, indent: string): string[] => {
	const lines: string[] = [];
	let line = '';
	for (const word of text.split(' ')) {
		if (line !== '' && indent.length + line.length + word.length + 1 > WIDTH) {
			lines.push(line);
			line = '';
		}
		line += line === '' ? word : ` ${word}`;
	}
	return [...lines, line].map((one) => `## ${indent}${one}`);
};

const seedNames = ({ path }: Setting): readonly string[] =>
	path === 'database.url' ? SEED_DATABASE_NAMES : SEED_NAMES.filter((seed) => seed.path === path).map(({ name }) => name);

const written = ({ fallback, computed }: Setting): string => {
	if (fallback !== undefined) return ` ${stringify(fallback).trim()}`;
	return computed === undefined ? '' : ` # ${computed}`;
};

const block = (setting: Setting, indent: string): string[] => {
	const earlier = seedNames(setting);
	const names = `Environment: ${setting.env.join(', ')}${earlier.length > 0 ? `; earlier ${earlier.join(', ')}` : ''}`;
	const description = setting.description.charAt(0).toUpperCase() + setting.description.slice(1);
	return [...wrap(description, indent), ...wrap(names, indent), `# ${indent}${setting.keys.at(-1)}:${written(setting)}`];
};

/**
 * The text of `config.example.yaml`: every setting with its description, variables and default, all commented out. Without the `# `
 * before its keys it is a configuration that says what the defaults say.
 */
export const renderExample = (): string => {
	const blocksOf = (settings: readonly Setting[], indent: string) =>
		settings.map((setting) => block(setting, indent).join('\n')).join('\n\n');
	const top = SETTINGS.filter(({ keys }) => keys.length === 1);
	const sections = SECTIONS.map(({ name, description }) => {
		const settings = SETTINGS.filter(({ keys }) => keys.length > 1 && keys[0] === name);
		return `## ${description}\n# ${name}:\n${blocksOf(settings, '  ')}`;
	});
	return `${[HEAD.trimEnd(), blocksOf(top, ''), ...sections].join('\n\n')}\n`;
};
