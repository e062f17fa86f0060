import { InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../src/config/units.ts';
import { SpotError } from '../src/errors.ts';

const number = (text: string): number | undefined => (/^-?\d{1,15}(\.\d{1,12})?$/.test(text) ? Number(text) : undefined);

/** A whole number from `min` to `max`. */
export const integer =
	(min: number, max: number) =>
	(text: string): number => {
		const value = number(text);
		if (value !== undefined && Number.isInteger(value) && value >= min && value <= max) return value;
		throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
	};

/** A number from `min` to `max`. */
export const decimal =
	(min: number, max: number) =>
	(text: string): number => {
		const value = number(text);
		if (value !== undefined && value >= min && value <= max) return value;
		throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
	};

/** A duration in whole seconds, such as 5m; a number is seconds. */
export const seconds =
	(min: number, max: number) =>
	(text: string): number => {
		const value = parseDuration(text);
		if (value !== undefined && value % 1000 === 0 && value / 1000 >= min && value / 1000 <= max) return value / 1000;
		throw new InvalidArgumentError(`It must be a duration from ${min} to ${max} whole seconds, such as 90s, 5m, 24h or 7d.`);
	};

/** A duration in milliseconds above nothing, such as 10m. */
export const duration = (text: string): number => {
	const value = parseDuration(text);
	if (value !== undefined && value > 0) return value;
	throw new InvalidArgumentError('It must be a duration such as 90s, 10m or 24h.');
};

/** How long `--wait` waits, in milliseconds unless it is given; read it with {@link waitTime}. */
export const timeoutOption = (unlessGiven: string): Option =>
	new Option('--timeout <duration>', `with --wait: how long (${unlessGiven} unless given)`).argParser(duration);

/** The time to wait, or the default. Errors: USAGE when a time was given and nothing waits. */
export const waitTime = ({ wait, timeout }: { readonly wait?: boolean; readonly timeout?: number }, unlessGiven: number): number => {
	if (timeout !== undefined && !wait) {
		throw new SpotError('invalid', 'USAGE', '--timeout says how long --wait waits, and --wait was not given', {
			hint: 'add --wait, or leave --timeout out',
		});
	}
	return timeout ?? unlessGiven;
};

/** `on` or `off`. */
export const onOff = (text: string): boolean => {
	if (text === 'on') return true;
	if (text === 'off') return false;
	throw new InvalidArgumentError('It must be on or off.');
};

/** A limit as it is typed. Commander would make an empty text of a null. */
export type Limit = number | 'unlimited';
export const limit = (text: string): Limit => (text === 'unlimited' ? text : integer(0, 10_000_000)(text));

/** A limit as the product takes it: null lifts it. */
export const limitOf = (typed: Limit | undefined): number | null | undefined => (typed === 'unlimited' ? null : typed);

/** An option that takes one of some words. */
export const oneOf = (flags: string, description: string, words: readonly string[]): Option =>
	new Option(flags, description).choices(words);

/** How many rows of a list are wanted. */
export const limitOption = (): Option =>
	new Option('--limit <number>', 'at most this many rows (1000 unless given)').argParser(integer(1, 10_000_000)).conflicts('all');
export const allOption = (): Option => new Option('--all', 'every row there is');

/** Agrees beforehand to what would be asked. */
export const yesOption = (): Option => new Option('-y, --yes', 'do it without asking');
